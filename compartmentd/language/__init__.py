"""What an editor asks about a configuration: completion, hover, definitions, symbols. Pure: text in, values out.

Positions count lines and code points from 0, as editors do. `cli.language_server` speaks the protocol.
"""
