"""The command line: one file a command; each parses, calls the library, renders, and exits by one table."""
