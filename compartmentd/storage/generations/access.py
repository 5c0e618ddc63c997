"""Stored files, as the compiler reads them: at their original paths, in place of the present files."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from fnmatch import fnmatchcase

from compartmentd.configuration.compiler import Contents, FileAccess


def join_kept_path(main: str, name: str) -> str:
    """Return the path of a stored file, whose name is relative to the directory of the main file."""
    return posixpath.join(posixpath.dirname(main), name)


class KeptFiles:
    """A stored configuration at the path of its main file; keys and variables are the present ones."""

    def __init__(self, main: str, contents: Contents, beneath: FileAccess) -> None:
        self._files = {join_kept_path(main, name): raw for name, raw in contents}
        self._beneath = beneath

    def read(self, path: str) -> bytes:
        """Return the bytes of a stored file, or of a present file that it names, such as a key.

        Raises `OSError`.
        """
        kept = self._files.get(path)
        return self._beneath.read(path) if kept is None else kept

    def glob(self, pattern: str) -> Sequence[str]:
        """Return the stored files that match; present files beside them are not part of that configuration."""
        return [path for path in self._files if matches(path, pattern)]

    def is_open_to_others(self, path: str) -> bool:
        """Return whether others may read or write a present file; stored ones are no secrets."""
        return path not in self._files and self._beneath.is_open_to_others(path)

    def getenv(self, name: str) -> bytes | None:
        """Return the bytes of an environment variable."""
        return self._beneath.getenv(name)


def matches(path: str, pattern: str) -> bool:
    """Return whether a glob matches a path (`*` matches no slash and no leading dot)."""
    parts, wanted = (posixpath.normpath(each).split("/") for each in (path, pattern))
    return len(parts) == len(wanted) and all(
        fnmatchcase(part, glob) and (not part.startswith(".") or glob.startswith("."))
        for part, glob in zip(parts, wanted, strict=True)
    )
