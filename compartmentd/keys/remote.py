"""The remote keys of all entries: fetches them, one fetch at a time for each entry, while the entry is configured.

Sessions use the keys of the snapshot, never those in here. When keys change, `wait_for_changes` returns, its
caller puts them in force, and only then are tokens that wait for a key verified again.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

from compartmentd.keys import report
from compartmentd.keys.fetch import FetchedKeySet, KeySetFetcher
from compartmentd.keys.http import Get, HttpClient
from compartmentd.keys.response import FetchFailure
from compartmentd.keys.state import KeyState
from compartmentd.names import EntryName
from compartmentd.telemetry.logs import log
from compartmentd.tokens.entry import IssuerEntry
from compartmentd.tokens.jwk_set import JwkSet, read_jwk_set_in_steps
from compartmentd.tokens.key import Key
from compartmentd.tokens.keyset import fingerprint_entry
from compartmentd.tokens.rejected import KeyStatus
from compartmentd.util.cooperative import Slicer, run_in_slices
from compartmentd.util.tasks import BackgroundTasks

SOON = 1.0
"""Seconds after which a token may be sent again while its provider is being asked."""


class KeyChange(NamedTuple):
    """An entry in force whose keys have changed.

    The caller of `wait_for_changes` sets `taken_in` once the new keys are in force.
    """

    entry: EntryName
    taken_in: asyncio.Event


class _TrackedEntry:
    """An entry with its state, and the timer or fetch that runs for it.

    `given` are the keys that `get_keys` returned.
    """

    def __init__(self, entry: IssuerEntry, fetcher: KeySetFetcher, state: KeyState) -> None:
        self.entry = entry
        self.fetcher = fetcher
        self.state = state
        self.timer: asyncio.TimerHandle | None = None
        self.task: asyncio.Task[None] | None = None
        self.waiting: list[Callable[[], None]] = []
        self.given: tuple[Key, ...] = ()

    def disarm(self) -> None:
        """Cancel the timer of the next fetch."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def stop(self) -> None:
        """Cancel the timer and the fetch."""
        self.disarm()
        if self.task is not None:
            self.task.cancel()


class RemoteKeys:
    """Fetches remote keys and keeps them current; for one running loop."""

    def __init__(
        self,
        *,
        get: Get | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._changes: asyncio.Queue[KeyChange] = asyncio.Queue()
        self._http = HttpClient()
        self._get = get
        self._monotonic = monotonic
        self._jitter = jitter
        self._all: dict[bytes, _TrackedEntry] = {}
        self._in_force: dict[EntryName, _TrackedEntry] = {}
        self._ended = asyncio.Event()
        self._tasks = BackgroundTasks()

    # --- which entries ------------------------------------------------------------------------------------------

    async def prepare(self, issuers: Iterable[IssuerEntry], seconds: float) -> tuple[EntryName, ...]:
        """Fetch the keys of entries that are not followed yet, before they are in force.

        Args:
            issuers: The entries of the next configuration.
            seconds: The longest time to wait for one response from each new entry.

        Returns:
            The names of all these entries that have no keys then.
        """
        entries = _select_remote(issuers)
        new = [await self._start(entry) for entry in entries if fingerprint_entry(entry) not in self._all]
        await self._wait_until(lambda: all(one.state.keys or one.state.failures for one in new), seconds)
        return tuple(entry.name for entry in entries if not self._all[fingerprint_entry(entry)].state.keys)

    def follow(self, issuers: Iterable[IssuerEntry]) -> None:
        """Follow exactly these entries, which are in force from now on.

        An unchanged entry keeps its state; for a changed one, `prepare` has taken over its keys.
        """
        entries = {fingerprint_entry(entry): entry for entry in _select_remote(issuers)}
        for identity in self._all.keys() - entries.keys():
            gone = self._all.pop(identity)
            gone.stop()
            self._release(gone)
        for identity, entry in entries.items():
            if identity not in self._all:
                self._add(entry, KeyState(self._monotonic()))
        self._in_force = {entry.name: self._all[identity] for identity, entry in entries.items()}
        for name, followed in self._in_force.items():
            if followed.given != followed.state.keys:
                # These keys were fetched after `get_keys` was called and before the entry was in force.
                self._tasks.start(self._report_change(name))
        self._wake_waiters()

    async def _start(self, entry: IssuerEntry) -> _TrackedEntry:
        """Follow an entry; if only the way of reading its keys has changed, it begins with the last response."""
        state = KeyState(self._monotonic())
        for known in self._all.values():
            body = known.state.body
            if body is not None and _identify_source(known.entry) == _identify_source(entry):
                read = await run_in_slices(read_jwk_set_in_steps(entry, body))
                state.keys, state.body = read.keys, body
                state.schedule.good_at = known.state.schedule.good_at
                break
        return self._all.get(fingerprint_entry(entry)) or self._add(entry, state)

    def _add(self, entry: IssuerEntry, state: KeyState) -> _TrackedEntry:
        get = self._get or partial(self._http.get, ca_file=entry.ca_file)
        followed = _TrackedEntry(entry, KeySetFetcher(entry, get, self._monotonic), state)
        self._all[fingerprint_entry(entry)] = followed
        self._schedule_fetch(followed)
        return followed

    # --- what is known ------------------------------------------------------------------------------------------

    async def wait_for_changes(self) -> tuple[KeyChange, ...]:
        """Wait until the keys of entries in force change; return all changes so far."""
        changes = [await self._changes.get()]
        while not self._changes.empty():
            changes.append(self._changes.get_nowait())
        return tuple(changes)

    def get_keys(self, issuers: Iterable[IssuerEntry]) -> Mapping[EntryName, tuple[Key, ...]]:
        """Return the current keys of those entries that have any, to be put in force."""
        found = [
            self._all[fingerprint_entry(entry)]
            for entry in _select_remote(issuers)
            if fingerprint_entry(entry) in self._all
        ]
        for followed in found:
            followed.given = followed.state.keys
        return {followed.entry.name: followed.given for followed in found if followed.given}

    @property
    def entries_without_keys(self) -> tuple[EntryName, ...]:
        """The entries in force without keys: their tokens are rejected as `keys_unavailable`."""
        return tuple(name for name, one in self._in_force.items() if not one.given)

    async def wait_for_keys(self, seconds: float) -> tuple[EntryName, ...]:
        """Wait, for at most `seconds`, until every entry in force has keys and they are in force.

        Returns:
            The entries that have no keys then.
        """
        await self._wait_until(lambda: not self.entries_without_keys, seconds)
        return self.entries_without_keys

    def build_status(self) -> dict[str, dict[str, Any]]:
        """Return the status of each entry in force, for administrators; it contains no key or token."""
        now = self._monotonic()
        return {name: report.build_status(one.state, now) for name, one in self._in_force.items()}

    # --- keys that tokens name ----------------------------------------------------------------------------------

    def request_key(self, entry: EntryName, kid: str | None) -> KeyStatus:
        """Request a key that a token names and that is unknown, or did not sign it; return its status.

        Starts a fetch if none runs and the last one began long enough ago. The cost is constant, however often this
        is called.

        Args:
            entry: The entry of the token.
            kid: The token's `kid`; `None` if it names none.
        """
        followed = self._in_force.get(entry)
        if followed is None:
            return KeyStatus.ABSENT
        schedule = followed.state.schedule
        due = schedule.next
        asked = followed.state.request_key(kid, self._monotonic())
        if asked is KeyStatus.PENDING and followed.task is None:
            self._begin_fetch(followed)
        elif schedule.next < due:
            self._schedule_fetch(followed)
        return asked

    def call_when_answered(self, entry: EntryName, callback: Callable[[], None]) -> None:
        """Call back once, after the running fetch has ended and the keys that it brought are in force.

        If none runs, call back in the next turn of the loop.
        """
        followed = self._in_force.get(entry)
        if followed is None or followed.task is None:
            asyncio.get_running_loop().call_soon(callback)
        else:
            followed.waiting.append(callback)

    def compute_wait(self, entry: EntryName) -> float | None:
        """Return in how many seconds the provider is asked next; `None` for an entry with local keys."""
        followed = self._in_force.get(entry)
        if followed is None:
            return None
        schedule = followed.state.schedule
        return SOON if schedule.running else schedule.seconds_left(self._monotonic())

    # --- fetching -----------------------------------------------------------------------------------------------

    def _schedule_fetch(self, followed: _TrackedEntry) -> None:
        followed.disarm()
        wait = followed.state.schedule.seconds_left(self._monotonic())
        if wait == 0:
            self._begin_fetch(followed)
        else:
            followed.timer = asyncio.get_running_loop().call_later(wait, self._begin_fetch, followed)

    def _begin_fetch(self, followed: _TrackedEntry) -> None:
        followed.disarm()
        followed.state.note_start(self._monotonic())
        followed.task = asyncio.ensure_future(self._fetch(followed))

    async def _fetch(self, followed: _TrackedEntry) -> None:
        try:
            found = await self._fetch_key_set(followed)
        except Exception as error:  # noqa: BLE001 - whatever the cause, the entry must be fetched again
            report.report_defect(followed.entry.name, error)
            found = FetchFailure("the fetch failed because of a defect")
        followed.state.requests = followed.fetcher.requests
        if isinstance(found, FetchFailure):
            await self._handle_failure(followed, found.why)
        else:
            await self._handle_success(followed, *found)
        followed.task = None
        self._schedule_fetch(followed)
        self._wake_waiters()
        self._release(followed)

    async def _fetch_key_set(self, followed: _TrackedEntry) -> tuple[FetchedKeySet, JwkSet] | FetchFailure:
        found = await followed.fetcher.fetch()
        if isinstance(found, FetchFailure):
            return found
        read = await run_in_slices(read_jwk_set_in_steps(followed.entry, found.body))
        if read.keys:
            return found, read
        return followed.fetcher.refuse(read.problems[0].message)

    async def _handle_success(self, followed: _TrackedEntry, found: FetchedKeySet, read: JwkSet) -> None:
        state = followed.state
        old = state.keys
        changed = state.accept(read.keys, found.body)
        report.report_success(followed.entry.name, state, old, read.problems)
        if changed:
            await self._notify_changed(followed)
        state.note_success(self._monotonic(), found.fresh_for, self._jitter())

    async def _handle_failure(self, followed: _TrackedEntry, why: str) -> None:
        now = self._monotonic()
        dropped = followed.state.note_failure(why, now, self._jitter())
        report.report_failure(followed.entry.name, followed.state, now, dropped=dropped)
        if dropped:
            await self._notify_changed(followed)

    async def _notify_changed(self, followed: _TrackedEntry) -> None:
        # An entry that is only prepared is not in force: the reload that prepares it takes its keys.
        if self._in_force.get(followed.entry.name) is followed:
            await self._report_change(followed.entry.name)

    async def _report_change(self, entry: EntryName) -> None:
        """Return once the keys of this moment have been taken in."""
        change = KeyChange(entry, asyncio.Event())
        self._changes.put_nowait(change)
        await change.taken_in.wait()

    def _release(self, followed: _TrackedEntry) -> None:
        """Call back those who wait for this entry's fetch."""
        waiting, followed.waiting = followed.waiting, []
        if waiting:
            self._tasks.start(_call_all(waiting))

    async def _wait_until(self, met: Callable[[], bool], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not met():
                    await self._ended.wait()
        except TimeoutError:
            return

    def _wake_waiters(self) -> None:
        """Let `_wait_until` check its condition again."""
        self._ended.set()
        self._ended = asyncio.Event()

    async def close(self) -> None:
        """Cancel all fetches; nothing is called back from now on."""
        fetches = [followed.task for followed in self._all.values() if followed.task is not None]
        for followed in self._all.values():
            followed.stop()
        self._all.clear()
        self._in_force = {}
        await self._tasks.cancel()
        await asyncio.gather(*fetches, return_exceptions=True)
        await self._http.close()


def _select_remote(issuers: Iterable[IssuerEntry]) -> list[IssuerEntry]:
    return [entry for entry in issuers if entry.remote is not None]


def _identify_source(entry: IssuerEntry) -> tuple[object, ...]:
    """Return what identifies the source of an entry's keys."""
    source = entry.sources[0]
    return entry.name, entry.issuer, source.kind, source.name, entry.allow_http, entry.ca_file


async def _call_all(callbacks: Iterable[Callable[[], None]]) -> None:
    """Call them all, in slices: each may verify a token again, and a whole crowd may have waited."""
    slicer = Slicer()
    for callback in callbacks:
        try:
            callback()
        except Exception as error:  # noqa: BLE001 - the others wait for their answers
            log(logging.ERROR, "key_waiter_failed", "reporting a fetched key failed", exc=error)
        if slicer.is_over():
            await slicer.pause()
