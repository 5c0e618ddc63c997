"""An ended connection is freed at once: nothing of it waits for the cycle collector, which runs rarely."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from compartmentd.net.tornado_streams import ResumedStream
from compartmentd.protocol.multiplex import SocketConnection
from compartmentd.protocol.websocket import MessageReader
from compartmentd.sessions.session import Membership, Room, Session
from compartmentd.transport.options import ServerOptions
from compartmentd.transport.polling_http import PollingHttpConnection
from compartmentd.transport.polling_link import PollingLink
from compartmentd.transport.websocket_link import WebSocketLink
from tests.support.recorder import Recorder
from tests.support.timing import eventually
from tests.support.wire import CLOSE, Serving, WebSocket, frame, request, serving
from tests.support.world import ISSUERS, World

KINDS = (
    SocketConnection,
    WebSocketLink,
    MessageReader,
    PollingLink,
    PollingHttpConnection,
    Session,
    Membership,
    Room,
)

POLICY = (
    ISSUERS
    + """
namespaces:
  /:
    connect: authenticated
    rooms:
      lobby: {join: public, publish: members, events: [message]}
"""
)

PATIENT = ServerOptions(ping_interval=600, ping_timeout=600, connect_timeout=600)
"""What would be due much later keeps nothing, either."""


@pytest.fixture
def uncollected() -> Iterator[Callable[[], list[str]]]:
    """Yield what tells the names of our objects that are there beside those from before, without collecting."""
    gc.collect()
    before = {id(each) for each in gc.get_objects() if isinstance(each, KINDS)}
    gc.disable()
    try:
        yield lambda: [
            type(each).__name__
            for each in gc.get_objects()
            if isinstance(each, KINDS) and id(each) not in before
        ]
    finally:
        gc.enable()


async def joined(served: Serving, world: World) -> WebSocket:
    client = await WebSocket.open(served.port, "/socket.io/?EIO=4&transport=websocket")
    client.send("40" + json.dumps({"token": world.token("ann")}))
    client.send('420["join","lobby"]')
    client.send('421["publish","lobby","message",1]')
    while "431" not in str(await client.receive()):
        pass
    return client


def silent(client: WebSocket) -> None:
    client.close()


def engine_close(client: WebSocket) -> None:
    client.send("1")


def close_frame(client: WebSocket) -> None:
    client.raw(frame(CLOSE, b""))


def nonsense(client: WebSocket) -> None:
    client.raw(b"nonsense")


def no_packet(client: WebSocket) -> None:
    client.send("x")


def reset(client: WebSocket) -> None:
    client.writer.transport.abort()


@pytest.mark.parametrize("end", [silent, engine_close, close_frame, nonsense, no_packet, reset])
async def test_a_websocket_leaves_nothing_however_it_ends(
    tmp_path: Path, uncollected: Callable[[], list[str]], end: Callable[[WebSocket], None]
):
    world = World(tmp_path, POLICY)
    async with serving(world.hub, PATIENT) as served:
        client = await joined(served, world)
        assert "Session" in uncollected()
        end(client)
        await client.ended()
        client.close()
        await eventually(lambda: not uncollected(), "nothing left")


async def test_a_message_to_many_leaves_nothing(tmp_path: Path, uncollected: Callable[[], list[str]]):
    """A reload exempts what exists from collections: connections that a message held in a cycle stayed for good."""
    world = World(tmp_path, POLICY)
    async with serving(world.hub, PATIENT) as served:
        clients = [await joined(served, world) for _ in range(6)]
        clients[0].send('427["publish","lobby","message","to all"]')
        for client in clients[1:]:
            while "to all" not in str(await client.receive()):
                pass
        world.tick()  # as the daemon does, all the time
        for client in clients:
            client.close()
        await eventually(lambda: not uncollected(), "nothing left")


async def test_polling_leaves_nothing(tmp_path: Path, uncollected: Callable[[], list[str]]):
    world = World(tmp_path, POLICY)
    async with serving(world.hub, PATIENT) as served:
        polling = "/socket.io/?EIO=4&transport=polling"
        sid = json.loads((await request(served.port, "GET", polling)).text[1:])["sid"]
        target = f"{polling}&sid={sid}"
        await request(served.port, "POST", target, b"40" + json.dumps({"token": world.token("ann")}).encode())
        assert "Session" in uncollected()
        await request(served.port, "POST", target, b"1")
        await eventually(lambda: not uncollected(), "nothing left")


async def test_a_socket_that_fails_under_tornado_leaves_nothing():
    """Its error's traceback held it and a read buffer of 64 KiB: 2,000 of them were 140 MiB for the collector."""
    gc.collect()
    gc.disable()
    try:
        async with serving(Recorder()) as served:
            for _ in range(20):
                with socket.create_connection(("127.0.0.1", served.port)) as sock:
                    sock.sendall(b"nonsense")
                    await asyncio.sleep(0.01)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await eventually(lambda: len(served.server.pending) == 0, "all are gone")
            await asyncio.sleep(0.05)
            left = [each for each in gc.get_objects() if isinstance(each, ResumedStream)]
            assert not left
    finally:
        gc.enable()
