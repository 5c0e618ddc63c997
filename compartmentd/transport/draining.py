"""Closes all connections little by little, so that their clients do not all reconnect elsewhere at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from compartmentd.protocol.connection import EngineConnection
from compartmentd.protocol.lifecycle import Phase
from compartmentd.transport.connections import Connections

SHUTTING_DOWN = "server shutting down"

_AT_ONCE = 100
"""Connections closed before other work has its turn, if there is no time between them."""


class Draining:
    """Closes the connections in random order, each at a random moment of its own share of the time.

    `part` is called right before a connection is closed, so that the application can tell the client why.
    """

    def __init__(
        self, connections: Connections, seconds: float, part: Callable[[EngineConnection], None]
    ) -> None:
        self._connections = connections
        self._seconds = seconds
        self._part = part
        self._hurried = asyncio.Event()

    def hurry(self) -> None:
        """Close the remaining connections at once."""
        self._hurried.set()

    async def run(self) -> None:
        """Close all connections; return once all have ended, at the latest when the time is over."""
        leaving = list(self._connections)
        random.shuffle(leaving)
        share = self._seconds / max(1, len(leaving))
        started = self._connections.now()
        for index, connection in enumerate(leaving):
            if _has_ended(connection):
                continue
            # Evenly, with jitter: neither in step with the clients' timers, nor in bunches.
            due = started + share * (index + random.random())  # noqa: S311 - decides nothing
            await self._wait(due - self._connections.now())
            if not _has_ended(connection):
                self._part(connection)
                connection.close(SHUTTING_DOWN)
            if index % _AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _wait(self, seconds: float) -> None:
        """Wait, unless `hurry` was called or no connection is left."""
        if seconds <= 0 or self._hurried.is_set():
            return
        ends = [
            asyncio.ensure_future(self._hurried.wait()),
            asyncio.ensure_future(self._connections.wait_until_empty(seconds)),
        ]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        await asyncio.gather(*ends, return_exceptions=True)


def _has_ended(connection: EngineConnection) -> bool:
    return connection.phase is Phase.CLOSED
