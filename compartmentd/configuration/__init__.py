"""The configuration: its frozen values, the compiler that makes them, and the snapshot in force."""
