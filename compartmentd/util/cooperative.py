"""Long work on the event loop, done a slice at a time, so that nobody else waits for more than a slice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from typing import TypeVar

SLICE = 0.002
"""Seconds for which one piece of long work may hold the loop at a time."""

MOST_SHARE = 0.75
"""The share of the loop that work gets which has been behind for `FULL_SHARE_AFTER` seconds."""

FULL_SHARE_AFTER = 0.25
"""Seconds over which the share of work that is behind grows, from next to nothing."""

LONGEST_SLICE = 0.05
"""Seconds of a slice at most, however long the others take: they wait for it."""

T = TypeVar("T")


async def yield_to_others() -> None:
    """Let all other work run once: one turn of the loop reads what came, one handles it, one writes.

    After a single turn the answer to a message that came during a slice would wait for the next slice, and the next
    message for the one after. A turn without work costs 20 µs.
    """
    for _ in range(3):
        await asyncio.sleep(0)


class Slicer:
    """Measures the slices of long work: between two steps, ask `is_over` and if so `pause`."""

    def __init__(self, seconds: float = SLICE) -> None:
        """Begin the first slice now."""
        self._seconds = seconds
        self._until = time.monotonic() + seconds

    def is_over(self) -> bool:
        """Return whether the slice has lasted long enough."""
        return time.monotonic() > self._until

    async def pause(self) -> None:
        """Let others run, and begin the next slice."""
        await yield_to_others()
        self._until = time.monotonic() + self._seconds


class GrowingSlice:
    """The length of the next slice of work that must not fall behind: ending sessions, and judging them.

    On a busy loop all others take 20 to 150 ms between two slices, so slices of 2 ms would get a tenth of it or a
    hundredth. The longer the work is behind, the larger is the share that it gets.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with work that is not behind."""
        self._clock = clock
        self._behind_since: float | None = None
        self._ended = 0.0

    def compute(self) -> float:
        """Return how many seconds the slice may take that begins now."""
        if self._behind_since is None:
            return SLICE
        now = self._clock()
        share = MOST_SHARE * min(1.0, (now - self._behind_since) / FULL_SHARE_AFTER)
        return min(LONGEST_SLICE, max(SLICE, (now - self._ended) * share / (1.0 - share)))

    def note_end(self, *, is_behind: bool) -> None:
        """Note that a slice has ended, and whether work is left that is due."""
        self._ended = self._clock()
        if not is_behind:
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = self._ended


async def run_in_slices(steps: Generator[None, None, T], seconds: float = SLICE) -> T:
    """Run a generator to its end and return its value, letting others run about every `seconds`.

    They run once more at the end, so that the next step of the caller has a slice of its own.
    """
    slicer = Slicer(seconds)
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            value: T = finished.value
            await yield_to_others()
            return value
        if slicer.is_over():
            await slicer.pause()
