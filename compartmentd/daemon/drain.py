"""Closes all connections at the end, each told that the server goes away."""

from __future__ import annotations

import asyncio
from functools import partial

from compartmentd.daemon.stop import Stop
from compartmentd.protocol.connection import EngineConnection
from compartmentd.protocol.multiplex import SocketConnection
from compartmentd.sessions.hub import Hub
from compartmentd.transport.server import SocketServer

HANDING_OVER = 1.0
"""Seconds in which clients that were accepted right before the end still have their request answered, where the
service manager holds the listeners: later ones wait there for the next process, so that none is refused."""


async def drain(server: SocketServer, hub: Hub, seconds: float, stop: Stop, *, linger: bool) -> None:
    """Let nobody in any more, and close the connections over so many seconds; at once when asked to stop again.

    With `linger` clients that have just been accepted are served for another `HANDING_OVER` seconds.
    """
    draining = server.drain(seconds, partial(_announce_end, hub))
    if linger and seconds:
        server.stop_accepting()
        await asyncio.sleep(HANDING_OVER)
    server.stop()
    hub.refuse_newcomers()
    closing = asyncio.ensure_future(draining.run())
    hurry = asyncio.ensure_future(stop.repeated.wait())
    await asyncio.wait({closing, hurry}, return_when=asyncio.FIRST_COMPLETED)
    hurry.cancel()
    draining.hurry()
    await closing


def _announce_end(hub: Hub, connection: EngineConnection) -> None:
    if isinstance(connection, SocketConnection):
        hub.announce_end(connection.sessions)
