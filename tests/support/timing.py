"""How long a test waits: never by luck, and longer where the machine is slow."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

FACTOR = float(os.environ.get("COMPARTMENTD_TEST_TIMEOUT_FACTOR", "1"))
"""Every waiting time of the tests is multiplied by this; raise it on a slow machine."""


def seconds(count: float) -> float:
    """Return a waiting time, fitted to the machine."""
    return count * FACTOR


def environment_without_coverage() -> dict[str, str]:
    """Return the environment of a child process that measures: coverage would count its lines and slow it down."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


async def within(limit: float, wanted: Awaitable[T], what: str) -> T:
    """Await something that must happen within `limit` seconds; `what` names it in the failure."""
    try:
        async with asyncio.timeout(seconds(limit)):
            return await wanted
    except TimeoutError:
        message = f"not within {seconds(limit):g} s: {what}"
        raise AssertionError(message) from None


async def eventually(holds: Callable[[], T], what: str, limit: float = 10) -> T:
    """Wait until `holds()` is true, and return what it returned; for states that nothing announces."""
    deadline = time.monotonic() + seconds(limit)
    while not (value := holds()):
        if time.monotonic() > deadline:
            message = f"not within {seconds(limit):g} s: {what}"
            raise AssertionError(message)
        await asyncio.sleep(0.01)
    return value


async def fastest(attempt: Callable[[], Awaitable[float]], limit: float, most: int = 5) -> float:
    """Return the seconds that the fastest of some attempts took; the first below `limit` is the last.

    What else the machine does can only make an attempt slower: one that is fast enough shows what the code does.
    """
    times = [await attempt()]
    while min(times) >= seconds(limit) and len(times) < most:
        times.append(await attempt())
    return min(times)
