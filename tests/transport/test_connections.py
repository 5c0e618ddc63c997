"""The alarm that wakes timers, on the loop that the daemon runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from compartmentd.net.timer_wheel import RESOLUTION
from compartmentd.transport.connections import Connections
from compartmentd.transport.options import ServerOptions
from tests.support.timing import seconds


class Sleeper:
    """A timer that tells when it is woken."""

    def __init__(self) -> None:
        self.due = float("inf")
        self.woken = asyncio.Event()

    def tick(self, now: float) -> float | None:
        assert now >= 0
        self.woken.set()
        return None


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_timers_are_woken_that_are_armed_while_another_is_overdue(loop: Callable[[], Any]) -> None:
    async def scene() -> None:
        connections = Connections(lambda *_: None, ServerOptions())  # type: ignore[arg-type, return-value]
        sleepers = [Sleeper() for _ in range(3)]
        now = connections.now()
        # A loop that is late finds the first due before it was armed; those after it meet its alarm.
        for sleeper, at in zip(sleepers, (now - 5 * RESOLUTION, now, now + RESOLUTION), strict=True):
            connections.arm(sleeper, at)
        async with asyncio.timeout(seconds(5)):
            for sleeper in sleepers:
                await sleeper.woken.wait()
        connections.stop()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(scene())
