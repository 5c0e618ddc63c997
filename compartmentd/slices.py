"""Long work beside others on the loop: done a little at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from typing import TypeVar

Made = TypeVar("Made")


async def in_slices(steps: Generator[None, None, Made], seconds: float) -> Made:
    """Run work that pauses to its end and return what it made, letting others run about every `seconds`."""
    until = time.monotonic() + seconds
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            made: Made = finished.value
            return made
        if time.monotonic() > until:
            await asyncio.sleep(0)
            until = time.monotonic() + seconds
