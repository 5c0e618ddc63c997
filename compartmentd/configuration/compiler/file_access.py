"""The compiler's interface to the outside: bytes of files, matches of globs, values of variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class FileAccess(Protocol):
    """Access to files and environment variables. It is passed in, so that compiling itself is pure."""

    def read(self, path: str) -> bytes:
        """Return the bytes of a file, or raise `OSError`."""

    def is_open_to_others(self, path: str) -> bool:
        """Return whether users besides the owner and the group may read a file, or any but the owner write it."""

    def glob(self, pattern: str) -> Sequence[str]:
        """Return the paths of the files that match, not recursively and never dot files, in any order."""

    def getenv(self, name: str) -> bytes | None:
        """Return the bytes of an environment variable, or `None` where it is not set."""
