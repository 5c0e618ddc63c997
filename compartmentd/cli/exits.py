"""The exit codes of every command."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What a command came to."""

    FINE = 0
    """Fine, or allowed; there may be warnings."""

    ERRORS = 1
    """Errors were found, or the answer is no."""

    USAGE = 2
    """The command cannot be carried out as it was given."""

    UNREACHABLE = 3
    """The daemon could not be reached."""
