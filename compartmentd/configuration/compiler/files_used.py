"""The files that a configuration names: how their paths resolve, what was read, and the digest of it."""

from __future__ import annotations

import posixpath
from typing import Literal, TypeAlias

from compartmentd.configuration.compiler.contents import Contents, digest_of_files
from compartmentd.configuration.compiler.file_access import FileAccess
from compartmentd.configuration.settings import FileUse
from compartmentd.names import Digest
from compartmentd.problems import Span

FileKind: TypeAlias = Literal["include", "schema", "jwks_file", "public_key_file", "secret_file", "tls_file"]


class FilesUsed:
    """Reads through `FileAccess`, and remembers what it read and who named it."""

    def __init__(self, main: str, access: FileAccess) -> None:
        self.access = access
        self.uses: list[FileUse] = []
        self._directory = posixpath.dirname(main)
        self._contents: dict[str, bytes] = {}
        self._tried: dict[str, None] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The files of which the digest is made, and those missing from it, in the order of reading."""
        return tuple(self._tried)

    def read(self, path: str) -> bytes:
        """Return the bytes of a configuration, include or schema; raises `OSError`."""
        self._tried.setdefault(path)
        if path not in self._contents:
            self._contents[path] = self.access.read(path)
        return self._contents[path]

    def use(self, kind: FileKind, path: str, span: Span) -> None:
        """Remember a file that has to be followed."""
        self.uses.append(FileUse(kind, path, span))

    def lacks(self, path: str) -> None:
        """Remember a file that cannot be read and is needed: that it comes is reason enough to look again."""
        self._tried.setdefault(path)

    @property
    def contents(self) -> Contents:
        """What was read, the main file first; names are relative to it, so that a copy elsewhere is the same."""
        return tuple((self._relative(path), raw) for path, raw in self._contents.items())

    def digest(self) -> Digest:
        """Return the digest of what was read."""
        return digest_of_files(self.contents)

    def _relative(self, path: str) -> str:
        prefix = posixpath.join(self._directory, "")
        return path.removeprefix(prefix)


def beside(naming: str, path: str) -> str:
    """Return the path of a file that another one names: relative to the one that names it."""
    return posixpath.join(posixpath.dirname(naming), path)


def reason_of(error: OSError) -> str:
    """Return why a file could not be read, in the system's words."""
    return (error.strerror or "it cannot be read").lower()
