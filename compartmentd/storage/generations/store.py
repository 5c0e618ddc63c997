"""Configurations in the state directory: one file each, written beside, flushed, renamed.

A file's name says when, what and why: `MILLISECONDS-DIGEST.accepted` was in force, `MILLISECONDS-DIGEST.replaced`
lay there when another was restored over it. Its content is all files of that configuration, and the digest tells
whether it is still what was written.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from compartmentd.configuration.compiler import Contents, digest_of_files
from compartmentd.names import Digest

DIRECTORY = "configurations"
TEMPORARY = ".new"
VERSION = 1

KEEP = 10
"""Configurations kept of each kind; of the same one only the latest time."""

_NAME = re.compile(r"([0-9]{15})-([0-9a-f]{64})\.(accepted|replaced)")


class DamagedGeneration(ValueError):
    """A kept configuration is not as it was written; the text says how, and quotes nothing."""


class StoredGeneration(msgspec.Struct, frozen=True):
    """A kept configuration by its name; `at` is the wall time in milliseconds."""

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
    """What is kept in a state directory; the daemon and the command line use it at the same time."""

    def __init__(self, state: str) -> None:
        self.directory = Path(state, DIRECTORY)

    def list_entries(self) -> tuple[StoredGeneration, ...]:
        """Return what is kept, the newest first.

        Raises:
            OSError: the directory cannot be read; one that is not there keeps nothing.
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
        """Return the files of a kept configuration.

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
        if not contents or digest_of_files(contents) != entry.digest:
            raise DamagedGeneration("its content does not have its digest")
        return contents

    def keep(self, contents: Contents, at: float, *, accepted: bool) -> StoredGeneration:
        """Keep a configuration as of a wall time (seconds), and let go of what is too many.

        Returns once it is on the disk.

        Raises:
            OSError: it could not be written, and everything is as before.
        """
        digest = digest_of_files(contents)
        files = tuple(_File(os.fsencode(name), raw) for name, raw in contents)
        self._make()
        with _open_directory(self.directory) as directory:
            fcntl.flock(directory, fcntl.LOCK_EX)
            old = self.list_entries()
            # A clock that was set back does not make the newest the oldest.
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
            # Made by an administrator: the daemon, whose state directory it stands in, has to write here, too.
            owner = self.directory.parent.stat()
            with _open_directory(self.directory) as directory:
                os.fchown(directory, owner.st_uid, owner.st_gid)


@contextmanager
def _open_directory(path: Path) -> Iterator[int]:
    # An administrator works here in a directory of the daemon's user, who must not lead them elsewhere by a link.
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        yield directory
    finally:
        os.close(directory)


def _write(directory: int, name: str, content: bytes) -> None:
    # What a kill left half written goes; the new one is a file of its own, and no link that somebody laid there.
    with suppress(FileNotFoundError):
        os.unlink(TEMPORARY, dir_fd=directory)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(TEMPORARY, flags, 0o600, dir_fd=directory), "wb") as file:
        if os.geteuid() == 0:
            # The same for what is written here.
            owner = os.fstat(directory)
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(TEMPORARY, name, src_dir_fd=directory, dst_dir_fd=directory)


def _find_surplus(entries: tuple[StoredGeneration, ...]) -> Iterator[StoredGeneration]:
    """Yield, of entries with the newest first, those of each kind that are there already or are too many."""
    for accepted in (True, False):
        seen: set[Digest] = set()
        for entry in entries:
            if entry.accepted is not accepted:
                continue
            if entry.digest in seen or len(seen) >= KEEP:
                yield entry
            seen.add(entry.digest)
