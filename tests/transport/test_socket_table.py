"""Sockets from their acceptance to their end, on real ones: who is counted, and who goes for others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from compartmentd.transport.options import ServerOptions
from compartmentd.transport.server import EngineServer
from tests.support import certificates
from tests.support.recorder import Recorder
from tests.support.timing import eventually, within
from tests.support.wire import UPGRADE, Serving, WebSocket, head, read_reply, request, serving

POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"


class Line:
    """One socket of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer


LINES: list[Line] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    LINES.clear()


@asynccontextmanager
async def at_work(options: ServerOptions, **more: Any) -> AsyncIterator[Serving]:
    """Serve; the sockets that were dialled are closed at the end."""
    async with serving(Recorder(), options, **more) as served:
        try:
            yield served
        finally:
            for line in LINES:
                line.writer.transport.abort()
            await asyncio.sleep(0)


async def dial(served: Serving, address: str, data: bytes = b"") -> Line:
    line = Line(*await asyncio.open_connection("127.0.0.1", served.port, local_addr=(address, 0)))
    line.writer.write(data)
    LINES.append(line)
    return line


def table(server: EngineServer):
    return server._connections.sockets


async def settle(server: EngineServer, pending: int) -> None:
    await eventually(lambda: len(server.pending) == pending, f"{pending} are pending, {len(server.pending)}")


async def ended(lines: list[Line]) -> list[bool]:
    await asyncio.sleep(0.05)
    return [line.reader.at_eof() for line in lines]


BEGINNINGS = {
    "nothing": b"",
    "half a head": head("GET", POLLING, {})[:-2],
    "half a head elsewhere": head("GET", "/elsewhere", {})[:-2],
    "half a body": head("POST", f"{POLLING}&sid=none", {"Content-Length": "9"}) + b"4",
    "half an upgrade": head("GET", WEBSOCKET, UPGRADE)[:-2],
    "an answered request": head("GET", f"{POLLING}&sid=none", {}),
    "an answered request elsewhere": head("GET", "/elsewhere", {}),
    "a WebSocket": head("GET", WEBSOCKET, UPGRADE),
    "a session": head("GET", POLLING, {}),
}


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("begun", BEGINNINGS.values(), ids=BEGINNINGS)
async def test_a_socket_is_pending_from_the_start_and_forgotten_at_its_end(
    begun: bytes, tls: bool, tmp_path
) -> None:
    pair = certificates.make()
    contexts = (certificates.readable(tmp_path, pair).context, certificates.trusting(pair)) if tls else None
    async with at_work(ServerOptions(connect_timeout=0.2), tls=contexts) as served:
        _, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=served.tls)
        writer.write(begun)
        await asyncio.sleep(0.05)
        assert len(served.server.pending) >= 1
        writer.transport.abort()
        await settle(served.server, 0)
        assert not table(served.server).attached


async def test_when_there_are_too_many_the_oldest_goes_and_the_newcomer_is_served() -> None:
    async with at_work(ServerOptions(pending=10)) as served:
        silent = [await dial(served, "127.0.7.1") for _ in range(30)]
        reply = await request(served.port, "GET", POLLING)
        assert reply.status == 200
        gone = await ended(silent)
        assert sum(gone) >= 20
        assert gone == sorted(gone, reverse=True), "the oldest first"
        assert served.server.counters.shed >= 20


async def test_an_address_has_as_many_silent_sockets_as_connections() -> None:
    async with at_work(ServerOptions(connections_per_address=20)) as served:
        assert served.server.sockets == 0
        silent = [await dial(served, "127.0.7.1") for _ in range(200)]
        other = [await dial(served, "127.0.7.2") for _ in range(5)]
        assert sum(await ended(silent)) == 180
        assert not any(await ended(other))
        last = silent[-1]
        last.writer.write(head("GET", POLLING, {}))
        assert (await read_reply(last.reader)).status == 200, "the newest is served"


@pytest.mark.parametrize(
    "options",
    [
        ServerOptions(connections_per_address=2, limits_loopback=False),
        ServerOptions(connections_per_address=2, trusted_proxies=("127.0.7.0/24",)),
    ],
)
async def test_addresses_that_speak_for_many_are_not_limited(options: ServerOptions) -> None:
    async with at_work(options) as served:
        silent = [await dial(served, "127.0.7.1") for _ in range(50)]
        assert not any(await ended(silent))
        sockets = (
            [await WebSocket.open(served.port, WEBSOCKET) for _ in range(5)]
            if not options.limits_loopback
            else []
        )
        for socket in sockets:
            socket.close()


async def test_sockets_with_a_session_do_not_yield() -> None:
    async with at_work(ServerOptions(pending=5)) as served:
        client = await WebSocket.open(served.port, WEBSOCKET)
        client.send("40")
        await client.event()
        await client.event()
        poller = await dial(served, "127.0.0.1", head("GET", POLLING, {}))
        sid = json.loads((await read_reply(poller.reader)).text[1:])["sid"]
        assert (await request(served.port, "POST", f"{POLLING}&sid={sid}", b"40")).status == 200
        poller.writer.write(head("GET", f"{POLLING}&sid={sid}", {}))
        assert (await read_reply(poller.reader)).status == 200
        poller.writer.write(head("GET", f"{POLLING}&sid={sid}", {}))
        await asyncio.sleep(0.05)
        for index in range(30):
            await dial(served, f"127.0.7.{index + 1}")
        client.send('42["n"]')
        assert served.server.connections == 2
        assert not poller.reader.at_eof(), "its poll is held"
        client.close()


async def test_a_session_that_has_upgraded_does_not_yield_however_many_sockets_its_address_has() -> None:
    async with at_work(ServerOptions(pending=5, connections_per_address=50, limits_loopback=True)) as served:
        reply = await request(served.port, "GET", POLLING)
        sid = json.loads(reply.text[1:])["sid"]
        assert (await request(served.port, "POST", f"{POLLING}&sid={sid}", b"40")).status == 200
        served.server._connections.sockets.attached["127.0.0.1"] += 1000
        client = await WebSocket.open(served.port, f"{WEBSOCKET}&sid={sid}")
        client.send("2probe")
        await client.event()
        client.send("5")
        await eventually(lambda: served.server.counters.upgraded == 1, "the upgrade")
        for index in range(30):
            await dial(served, f"127.0.7.{index + 1}")
        assert served.server.connections == 1
        client.close()


async def test_a_session_that_ends_makes_its_connection_pending_again() -> None:
    async with at_work(ServerOptions(pending=3)) as served:
        client = await WebSocket.open(served.port, WEBSOCKET)
        client.send("40")
        await client.event()
        await client.event()
        assert len(served.server.pending) == 0
        client.send("41")
        await settle(served.server, 1)
        for index in range(3):
            await dial(served, f"127.0.7.{index + 1}")
        assert (await within(5, client.ended(), "the end")).code == 1006
        client.close()


async def test_connections_on_polling_without_a_session_push_out_each_other() -> None:
    async with at_work(ServerOptions(pending=5)) as served:
        for _ in range(50):
            assert (await request(served.port, "GET", POLLING)).status == 200
        assert served.server.connections <= 5
        assert served.server._connections.admission.open == served.server.connections


async def test_a_connection_that_never_had_a_session_gets_no_farewell() -> None:
    async with at_work(ServerOptions(connect_timeout=0.1)) as served:
        assert (await request(served.port, "GET", POLLING)).status == 200
        await eventually(lambda: served.server.connections == 0, "its place is free", limit=2)


async def test_a_changed_header_timeout_counts_for_sockets_that_wait_already() -> None:
    async with at_work(ServerOptions(header_timeout=60)) as served:
        before = await dial(served, "127.0.0.1")
        await settle(served.server, 1)
        served.server.configure(ServerOptions(header_timeout=0.05))
        after = await dial(served, "127.0.0.1")
        for line in (before, after):
            assert await within(5, line.reader.read(), "the end") == b""


def full_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.event == "address_is_full"  # type: ignore[attr-defined]
    ]


async def test_an_address_that_loses_sockets_is_logged_once_with_what_to_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with at_work(ServerOptions(connections_per_address=10)) as served:
        for _ in range(15):
            await dial(served, "127.0.7.1")
        await dial(served, "127.0.7.2")
        await eventually(lambda: served.server.counters.shed_address == 5, "five are closed")
        await eventually(lambda: served.server.sockets == 11, "the others are open")
        assert (served.server.counters.shed, served.server.counters.refused_address) == (0, 0)
    [line] = full_lines(caplog)
    assert "127.0.7.1 has reached server.connections_per_address (10)" in line
    assert "server.trusted_proxies" in line
    assert served.server.sockets == 0


@pytest.mark.parametrize("target", [POLLING, WEBSOCKET])
async def test_an_address_that_is_refused_is_logged_once_with_what_to_do(
    target: str, caplog: pytest.LogCaptureFixture
) -> None:
    headers = UPGRADE if target == WEBSOCKET else {}
    async with at_work(ServerOptions(connections_per_address=1)) as served:
        statuses = []
        for _ in range(4):
            line = await dial(served, "127.0.7.1", head("GET", target, headers))
            statuses.append((await read_reply(line.reader)).status)
        assert statuses[1:] == [503] * 3
    [line_] = full_lines(caplog)
    assert "127.0.7.1 has reached server.connections_per_address (1)" in line_
