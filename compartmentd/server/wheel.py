"""One timer for all connections: deadlines in slots, each slot a list, and only the next slot awaited.

A loop timer per connection would cost a heap entry and a handle each; heartbeats only need to be about right.
"""

from __future__ import annotations

import heapq
import logging
from math import ceil, inf
from typing import Protocol

from compartmentd.logs import log

RESOLUTION = 0.02
"""Seconds: how late a deadline may be noticed, far below any that is set."""


class Timer(Protocol):
    """What the wheel wakes. `due` is the wheel's own note of when; it begins as infinity."""

    due: float

    def tick(self, now: float) -> float | None:
        """Do what is due; return when to be called again, `None` for never."""


class TimerWheel:
    """Deadlines by slot. Times are of one monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._slots: list[int] = []  # a heap of the occupied slots
        self._timers: dict[int, list[tuple[float, Timer]]] = {}

    @property
    def next(self) -> float | None:
        """When the next slot is due."""
        return self._slots[0] * RESOLUTION if self._slots else None

    def arm(self, timer: Timer, at: float) -> None:
        """Wake the timer at this time. One that is armed for an earlier time stays so, and is asked then."""
        if timer.due <= at or at == inf:
            return
        timer.due = at
        slot = ceil(at / RESOLUTION)
        timers = self._timers.get(slot)
        if timers is None:
            self._timers[slot] = timers = []
            heapq.heappush(self._slots, slot)
        timers.append((at, timer))

    def turn(self, now: float) -> None:
        """Wake everything that is due."""
        while self._slots and self._slots[0] * RESOLUTION <= now:
            for at, timer in self._timers.pop(heapq.heappop(self._slots)):
                # Armed anew for an earlier time since, which has passed: this entry is left over.
                if timer.due == at:
                    self.wake(timer, now)

    def wake(self, timer: Timer, now: float) -> None:
        """Let one timer do what is due, and arm it again as it says."""
        timer.due = inf
        try:
            again = timer.tick(now)
        except Exception as error:  # noqa: BLE001 - one timer's must not stop the heartbeats of all others
            log(logging.ERROR, "timer_failed", "a timer failed", exc=error)
            return
        if again is not None:
            self.arm(timer, again)
