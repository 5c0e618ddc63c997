"""One timer for all connections: deadlines in slots, of which only the next one is awaited.

A timer of the loop for each connection would cost a heap entry and a handle each; heartbeats and timeouts only need
to be about right.
"""

from __future__ import annotations

import heapq
import logging
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable
from math import ceil, inf
from typing import Protocol

from compartmentd.telemetry.logs import log

RESOLUTION = 0.02
"""Seconds: how late a deadline may be noticed, far below any that is set."""

AT_ONCE = 256
"""Timers woken in one turn of the loop. Thousands that ended together close their connections together some time
later; this many take milliseconds, including what they send."""


class Timer(Protocol):
    """An object that the wheel wakes. `due` is the wheel's own note of the time; it begins as infinity."""

    due: float

    def tick(self, now: float) -> float | None:
        """Do what is due; return the time of the next call, `None` for never."""


class TimerWheel:
    """Deadlines by slot. Times are of one monotonic clock, in seconds.

    INVARIANT: a timer whose `due` is finite is in that slot and in no other; any other timer is in none.
    """

    def __init__(self) -> None:
        self._slots: list[int] = []  # a heap of the keys of `_timers`
        self._timers: dict[int, dict[Timer, None]] = {}

    def __len__(self) -> int:
        """Return how many timers are armed."""
        return sum(map(len, self._timers.values()))

    @property
    def next(self) -> float | None:
        """The time of the next slot, `None` if there is none."""
        return self._slots[0] * RESOLUTION if self._slots else None

    def arm(self, timer: Timer, at: float) -> None:
        """Wake the timer at this time. A timer that is armed for an earlier time keeps that, and is asked then."""
        # Without calls where that is possible: each connection is armed several times before it has a session.
        due = timer.due
        if due <= at or at == inf:
            return
        if due != inf:
            self.disarm(timer)
        timer.due = at
        slot = ceil(at / RESOLUTION)
        timers = self._timers.get(slot)
        if timers is None:
            self._timers[slot] = timers = {}
            heapq.heappush(self._slots, slot)
        timers[timer] = None

    def disarm(self, timer: Timer) -> None:
        """Forget the timer, if it is armed."""
        if timer.due != inf:
            timers = self._timers.get(ceil(timer.due / RESOLUTION))
            timer.due = inf
            if timers is not None:
                timers.pop(timer, None)

    def turn(self, now: float) -> None:
        """Wake the timers that are due, `AT_ONCE` of them at most; if there are more, `next` stays in the past."""
        for _ in range(AT_ONCE):
            timers = self._find_due(now)
            if timers is None:
                return
            timer, _ = timers.popitem()
            self.wake(timer, now)

    def wake(self, timer: Timer, now: float) -> None:
        """Let one timer do what is due, and arm it again as it says."""
        self.disarm(timer)
        try:
            again = timer.tick(now)
        except Exception as error:  # noqa: BLE001 - the failure of one timer must not stop all others' heartbeats
            log(logging.ERROR, "timer_failed", "a timer failed", exc=error)
            return
        if again is not None:
            self.arm(timer, again)

    def _find_due(self, now: float) -> dict[Timer, None] | None:
        """Return timers that are due, without taking them out; `None` if none is."""
        while self._slots and self._slots[0] * RESOLUTION <= now:
            timers = self._timers[self._slots[0]]
            if timers:
                return timers
            del self._timers[heapq.heappop(self._slots)]
        return None


class Timers:
    """A timer wheel that an event loop turns; times are the loop's own."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._wheel = TimerWheel()
        self._alarm: TimerHandle | None = None
        self._alarm_at = inf  # the time of `_alarm`, infinite if there is none
        self.now: Callable[[], float] = loop.time
        """Return the loop's time in seconds."""
        self.disarm = self._wheel.disarm
        """Forget a timer, which would be kept alive until its time otherwise."""

    def __len__(self) -> int:
        """Return how many timers are armed."""
        return len(self._wheel)

    def arm(self, timer: Timer, at: float) -> None:
        """Wake the timer at this time, or earlier if it was armed for an earlier time."""
        self._wheel.arm(timer, at)
        if at < self._alarm_at:
            self._set_alarm()

    def wake_overdue(self, timer: Timer, now: float) -> None:
        """Wake a timer whose time has come, since the wheel may be a little late."""
        if timer.due <= now:
            self._wheel.wake(timer, now)
            self._set_alarm()

    def close(self) -> None:
        """Wake no timer any more."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm, self._alarm_at = None, inf

    def _set_alarm(self) -> None:
        at = self._wheel.next
        if at is None or self._alarm_at <= at:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        # The time is kept here: uvloop's handle of a call that is due already does not know it.
        self._alarm_at = at
        self._alarm = self._loop.call_at(at, self._turn)

    def _turn(self) -> None:
        self._alarm, self._alarm_at = None, inf
        self._wheel.turn(self._loop.time())
        self._set_alarm()
