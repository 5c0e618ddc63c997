"""Kept files, as the compiler reads them: in their places, over whatever lies there now."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from fnmatch import fnmatchcase

from compartmentd.configuration.compiler import Contents, FileAccess


def join_kept_path(main: str, name: str) -> str:
    """Return the path of a kept file, whose name is relative to the main file."""
    return posixpath.join(posixpath.dirname(main), name)


class KeptFiles:
    """A kept configuration at the path of its main file; keys and variables are those of today."""

    def __init__(self, main: str, contents: Contents, beneath: FileAccess) -> None:
        self._files = {join_kept_path(main, name): raw for name, raw in contents}
        self._beneath = beneath

    def read(self, path: str) -> bytes:
        """Return the bytes of a kept file, or of another that it names, such as a key's; raises `OSError`."""
        kept = self._files.get(path)
        return self._beneath.read(path) if kept is None else kept

    def glob(self, pattern: str) -> Sequence[str]:
        """Return the kept files that match; what lies beside them today is no part of that configuration."""
        return [path for path in self._files if matches(path, pattern)]

    def getenv(self, name: str) -> bytes | None:
        """Return the bytes of an environment variable."""
        return self._beneath.getenv(name)


def matches(path: str, pattern: str) -> bool:
    """Tell whether the glob would find the path, if it were there (`*` meets no slash and no leading dot)."""
    parts, wanted = (posixpath.normpath(each).split("/") for each in (path, pattern))
    return len(parts) == len(wanted) and all(
        fnmatchcase(part, glob) and (not part.startswith(".") or glob.startswith("."))
        for part, glob in zip(parts, wanted, strict=True)
    )
