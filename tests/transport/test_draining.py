"""Draining: the time at which each connection is closed, the message before it, and an early end."""

from __future__ import annotations

import asyncio
import json

import pytest

from compartmentd.protocol.connection import EngineConnection
from compartmentd.protocol.multiplex import SocketConnection
from compartmentd.protocol.socketio import build_event
from tests.support.recorder import Recorder
from tests.support.timing import eventually, within
from tests.support.wire import Closed, Refused, Serving, WebSocket, request, serving

POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"


def part(connection: EngineConnection) -> None:
    """Tell every session, as an application would."""
    assert isinstance(connection, SocketConnection)
    for peer, namespace in connection.sessions:
        peer.send(build_event(namespace, "closing"))


async def connected(served: Serving) -> WebSocket:
    client = await WebSocket.open(served.port, WEBSOCKET)
    client.send("40")
    await client.event()
    await client.event()
    return client


async def end_of(client: WebSocket) -> float:
    """Return when the client was told that it ends, and check that it ended right after."""
    assert await client.event() == '42["closing"]'
    at = asyncio.get_running_loop().time()
    assert await client.event() == Closed(1005)
    client.close()
    return at


async def test_the_ends_are_spread_over_the_time_with_jitter() -> None:
    async with serving(Recorder()) as served:
        clients = [await connected(served) for _ in range(20)]
        ends = [asyncio.ensure_future(end_of(client)) for client in clients]
        started = asyncio.get_running_loop().time()
        await within(
            4, served.server.drain(1.0, part).run(), "the drain, in a second and what a busy machine adds"
        )
        order = [await end for end in ends]
        times = sorted(at - started for at in order)
        for index, at in enumerate(times):
            assert at >= index / 20, "nobody is closed before its share"
        assert times[-1] >= 0.9
        assert order != sorted(order), "who came first does not go first"
        await eventually(lambda: not served.server.connections, "all are gone")


@pytest.mark.parametrize("hurried", [True, False])
async def test_without_time_or_in_a_hurry_all_end_at_once(hurried: bool) -> None:
    async with serving(Recorder()) as served:
        clients = [await connected(served) for _ in range(5)]
        draining = served.server.drain(3600.0 if hurried else 0.0, part)
        run = asyncio.ensure_future(draining.run())
        await asyncio.sleep(0.01)
        draining.hurry()
        await within(5, run, "the drain")
        for client in clients:
            await end_of(client)


async def test_it_is_over_when_all_clients_have_left() -> None:
    async with serving(Recorder()) as served:
        clients = [await connected(served) for _ in range(3)]
        run = asyncio.ensure_future(served.server.drain(3600.0, part).run())
        for client in clients:
            client.close()
        await within(5, run, "the drain")


async def test_without_connections_there_is_nothing_to_wait_for() -> None:
    async with serving(Recorder()) as served:
        await within(1, served.server.drain(3600.0, part).run(), "the drain")


async def test_a_stopped_server_serves_its_connections_and_accepts_no_more() -> None:
    async with serving(Recorder()) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        client = await connected(served)
        served.server.stop()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", served.port)
        # A connection that Tornado has from before may bring a handshake.
        writer.write(f"GET {POLLING} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = await within(5, reader.readuntil(b"\r\n\r\n"), "the answer")
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"\r\nRetry-After: " in answer
        client.send("2")  # nonsense, which a served connection answers
        assert isinstance(await client.event(), Closed)
        writer.close()
        client.close()


async def test_a_poll_that_is_held_brings_the_goodbye() -> None:
    async with serving(Recorder()) as served:
        opened = await request(served.port, "GET", POLLING)
        target = f"{POLLING}&sid={json.loads(opened.text[1:])['sid']}"
        await request(served.port, "POST", target, b"40")
        assert (await request(served.port, "GET", target)).text.startswith("40")
        poll = asyncio.ensure_future(request(served.port, "GET", target))
        await eventually(
            lambda: all(connection.link._poll for connection in served.server._connections),  # type: ignore[attr-defined]
            "the poll is held",
        )
        await served.server.drain(0.0, part).run()
        assert (await poll).text == '42["closing"]'
        assert (await request(served.port, "GET", target)).text == "1", "in an answer of its own"


async def test_an_upgrade_after_the_stop_goes_through() -> None:
    """It is no new connection, and refusing it would end one."""
    async with serving(Recorder()) as served:
        opened = await request(served.port, "GET", POLLING)
        sid = json.loads(opened.text[1:])["sid"]
        served.server._connections.admission.closed = True
        client = await WebSocket.open(served.port, f"{WEBSOCKET}&sid={sid}")
        client.send("2probe")
        assert await client.event() == "3probe"
        client.close()
        with pytest.raises(Refused):
            await WebSocket.open(served.port, WEBSOCKET)
