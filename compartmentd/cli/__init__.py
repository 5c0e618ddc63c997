"""The command line: one file a command. Each parses its arguments, calls the library, prints, and exits by `Exit`.

`main.main` is the entry point; `render` prints results, and `admin_socket` asks the running daemon.
"""
