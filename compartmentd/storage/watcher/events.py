"""Watches directories by the system's events (inotify on Linux, by watchdog), as far as its limits allow."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

# Opening and closing without writing are excluded: our own reading causes them. So is the modification of a
# directory: it accompanies each of the other events, and names no file.
_EVENTS: list[type[FileSystemEvent]] = [
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
]

MakeObserver = Callable[[], BaseObserver]


class _Armed:
    """A watch on a directory, and that directory's identity: another may be at its path by now."""

    def __init__(self, watch: ObservedWatch, identity: tuple[int, int]) -> None:
        self.watch = watch
        self.identity = identity


class DirectoryEvents:
    """Watches directories. `happened` is called in watchdog's thread with each event.

    For use by one thread.
    """

    def __init__(
        self, happened: Callable[[FileSystemEvent], None], make_observer: MakeObserver = Observer
    ) -> None:
        self._handler = _Handler(happened)
        self._make_observer = make_observer
        self._observer: BaseObserver | None = None
        self._armed: dict[str, _Armed] = {}

    def watch(self, directories: Collection[str]) -> str | None:
        """Watch exactly these directories; return why some cannot be watched, as a stable sentence, or `None`."""
        try:
            observer = self._start_observer()
        except OSError as error:
            return f"the system allows no more event queues ({_name_error(error)})"
        self._drop(observer, directories)
        refused = None
        for directory in sorted(set(directories) - self._armed.keys()):
            try:
                self._arm(observer, directory)
            except (OSError, RuntimeError) as error:  # RuntimeError: no more threads
                refused = refused or _explain(directory, error)
        return refused

    def close(self) -> None:
        """Release every watch, thread and descriptor."""
        observer, self._observer = self._observer, None
        self._armed.clear()
        if observer is not None:
            observer.stop()
            observer.join()

    def _start_observer(self) -> BaseObserver:
        if self._observer is None:
            observer = self._make_observer()
            observer.start()
            self._observer = observer
        return self._observer

    def _drop(self, observer: BaseObserver, wanted: Collection[str]) -> None:
        # A watch on a removed directory ends, and one on a renamed directory moves with it, both silently.
        alive = {emitter.watch for emitter in observer.emitters if emitter.is_alive()}
        for directory, armed in list(self._armed.items()):
            if directory in wanted and armed.watch in alive and armed.identity == _identify(directory):
                continue
            del self._armed[directory]
            observer.unschedule(armed.watch)

    def _arm(self, observer: BaseObserver, directory: str) -> None:
        identity = _identify(directory)
        if identity is None:
            return
        watch = observer.schedule(self._handler, directory, event_filter=_EVENTS)
        self._armed[directory] = _Armed(watch, identity)


class _Handler(FileSystemEventHandler):
    def __init__(self, happened: Callable[[FileSystemEvent], None]) -> None:
        self._happened = happened

    def dispatch(self, event: FileSystemEvent) -> None:
        self._happened(event)


def _identify(directory: str) -> tuple[int, int] | None:
    try:
        status = os.stat(directory)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _explain(directory: str, error: OSError | RuntimeError) -> str | None:
    if not isinstance(error, OSError):
        return "the system allows no more threads"
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:  # removed since; its parent is watched
        return None
    if error.errno == errno.ENOSPC:
        return "the system allows no more watches (fs.inotify.max_user_watches)"
    return f"`{directory}` cannot be watched ({_name_error(error)})"


def _name_error(error: OSError) -> str:
    if error.errno == errno.EMFILE:
        return "EMFILE: fs.inotify.max_user_instances, or the limit of open files"
    return errno.errorcode.get(error.errno or 0, "unknown error")
