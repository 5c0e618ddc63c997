"""Follows files and calls back, on the loop, with the paths whose content changed.

All work is done in one thread of its own: it sleeps until a hint or the poll, watches what is to be watched,
and only then reads, so that no change falls between the two. Reading and hashing give the interpreter lock
away, so the loop is not held. The callback is judged by content alone: a touched, re-read or rewritten file
is no change, and an event is never more than a reason to look.
"""

from __future__ import annotations

import asyncio
import glob
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from watchdog.observers import Observer

from compartmentd.storage.watcher.content import ABSENT, hash_content
from compartmentd.storage.watcher.events import DirectoryEvents, MakeObserver
from compartmentd.storage.watcher.pace import Pace
from compartmentd.storage.watcher.trail import Links, find_last_change, find_search_base, follow_path

CLOCK_GRAIN = 0.05
"""Seconds by which the time of an inode may lie behind the clock: the kernel takes it from its last tick."""


class _Wanted(NamedTuple):
    """What `watch` was last told; `answer` is set once it is so."""

    paths: frozenset[str]
    globs: tuple[str, ...]
    since: float | None
    answer: asyncio.Future[None]


class Watcher:
    """Follows a set of files. Made on the loop that the callbacks run on; call `stop` before that ends.

    `changed` gets the paths, as they were given or as a glob gives them. `warn` gets a sentence when events
    cannot be had and only the poll is left, once for each reason.
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
        self._loop = asyncio.get_running_loop()
        self._events = DirectoryEvents(self._handle_events, make_observer)
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        # What both threads touch, under `_signal`:
        self._signal = threading.Condition()
        self._stopping = False
        self._news: list[_Wanted] = []
        self._first_hint: float | None = None
        self._last_hint = 0.0
        # What the handler of events reads, replaced as a whole:
        self._places: frozenset[str] = frozenset()
        self._search: frozenset[str] = frozenset()
        # The watcher thread's own:
        self._paths: frozenset[str] = frozenset()
        self._globs: tuple[str, ...] = ()
        self._known: dict[str, bytes] = {}
        self._looked = 0.0
        self._warned: set[str] = set()

    def watch(
        self, paths: Iterable[str], globs: Iterable[str] = (), *, since: float | None = None
    ) -> asyncio.Future[None]:
        """Follow these files, and whatever comes to match these globs, instead of those before.

        A path that was followed before and changed meanwhile is reported as always. A new one is taken as it
        is found; unless `since`, the wall time before the caller read it, tells that it may have changed in
        between: then it is reported, too. The result is done once the files have been looked at and are
        followed, and what is to be reported of that look is reported.
        """
        answer: asyncio.Future[None] = self._loop.create_future()
        with self._signal:
            self._news.append(_Wanted(frozenset(paths), tuple(globs), since, answer))
            self._signal.notify()
        if self._stopping:
            answer.cancel()
        elif self._thread.ident is None:
            self._thread.start()
        return answer

    async def stop(self) -> None:
        """Stop following; nothing is called back any more, and no thread is left."""
        with self._signal:
            self._stopping = True
            self._signal.notify()
        if self._thread.ident is not None:
            await self._loop.run_in_executor(None, self._thread.join)
        for wanted in self._news:
            wanted.answer.cancel()

    # --- watchdog's thread ----------------------------------------------------------------------------------

    def _handle_events(self, paths: Collection[str]) -> None:
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
                except Exception as error:  # noqa: BLE001 - told to the loop; the next poll tries again
                    self._report_failure("files could not be checked", error)
                self._loop.call_soon_threadsafe(_resolve_all, news)
        finally:
            self._events.close()

    def _wait(self) -> bool:
        """Sleep until it is time to look; return whether to go on."""
        with self._signal:
            while not self._stopping and not self._news:
                due = self._pace.next_look(self._looked, self._first_hint, self._last_hint)
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
        self._follow(links)
        contents = {path: hash_content(path) for path in self._list_files()}
        if news:
            self._admit(contents, news[-1].since, links)
        changed = frozenset(_find_differing(self._known, contents))
        self._known = contents
        if changed:
            self._loop.call_soon_threadsafe(self._report, changed)

    def _follow(self, links: Links) -> None:
        """Watch the directories that lead to the files, as they are now."""
        bases = {find_search_base(pattern) for pattern in self._globs}
        inside = {match for pattern in self._globs for match in glob.glob(os.path.dirname(pattern))}
        trails = [follow_path(path, links) for path in self._paths]
        trails += [follow_path(os.path.join(directory, "*"), links) for directory in bases | inside]
        # First what the handler lets through, then the events: none of the first ones is missed.
        self._places = frozenset().union(*(trail.places for trail in trails))
        self._search = frozenset(os.path.realpath(directory) for directory in bases | inside)
        refused = self._events.watch(frozenset().union(*(trail.directories for trail in trails)))
        if refused is None:
            self._warned.clear()
        elif refused not in self._warned:
            self._warned.add(refused)
            text = f"{refused}: changes are found by polling every {self._pace.poll:g} s"
            self._loop.call_soon_threadsafe(self._warn, text)

    def _list_files(self) -> set[str]:
        return set(self._paths).union(*(glob.glob(pattern) for pattern in self._globs))

    def _admit(self, contents: Mapping[str, bytes], since: float | None, links: Links) -> None:
        """Take files that were not followed before as they are, or as changed where they may have been."""
        self._known = {path: content for path, content in self._known.items() if path in contents}
        for path, content in contents.items():
            if path not in self._known and (
                since is None or find_last_change(path, links) < since - CLOCK_GRAIN
            ):
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
        if not wanted.answer.done():  # its caller may have gone away
            wanted.answer.set_result(None)


def _find_differing(before: Mapping[str, bytes], now: Mapping[str, bytes]) -> Iterator[str]:
    for path in before.keys() | now.keys():
        if before.get(path, _UNKNOWN) != now.get(path, ABSENT):
            yield path


_UNKNOWN = b"unknown"
"""Unlike every content: a path that was not there to be known is new, even if it is gone again."""
