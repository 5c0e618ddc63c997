"""Records the files that a configuration names: their paths, their bytes and the digest."""

from __future__ import annotations

import posixpath
from typing import Literal, TypeAlias

from compartmentd.configuration.compiler.contents import Contents, compute_digest
from compartmentd.configuration.compiler.file_access import FileAccess
from compartmentd.configuration.compiler.report import Report
from compartmentd.configuration.settings import FileUse
from compartmentd.names import Digest
from compartmentd.problems import Span

FileKind: TypeAlias = Literal[
    "include", "schema", "jwks_file", "public_key_file", "secret_file", "ca_file", "tls_file"
]


class FilesUsed:
    """Reads files through `FileAccess`, and records each with the place that names it."""

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

    def check_secrecy(self, path: str, span: Span, report: Report) -> None:
        """Warn of a secret that other users of the machine may read, or replace by one of their own."""
        if self.access.is_open_to_others(path):
            message = f"others may read or write the secret `{path}`"
            report.warning(
                span, "file.open-to-others", message, f"make it the daemon's alone: chmod 600 {path}"
            )

    def record_use(self, kind: FileKind, path: str, span: Span) -> None:
        """Record a file that must be watched."""
        self.uses.append(FileUse(kind, path, span))

    def record_missing(self, path: str) -> None:
        """Record a file that is needed and cannot be read, so that a reload is due when it appears."""
        self._tried.setdefault(path)

    @property
    def contents(self) -> Contents:
        """The files read, the main file first; names are relative to it, so that a copy has the same digest."""
        return tuple((self._make_relative(path), raw) for path, raw in self._contents.items())

    def digest(self) -> Digest:
        """Return the digest of the files read."""
        return compute_digest(self.contents)

    def _make_relative(self, path: str) -> str:
        prefix = posixpath.join(self._directory, "")
        return path.removeprefix(prefix)


def resolve_path(naming: str, path: str) -> str:
    """Return the path of a file that another file names, resolved relative to that file."""
    return posixpath.join(posixpath.dirname(naming), path)


def describe_os_error(error: OSError) -> str:
    """Return the operating system's reason why a file could not be read."""
    return (error.strerror or "it cannot be read").lower()
