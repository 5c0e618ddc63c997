"""One timer for all connections: deadlines in slots, and only the next slot awaited.

A loop timer per connection would cost a heap entry and a handle each; heartbeats only need to be about right.
"""

from __future__ import annotations

import heapq
import logging
from math import ceil, inf
from typing import Protocol

from compartmentd.telemetry.logs import log

RESOLUTION = 0.02
"""Seconds: how late a deadline may be noticed, far below any that is set."""


class Timer(Protocol):
    """What the wheel wakes. `due` is the wheel's own note of when; it begins as infinity."""

    due: float

    def tick(self, now: float) -> float | None:
        """Do what is due; return when to be called again, `None` for never."""


AT_ONCE = 256
"""Timers woken in one turn of the loop: where thousands ended together, each closes its connection some time later.
They are milliseconds, with what they have sent."""


class TimerWheel:
    """Deadlines by slot. Times are of one monotonic clock, in seconds.

    INVARIANT: a timer whose `due` is finite is in that slot and in no other; any other timer is in none.
    """

    def __init__(self) -> None:
        self._slots: list[int] = []  # a heap of those that are in `_timers`
        self._timers: dict[int, dict[Timer, None]] = {}

    def __len__(self) -> int:
        """Return how many timers are armed."""
        return sum(map(len, self._timers.values()))

    @property
    def next(self) -> float | None:
        """When the next slot is due."""
        return self._slots[0] * RESOLUTION if self._slots else None

    def arm(self, timer: Timer, at: float) -> None:
        """Wake the timer at this time. One that is armed for an earlier time stays so, and is asked then."""
        if timer.due <= at or at == inf:
            return
        self.disarm(timer)
        timer.due = at
        slot = _slot(at)
        timers = self._timers.get(slot)
        if timers is None:
            self._timers[slot] = timers = {}
            heapq.heappush(self._slots, slot)
        timers[timer] = None

    def disarm(self, timer: Timer) -> None:
        """Wake the timer no more, and let go of it; if it is armed."""
        if timer.due != inf:
            timers = self._timers.get(_slot(timer.due))
            timer.due = inf
            if timers is not None:
                timers.pop(timer, None)

    def turn(self, now: float) -> None:
        """Wake what is due, but no more than may be woken at once: then `next` has passed, and stays so."""
        for _ in range(AT_ONCE):
            timers = self._due(now)
            if timers is None:
                return
            timer, _ = timers.popitem()
            self.wake(timer, now)

    def _due(self, now: float) -> dict[Timer, None] | None:
        """Return timers that are due, without taking them; `None` if none is."""
        while self._slots and self._slots[0] * RESOLUTION <= now:
            timers = self._timers[self._slots[0]]
            if timers:
                return timers
            del self._timers[heapq.heappop(self._slots)]
        return None

    def wake(self, timer: Timer, now: float) -> None:
        """Let one timer do what is due, and arm it again as it says."""
        self.disarm(timer)
        try:
            again = timer.tick(now)
        except Exception as error:  # noqa: BLE001 - one timer's must not stop the heartbeats of all others
            log(logging.ERROR, "timer_failed", "a timer failed", exc=error)
            return
        if again is not None:
            self.arm(timer, again)


def _slot(at: float) -> int:
    return ceil(at / RESOLUTION)
