"""When new sockets are accepted."""

from __future__ import annotations

from typing import Any, cast

from compartmentd.transport.connections import Connections
from compartmentd.transport.entrance import Entrance
from compartmentd.transport.options import ServerOptions
from compartmentd.transport.router import SocketRouter


class Poller:
    has_ended_sockets = False


async def test_newcomers_wait_for_those_who_left_but_not_for_a_stream_of_them() -> None:
    connections = Connections(lambda *_: None, ServerOptions())  # type: ignore[arg-type, return-value]  # makes none
    entrance = Entrance(connections, cast(SocketRouter, None))
    poller = Poller()
    entrance._poller = cast(Any, poller)
    now = 100.0
    entrance._now = lambda: now
    assert not entrance.is_busy
    poller.has_ended_sockets = True
    assert entrance.is_busy
    now = 100.05
    assert entrance.is_busy
    now = 100.2
    assert not entrance.is_busy, "however many leave meanwhile"
    poller.has_ended_sockets = False
    assert not entrance.is_busy
    poller.has_ended_sockets = True
    assert entrance.is_busy, "it begins anew"
    connections.stop()
