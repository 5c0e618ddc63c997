"""Follows files and calls back, on the loop, with the paths whose content has changed.

All work is done in a thread: it sleeps until a hint or the poll, watches the directories, and only then reads, so
that no change is missed in between. Reading and hashing release the interpreter lock, so the loop is not held. Only
a change of content causes a callback: a file that is touched, read or rewritten has not changed, and an event is
merely a reason to check.
"""

from __future__ import annotations

import asyncio
import glob
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from watchdog.events import FileSystemEvent
from watchdog.observers import Observer

from compartmentd.storage.watcher.content import ABSENT, hash_content
from compartmentd.storage.watcher.events import DirectoryEvents, MakeObserver
from compartmentd.storage.watcher.pace import Pace
from compartmentd.storage.watcher.trail import Links, find_last_change, find_search_base, follow_path
from compartmentd.storage.watcher.writers import FileMark, Writers, read_marks

CLOCK_GRAIN = 0.05
"""Seconds by which the time of an inode may lag behind the clock: the kernel takes it from its last tick."""

NONE_KNOWN: Mapping[str, bytes] = {}
"""Of files that the caller of `watch` only read."""


class _Wanted(NamedTuple):
    """The arguments of one call of `watch`; `answer` is set once they are in effect."""

    paths: frozenset[str]
    globs: tuple[str, ...]
    since: float | None
    known: Mapping[str, bytes]
    answer: asyncio.Future[None]


class Writing(NamedTuple):
    """The files that are open for writing, and the marks of all files that were looked at."""

    opened: list[str]
    marks: dict[str, FileMark]


class Watcher:
    """Follows a set of files. Make it on the loop that callbacks shall run on; call `stop` before the loop ends.

    `changed` gets the paths, as they were given or as a glob gives them. `warn` gets a sentence, once for each
    reason, if there are no events and files are only polled.
    """

    def __init__(
        self,
        changed: Callable[[frozenset[str]], object],
        warn: Callable[[str], object],
        *,
        pace: Pace | None = None,
        make_observer: MakeObserver = Observer,
    ) -> None:
        self._changed = changed
        self._warn = warn
        self._pace = Pace() if pace is None else pace
        self._writers = Writers(self._pace.silence)
        self._loop = asyncio.get_running_loop()
        self._events = DirectoryEvents(self._handle_event, make_observer)
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        # Shared by both threads, under `_signal`:
        self._signal = threading.Condition()
        self._stopping = False
        self._news: list[_Wanted] = []
        self._first_hint: float | None = None
        self._last_hint = 0.0
        # Read by the event handler, replaced as a whole:
        self._places: frozenset[str] = frozenset()
        self._search: frozenset[str] = frozenset()
        # Used by the watcher thread alone:
        self._paths: frozenset[str] = frozenset()
        self._globs: tuple[str, ...] = ()
        self._known: dict[str, bytes] = {}
        self._looked = 0.0
        self._warned: set[str] = set()

    def watch(
        self,
        paths: Iterable[str],
        globs: Iterable[str] = (),
        *,
        since: float | None = None,
        known: Mapping[str, bytes] = NONE_KNOWN,
    ) -> asyncio.Future[None]:
        """Follow these files, and all files that match these globs, instead of the earlier ones.

        Args:
            paths: The files.
            globs: The globs.
            since: The wall time, in seconds, before the caller read the files. A new path that may have changed
                since then is reported; without `since`, a new path is never reported. A path that was followed
                before is reported if it has changed, as always.
            known: By path the SHA-256 of files that the caller itself wrote: such a new path is reported if its
                content is another, whatever its times.

        Returns:
            A future that is done once the files are followed and the changes found so far are reported.
        """
        answer: asyncio.Future[None] = self._loop.create_future()
        with self._signal:
            self._news.append(_Wanted(frozenset(paths), tuple(globs), since, known, answer))
            self._signal.notify()
        if self._stopping:
            answer.cancel()
        elif self._thread.ident is None:
            self._thread.start()
        return answer

    async def stop(self) -> None:
        """Stop following files; afterwards there are no callbacks and no threads."""
        with self._signal:
            self._stopping = True
            self._signal.notify()
        if self._thread.ident is not None:
            await self._loop.run_in_executor(None, self._thread.join)
        for wanted in self._news:
            wanted.answer.cancel()

    async def look_for_writers(self, paths: Iterable[str], globs: Iterable[str] = ()) -> Writing:
        """Return which of these files are open for writing now, as far as that can be known.

        A writer that has been silent for `Pace.silence` seconds is not counted.

        Args:
            paths: files that are followed.
            globs: patterns that are followed; their matches are looked at, too.
        """
        return await self._loop.run_in_executor(None, self._look_for_writers, frozenset(paths), tuple(globs))

    def _look_for_writers(self, paths: frozenset[str], globs: tuple[str, ...]) -> Writing:
        files = paths.union(*map(glob.glob, globs))
        # In this order: a writer that comes in between has changed the mark, or is still there.
        return Writing(self._writers.find_open(files), read_marks(files))

    # --- watchdog's thread ----------------------------------------------------------------------------------

    def _handle_event(self, event: FileSystemEvent) -> None:
        self._writers.take_event(event)
        paths = [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]
        if not any(path in self._places or os.path.dirname(path) in self._search for path in paths):
            return
        with self._signal:
            self._last_hint = time.monotonic()
            if self._first_hint is None:
                self._first_hint = self._last_hint
                self._signal.notify()

    # --- the watcher thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._wait():
                self._looked = time.monotonic()
                with self._signal:
                    news, self._news = self._news, []
                try:
                    self._look(news)
                except Exception as error:  # noqa: BLE001 - reported to the loop; the next poll tries again
                    self._report_failure("files could not be checked", error)
                self._loop.call_soon_threadsafe(_resolve_all, news)
        finally:
            self._events.close()

    def _wait(self) -> bool:
        """Sleep until the next check is due; return whether to continue."""
        with self._signal:
            while not self._stopping and not self._news:
                due = self._pace.compute_next(self._looked, self._first_hint, self._last_hint)
                left = due - time.monotonic()
                if left <= 0:
                    break
                self._signal.wait(left)
            self._first_hint = None
            return not self._stopping

    def _look(self, news: list[_Wanted]) -> None:
        if news:
            self._paths, self._globs = news[-1].paths, news[-1].globs
        links = Links()
        has_events = self._follow(links)
        contents = {path: hash_content(path) for path in self._list_files()}
        if news:
            self._admit(contents, news[-1], links)
        changed = frozenset(_find_differing(self._known, contents))
        # Of those that were not followed before, no event could come.
        expected = {path: follow_path(path, links).places for path in changed & self._known.keys()}
        self._known = contents
        self._writers.take_changes(expected, without_events=not has_events)
        if changed:
            self._loop.call_soon_threadsafe(self._report, changed)

    def _follow(self, links: Links) -> bool:
        """Watch the directories that lead to the files now; return whether all of them can be watched."""
        bases = {find_search_base(pattern) for pattern in self._globs}
        inside = {match for pattern in self._globs for match in glob.glob(os.path.dirname(pattern))}
        trails = [follow_path(path, links) for path in self._paths]
        trails += [follow_path(os.path.join(directory, "*"), links) for directory in bases | inside]
        # First the handler's filter, then the events, so that none is missed.
        self._places = frozenset().union(*(trail.places for trail in trails))
        self._search = frozenset(os.path.realpath(directory) for directory in bases | inside)
        refused = self._events.watch(frozenset().union(*(trail.directories for trail in trails)))
        if refused is None:
            self._warned.clear()
        elif refused not in self._warned:
            self._warned.add(refused)
            text = f"{refused}: changes are found by polling every {self._pace.poll:g} s"
            self._loop.call_soon_threadsafe(self._warn, text)
        return refused is None

    def _list_files(self) -> set[str]:
        return set(self._paths).union(*(glob.glob(pattern) for pattern in self._globs))

    def _admit(self, contents: Mapping[str, bytes], wanted: _Wanted, links: Links) -> None:
        """Take over files that were not followed before: as unchanged, or as changed if they may have been."""
        self._known = {path: content for path, content in self._known.items() if path in contents}
        since = wanted.since
        for path, content in contents.items():
            if path in self._known:
                continue
            if path in wanted.known:
                self._known[path] = wanted.known[path]
            elif since is None or find_last_change(path, links) < since - CLOCK_GRAIN:
                self._known[path] = content

    # --- the loop -------------------------------------------------------------------------------------------

    def _report(self, changed: frozenset[str]) -> None:
        if not self._stopping:
            self._changed(changed)

    def _report_failure(self, message: str, error: Exception) -> None:
        context = {"message": message, "exception": error}
        self._loop.call_soon_threadsafe(self._loop.call_exception_handler, context)


def _resolve_all(news: list[_Wanted]) -> None:
    for wanted in news:
        if not wanted.answer.done():  # the caller may have cancelled it
            wanted.answer.set_result(None)


def _find_differing(before: Mapping[str, bytes], now: Mapping[str, bytes]) -> Iterator[str]:
    for path in before.keys() | now.keys():
        if before.get(path, _UNKNOWN) != now.get(path, ABSENT):
            yield path


_UNKNOWN = b"unknown"
"""Differs from every content: a path that was not known before is new, even if it is absent again."""
