"""The exit codes of every command."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The result of a command."""

    FINE = 0
    """Success, or allowed; there may be warnings."""

    ERRORS = 1
    """Errors were found, or the answer is no."""

    USAGE = 2
    """The command cannot be executed as given."""

    UNREACHABLE = 3
    """The daemon could not be reached."""
