"""Configurations in the state directory: one file each, written under another name, flushed, renamed.

The name of a file has the time, the digest and the reason: `MILLISECONDS-DIGEST.accepted` was in force,
`MILLISECONDS-DIGEST.replaced` was on the disk when another was restored over it. It contains all files of that
configuration, and the digest shows whether it is still as it was written.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from compartmentd.configuration.compiler import Contents, compute_digest
from compartmentd.names import Digest

DIRECTORY = "configurations"
TEMPORARY = ".new"
VERSION = 1

KEEP = 10
"""Configurations stored of each kind; of equal ones only the latest."""

_NAME = re.compile(r"([0-9]{15})-([0-9a-f]{64})\.(accepted|replaced)")


class DamagedGeneration(ValueError):
    """A stored configuration is not as it was written; the text says how and quotes nothing."""


class StoredGeneration(msgspec.Struct, frozen=True):
    """A stored configuration; `at` is wall time in milliseconds. `accepted` is whether it was in force."""

    at: int
    digest: Digest
    accepted: bool

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.at:015d}-{self.digest}.{'accepted' if self.accepted else 'replaced'}"


class _File(msgspec.Struct, frozen=True, array_like=True):
    name: bytes
    content: bytes


class _Kept(msgspec.Struct, frozen=True):
    version: int
    files: tuple[_File, ...]


class GenerationStore:
    """The configurations in a state directory; the daemon and the command line use it concurrently."""

    def __init__(self, state: str) -> None:
        self.directory = Path(state, DIRECTORY)

    def list_entries(self) -> tuple[StoredGeneration, ...]:
        """Return the stored configurations, the newest first.

        Raises:
            OSError: the directory cannot be read; a missing one is empty.
        """
        try:
            names = os.listdir(self.directory)  # noqa: PTH208 - names are all that is wanted
        except FileNotFoundError:
            return ()
        found = [match for name in names if (match := _NAME.fullmatch(name))]
        entries = [
            StoredGeneration(int(match[1]), Digest(match[2]), match[3] == "accepted") for match in found
        ]
        return tuple(
            sorted(entries, key=lambda entry: (entry.at, entry.digest, entry.accepted), reverse=True)
        )

    def read(self, entry: StoredGeneration) -> Contents:
        """Return the files of a stored configuration.

        Raises:
            Damaged: it is not as it was written, or cannot be read.
        """
        try:
            kept = msgspec.msgpack.decode((self.directory / entry.file).read_bytes(), type=_Kept)
        except OSError as error:
            raise DamagedGeneration((error.strerror or "it cannot be read").lower()) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise DamagedGeneration("it is incomplete") from None
        if kept.version != VERSION:
            raise DamagedGeneration(
                f"it is of version {kept.version}, and this compartmentd supports version {VERSION}"
            )
        contents = tuple((os.fsdecode(file.name), file.content) for file in kept.files)
        if not contents or compute_digest(contents) != entry.digest:
            raise DamagedGeneration("its content does not have its digest")
        return contents

    def store(self, contents: Contents, at: float, *, accepted: bool) -> StoredGeneration:
        """Store a configuration, and delete those beyond `KEEP`. Returns once it is on the disk.

        Args:
            contents: The files of the configuration.
            at: Wall time in seconds.
            accepted: Whether it was in force.

        Raises:
            OSError: it could not be written; everything is as before.
        """
        digest = compute_digest(contents)
        files = tuple(_File(os.fsencode(name), raw) for name, raw in contents)
        self._make()
        with _open_directory(self.directory) as directory:
            fcntl.flock(directory, fcntl.LOCK_EX)
            old = self.list_entries()
            # The newest stays the newest even if the clock was set back.
            entry = StoredGeneration(
                max(int(at * 1000), *(one.at + 1 for one in old[:1]), 0), digest, accepted
            )
            _write(directory, entry.file, msgspec.msgpack.encode(_Kept(VERSION, files)))
            for surplus in _find_surplus((entry, *old)):
                os.unlink(surplus.file, dir_fd=directory)
            os.fsync(directory)
        return entry

    def _make(self) -> None:
        try:
            self.directory.mkdir(mode=0o700)
        except FileExistsError:
            return
        if os.geteuid() == 0:
            # Created by root: the daemon, which owns the state directory, has to write here, too.
            owner = self.directory.parent.stat()
            with _open_directory(self.directory) as directory:
                os.fchown(directory, owner.st_uid, owner.st_gid)


@contextmanager
def _open_directory(path: Path) -> Iterator[int]:
    # Root works here in a directory of the daemon's user, which must not redirect it by a symlink.
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        yield directory
    finally:
        os.close(directory)


def _write(directory: int, name: str, content: bytes) -> None:
    # Removes a file that a kill left half written, so that the new one is a new file and not a planted symlink.
    with suppress(FileNotFoundError):
        os.unlink(TEMPORARY, dir_fd=directory)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(TEMPORARY, flags, 0o600, dir_fd=directory), "wb") as file:
        if os.geteuid() == 0:
            # The same for the file.
            owner = os.fstat(directory)
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(TEMPORARY, name, src_dir_fd=directory, dst_dir_fd=directory)


def _find_surplus(entries: tuple[StoredGeneration, ...]) -> Iterator[StoredGeneration]:
    """Yield the surplus entries of each kind, given the newest first: duplicates, and those beyond `KEEP`."""
    for accepted in (True, False):
        seen: set[Digest] = set()
        for entry in entries:
            if entry.accepted is not accepted:
                continue
            if entry.digest in seen or len(seen) >= KEEP:
                yield entry
            seen.add(entry.digest)
