"""Orders reloads: one at a time, each of them all or nothing, and done when every live session is judged."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from functools import partial
from typing import TypeAlias

import msgspec

from compartmentd.control.builder import GenerationBuilder
from compartmentd.control.generation import Candidate, Generation, Subscriber
from compartmentd.control.release import free, gather_parts, list_templates
from compartmentd.control.reload_report import ReloadReport, ReloadTally, TakenIn, log_report
from compartmentd.keys.remote import RemoteKeys
from compartmentd.problems import Problem, span_of_file
from compartmentd.sessions.hub import Hub
from compartmentd.sessions.reevaluate import Evictions
from compartmentd.telemetry.logs import log
from compartmentd.telemetry.tracing import NoTracing, Tracing
from compartmentd.util.cooperative import GrowingSlice, run_in_slices, yield_to_others
from compartmentd.util.gc_tuning import freeze_existing, without_collections
from compartmentd.util.tasks import SingleFlight


class Scope(Enum):
    """The part that a reload reads again; the rest is taken as it is in force."""

    ALL = auto()
    KEYS = auto()
    CERTIFICATE = auto()
    FETCHED_KEYS = auto()


AtRest: TypeAlias = Callable[[], Awaitable[bool]]
"""Asks whether what a reload has read was not being written meanwhile."""


class StillWrittenError(Exception):
    """A file was open for writing while it was read, so nothing was put in force."""


class Reloader:
    """Carries out reloads and holds the generation in force."""

    def __init__(
        self, builder: GenerationBuilder, first: Generation, hub: Hub, tracing: Tracing | None = None
    ) -> None:
        """Begin with the first generation, whose snapshot the hub decides by already."""
        self.generation = first
        self.tally = ReloadTally()
        self._builder = builder
        self._hub = hub
        self._tracing = tracing or NoTracing()
        self._subscribers: tuple[Subscriber, ...] = ()
        self._flight: SingleFlight[tuple[Scope, bool], ReloadReport] = SingleFlight()
        self._taken_in: TakenIn | None = None
        # The last of each scope: that keys are well says nothing about files that were refused before.
        self._last: dict[Scope, ReloadReport] = {}

    def subscribe(self, *subscribers: Subscriber) -> None:
        """Let these parts adopt what is in force now, and every change of it, in this order."""
        self._subscribers = (*self._subscribers, *subscribers)
        for subscriber in subscribers:
            subscriber.adopt(self.generation)
        self._drop_contents()

    async def reload(
        self, cause: str, scope: Scope = Scope.ALL, at_rest: AtRest | None = None
    ) -> ReloadReport:
        """Reload; returns once the result is in force for every session, or is refused.

        All who ask for the same scope before a reload of it begins get one reload, apart from those who ask by
        hand (without `at_rest`): theirs takes the files as they are.

        Args:
            cause: why, for the log (`watch`, `SIGHUP`, `request`, …).
            scope: what to read again.
            at_rest: asked once the files are read.

        Raises:
            StillWrittenError: `at_rest` said no; nothing has changed.
        """
        key = (scope, at_rest is None)
        return await self._flight.run(key, partial(self._reload_in_turn, cause, scope, at_rest))

    async def wait(self) -> None:
        """Wait for the reloads that were asked for."""
        await self._flight.wait()

    @property
    def last(self) -> ReloadReport | None:
        """How the last reload ended; while something on disk is refused, how the last that refused it did."""
        refused = [report for report in self._last.values() if not report.ok]
        return max(refused or self._last.values(), key=lambda report: report.at, default=None)

    # --- one reload ---------------------------------------------------------------------------------------------

    async def _reload_in_turn(self, cause: str, scope: Scope, at_rest: AtRest | None) -> ReloadReport:
        started = time.monotonic()
        with self._tell_subscribers(), self._tracing.trace_reload(cause) as trace, without_collections():
            before = self.generation.number
            report = await self._reload(cause, scope, at_rest)
            trace(ok=report.ok, changed=report.changed, generation=report.generation)
            if report.changed:
                freeze_existing()
            if report.generation != before and scope is not Scope.FETCHED_KEYS:
                self._taken_in = TakenIn.from_report(report, cause)
            elif report.ok and not report.changed:
                report = msgspec.structs.replace(report, taken_in=self._taken_in)
            if report.ok and scope is Scope.ALL:
                self._last.clear()  # it has read all that the others read
            self._last[scope] = report
        seconds = time.monotonic() - started
        self.tally.add(report, seconds)
        log_report(report, cause, seconds)
        return report

    @contextmanager
    def _tell_subscribers(self) -> Iterator[None]:
        for subscriber in self._subscribers:
            subscriber.begin()
        try:
            yield
        finally:
            for subscriber in self._subscribers:
                subscriber.end()

    async def _reload(self, cause: str, scope: Scope, at_rest: AtRest | None) -> ReloadReport:
        """Build a generation and put it in force.

        Until then nothing has changed, so an error of the system refuses the reload like a bad file does. After it
        any error ends the daemon: it is not known what is missing.
        """
        try:
            candidate = await self._read(cause, scope)
            if at_rest is not None and not await at_rest():
                templates = list(list_templates(candidate.loaded.configuration))
                del candidate
                await run_in_slices(free(templates))
                raise StillWrittenError
            # Nothing in force is named here: held by this frame, it would be freed at once at the end (55 ms).
            built = None if candidate.refused else await self._builder.build(candidate, self.generation)
        except OSError as error:
            return self._build_refusal((self._describe(error),))
        if built is not None:
            return await self._put_in_force(built, candidate.problems, scope)
        report = self._build_refusal(candidate.problems)
        if scope is Scope.ALL:
            self._remember_refused(candidate)
        templates = list(list_templates(candidate.loaded.configuration))
        del candidate
        await run_in_slices(free(templates))
        return report

    async def _read(self, cause: str, scope: Scope) -> Candidate:
        builder, current = self._builder, self.generation
        match scope:
            case Scope.ALL:
                return await builder.read_all(cause, current)
            case Scope.KEYS:
                return await builder.read_keys(cause, current)
            case Scope.CERTIFICATE:
                return await builder.read_certificate(cause, current)
            case Scope.FETCHED_KEYS:
                return builder.take_fetched_keys(cause, current)

    async def _put_in_force(
        self, built: Generation, problems: tuple[Problem, ...], scope: Scope
    ) -> ReloadReport:
        """Swap the snapshot, tell the subscribers, judge the live sessions, and free what was in force before."""
        old = self.generation
        changed = built is not old
        mended = scope is Scope.ALL and (old.refused is not None or bool(old.stale))
        if not (changed or mended):
            return self._build_report(problems)
        if mended and old.stale:
            log(logging.WARNING, "last_good_left", "the files on disk are good again, and in force")
        refused, stale = (None, ()) if mended else (old.refused, old.stale)
        self.generation = built = msgspec.structs.replace(built, refused=refused, stale=stale)
        swapped = built.snapshot is not old.snapshot
        if swapped:
            self._hub.swap(built.snapshot)
        try:
            self._adopt()
            if swapped:
                await yield_to_others()
        finally:
            # Whatever fails there: nobody may keep what the new policy denies, or wait for it for ever.
            if swapped:
                await judge_all(self._hub)
        if old.snapshot.rules is not built.snapshot.rules:
            parts = await run_in_slices(gather_parts(old.snapshot))
            del old
            await run_in_slices(free(parts))
        return self._build_report(problems, changed=changed, judged=swapped)

    def _adopt(self) -> None:
        for subscriber in self._subscribers:
            subscriber.adopt(self.generation)
        self._drop_contents()

    def _drop_contents(self) -> None:
        """Keep no bytes of files beyond their adoption."""
        loaded = msgspec.structs.replace(self.generation.loaded, contents=())
        self.generation = msgspec.structs.replace(self.generation, loaded=loaded)

    def _remember_refused(self, candidate: Candidate) -> None:
        """Let the subscribers know which files on disk are refused; what decides stays as it is."""
        loaded = msgspec.structs.replace(candidate.loaded, configuration=None, contents=())
        stale = candidate.problems if self.generation.stale else ()
        self.generation = msgspec.structs.replace(
            self.generation, refused=loaded, stale=stale, read_at=candidate.read_at
        )
        self._adopt()

    # --- how it ended -------------------------------------------------------------------------------------------

    def _build_report(
        self, problems: tuple[Problem, ...], *, changed: bool = False, judged: bool = False
    ) -> ReloadReport:
        return ReloadReport(
            ok=True,
            changed=changed,
            generation=self.generation.number,
            digest=self.generation.digest,
            judged=self._hub.judged if judged else 0,
            evicted=self._hub.evicted if judged else Evictions(),
            problems=problems,
            at=time.time(),
        )

    def _build_refusal(self, problems: tuple[Problem, ...]) -> ReloadReport:
        return ReloadReport(
            ok=False,
            generation=self.generation.number,
            digest=self.generation.digest,
            problems=problems,
            at=time.time(),
        )

    def _describe(self, error: OSError) -> Problem:
        what = f"`{error.filename}`: " if isinstance(error.filename, str) else ""
        return Problem(
            "error",
            "reload.failed",
            f"the reload failed: {what}{(error.strerror or 'unknown error').lower()}",
            span_of_file(self._builder.path),
            "nothing was changed; run `compartmentd reload` when that is mended",
        )


async def judge_all(hub: Hub) -> None:
    """Judge every session that the snapshot in force has not judged yet, in slices; returns when all are judged.

    Where only judgements are left that wait for answers, this sleeps until the last of them has ended.
    """
    growing = GrowingSlice()
    while not hub.judge_some(growing.compute()):
        growing.note_end(is_behind=True)
        seconds = hub.compute_judging_wait()
        if seconds == 0.0:
            await yield_to_others()
            continue
        judged = asyncio.Event()
        hub.call_when_judged(judged.set)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await judged.wait()


async def take_in_fetched_keys(remote: RemoteKeys, reloader: Reloader) -> None:
    """Put keys that are fetched in force, for as long as the daemon runs."""
    while True:
        changes = await remote.wait_for_changes()
        names = ", ".join(dict.fromkeys(change.entry for change in changes))
        await reloader.reload(f"keys of {names}", Scope.FETCHED_KEYS)
        for change in changes:
            change.taken_in.set()
