"""Lets time pass for the sessions: tokens that end, and rules that depend on the clock."""

from __future__ import annotations

import asyncio
import time

from compartmentd.sessions.hub import Hub
from compartmentd.telemetry.logs import log_left_out
from compartmentd.telemetry.loop_lag import LoopLag
from compartmentd.util.cooperative import GrowingSlice, yield_to_others

TICK = 0.1
"""Seconds between two ticks: a session ends at most so long after its token."""


class Ticker:
    """Ticks ten times a second; `lag` counts how late the ticks are."""

    def __init__(self, hub: Hub, lag: LoopLag) -> None:
        self._hub = hub
        self._lag = lag
        self._slice = GrowingSlice()
        self._ticked = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since the last tick."""
        return time.monotonic() - self._ticked

    async def run(self) -> None:
        """Tick for as long as the daemon runs."""
        while True:
            self._ticked = time.monotonic()
            more = self._hub.tick(self._slice.compute())
            self._slice.note_end(is_behind=more)
            wait = 0.0 if more else TICK
            due = time.monotonic() + wait
            await asyncio.sleep(wait)
            self._lag.note(time.monotonic() - due)
            if more:
                await yield_to_others()
            log_left_out()
