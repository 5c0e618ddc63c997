"""Long work beside others on the loop: done a little at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from typing import TypeVar

Made = TypeVar("Made")


async def others_first() -> None:
    """Let whatever others have to do be done: one turn of the loop reads what came, one handles it, one writes.

    After a single turn the answer to a message that came during a slice would wait for the next slice, and the one
    after it. A turn without work costs 20 µs.
    """
    for _ in range(3):
        await asyncio.sleep(0)


async def in_slices(steps: Generator[None, None, Made], seconds: float) -> Made:
    """Run work that pauses to its end and return what it made, letting others run about every `seconds`.

    They run once more at the end, so that what the caller goes on with has a turn of its own.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            made: Made = finished.value
            await others_first()
            return made
        if time.monotonic() > until:
            await others_first()
            until = time.monotonic() + seconds
