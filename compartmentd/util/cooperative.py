"""Long work on the event loop, done a slice at a time, so that nobody else waits for more than a slice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from typing import TypeVar

SLICE = 0.002
"""Seconds for which one piece of long work may hold the loop at a time."""

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
