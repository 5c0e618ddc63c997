"""Finds files that are open for writing, so that half a file is not taken for a whole one.

Three sources, the surest first, none of which needs a privilege:

- A read lease (fcntl(2), F_SETLEASE) is refused while the file is open for writing. Only a file's owner may ask.
- inotify tells that a file was modified, and later that a file that was open for writing was closed.
- Without both, as on a network file system, a file that was changed lately may still be written.

A writer that is silent for `SILENCE` seconds is not waited for.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple

from watchdog.events import (
    FileClosedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
)

SILENCE = 10.0
"""Seconds without a change after which a writer is not waited for."""

MOST_UNCLOSED = 1024
"""Paths that are remembered as modified and not closed yet: directories hold files of other programs, too."""


class FileMark(NamedTuple):
    """The identity of a file, and what changes when it is written in place."""

    identity: tuple[int, int]
    content: tuple[int, int]


def read_marks(paths: Iterable[str]) -> dict[str, FileMark]:
    """Return a mark for each of these files that exists."""
    marks = {}
    for path in paths:
        with suppress(OSError, ValueError):
            marks[path] = _mark(os.stat(path))
    return marks


def was_written(before: Mapping[str, FileMark], after: Mapping[str, FileMark]) -> bool:
    """Return whether a file was written in place meanwhile; another file at its path was not."""
    return any(
        mark.identity == after[path].identity and mark.content != after[path].content
        for path, mark in before.items()
        if path in after
    )


class Writers:
    """What is known about writers of files. Events arrive in watchdog's thread, questions in any other."""

    def __init__(self, silence: float = SILENCE) -> None:
        """Know of no writer yet.

        Args:
            silence: seconds without a change after which a writer is not waited for.
        """
        self._silence = silence
        self._lock = threading.Lock()
        self._unclosed: dict[str, None] = {}
        self._heard: set[str] = set()
        self._unheard: set[str] = set()
        self._without_events = False
        # By path: the mark of the file when it was first seen to be open, and since when (monotonic seconds).
        self._since: dict[str, tuple[FileMark, float]] = {}

    def take_event(self, event: FileSystemEvent) -> None:
        """Note what an event tells about writers; its paths are real ones, without symlinks."""
        path, target = os.fsdecode(event.src_path), os.fsdecode(event.dest_path)
        with self._lock:
            self._heard.update(name for name in (path, target) if name)
            match event:
                case FileModifiedEvent():
                    self._unclosed[path] = None
                    if len(self._unclosed) > MOST_UNCLOSED:
                        del self._unclosed[next(iter(self._unclosed))]
                case FileMovedEvent():
                    # A writer may still have open what was renamed, and has not what was replaced.
                    written = path in self._unclosed
                    self._unclosed.pop(path, None)
                    self._unclosed.pop(target, None)
                    if written:
                        self._unclosed[target] = None
                case FileClosedEvent() | FileDeletedEvent():
                    self._unclosed.pop(path, None)

    def take_changes(self, changed: Mapping[str, Collection[str]], *, without_events: bool) -> None:
        """Note which changes came without an event: nothing is known there about the end of writing.

        Args:
            changed: the files whose content has changed since the last call, each with the places that lead to it.
            without_events: whether some directory cannot be watched.
        """
        with self._lock:
            self._without_events = without_events
            for path, places in changed.items():
                if self._heard.isdisjoint(places):
                    self._unheard.add(os.path.realpath(path))
            self._unheard -= self._heard
            self._heard.clear()

    def find_open(self, paths: Iterable[str]) -> list[str]:
        """Return those of these files that are open for writing, as far as that can be known; reads the disk."""
        found = {path: status for path in paths if (status := self._check(path)) is not None}
        now = time.monotonic()
        with self._lock:
            before, self._since = self._since, {}
            for path, status in found.items():
                seen = before.get(path)
                if seen is None or seen[0] != _mark(status):
                    age = min(max(time.time() - status.st_mtime, 0.0), self._silence)
                    seen = _mark(status), now - age
                self._since[path] = seen
            return [path for path, (_, since) in self._since.items() if now - since < self._silence]

    def _check(self, path: str) -> os.stat_result | None:
        """Return the status of a file that is open for writing; `None` for all others."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError):  # what cannot be read is not taken by halves
            return None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return None
            is_open = ask_for_lease(descriptor)
        finally:
            os.close(descriptor)
        if is_open is None:
            is_open = self._guess(path, status)
        return status if is_open else None

    def _guess(self, path: str, status: os.stat_result) -> bool:
        """Return whether a file may be open for writing, where the kernel does not say."""
        place = os.path.realpath(path)
        with self._lock:
            # An empty file has been created and not filled yet: no event tells so.
            return (
                self._without_events
                or place in self._unclosed
                or place in self._unheard
                or status.st_size == 0
            )


def ask_for_lease(descriptor: int) -> bool | None:
    """Return whether a file is open for writing by anybody; `None` if the kernel does not say (not the owner).

    Args:
        descriptor: the file, open for reading alone.
    """
    try:
        # A writer that comes while the lease is held waits for its end, and the kernel signals the holder: by a
        # signal that does nothing, since SIGIO ends a process.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    return False


def _mark(status: os.stat_result) -> FileMark:
    return FileMark((status.st_dev, status.st_ino), (status.st_size, status.st_mtime_ns))
