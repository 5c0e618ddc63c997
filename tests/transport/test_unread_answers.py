"""Answers that their clients do not read, and polls that come too fast, on both ways through the server."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from typing import Any, cast

import pytest

from compartmentd.net import tornado_streams
from compartmentd.protocol.multiplex import SocketConnection
from compartmentd.protocol.socketio import build_event
from compartmentd.transport import polling_http
from compartmentd.transport.options import ServerOptions
from tests.support.recorder import Recorder
from tests.support.timing import eventually, seconds
from tests.support.wire import Serving, WebSocket, head, request, serving

POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
WAYS = {"plain": {}, "by Tornado": {"Connection": "Upgrade", "Upgrade": "h2c"}}
"""Header lines by which a poll takes one way or the other."""

OPTIONS = ServerOptions(send_buffer=8 << 20, ping_interval=600)


async def begin(served: Serving) -> str:
    """Open a session; return its target."""
    sid = json.loads((await request(served.port, "GET", POLLING)).text[1:])["sid"]
    target = f"{POLLING}&sid={sid}"
    assert (await request(served.port, "POST", target, b"40")).status == 200
    assert (await request(served.port, "GET", target)).status == 200
    return target


def deaf(served: Serving, target: str, headers: dict[str, str]) -> socket.socket:
    """Poll on a socket that reads nothing."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", served.port))
    sock.sendall(head("GET", target, headers))
    return sock


def queue(served: Serving, data: Any) -> None:
    for connection in served.server._connections:
        connection.send(build_event("/", "n", data))


@pytest.mark.parametrize("headers", WAYS.values(), ids=WAYS)
async def test_an_answer_that_is_not_read_is_unsent_and_ends_with_its_session(
    headers: dict[str, str],
) -> None:
    async with serving(Recorder(), OPTIONS) as served:
        target = await begin(served)
        queue(served, "x" * 6_000_000)
        sock = deaf(served, target, headers)
        await eventually(lambda: 1_000_000 < served.server.measure_load().unsent < 6_000_000, "some is taken")
        assert (await request(served.port, "POST", target, b"1")).status == 200
        assert served.server.connections == 0
        await eventually(
            lambda: not served.server.pending and not table(served).attached, "the socket is gone"
        )
        sock.close()


@pytest.mark.parametrize("headers", WAYS.values(), ids=WAYS)
async def test_the_rest_of_an_answer_is_not_sent_after_what_is_queued_is_dropped(
    headers: dict[str, str],
) -> None:
    """A logout ends what its session hears: of an answer under way the client gets what the kernel has, no more."""
    async with serving(Recorder(), OPTIONS) as served:
        target = await begin(served)
        [connection] = served.server._connections
        queue(served, "x" * 6_000_000)
        sock = deaf(served, target, headers)
        await eventually(lambda: 1_000_000 < served.server.measure_load().unsent < 6_000_000, "some is taken")
        unsent = served.server.measure_load().unsent
        cast(SocketConnection, connection).discard("/")
        await eventually(lambda: served.server.connections == 0, "the connection has ended")
        await eventually(lambda: not table(served).attached, "and the socket with it")
        got = await asyncio.to_thread(read_all, sock)
        assert 0 < got < 6_000_000 - unsent + 10_000
        sock.close()


@pytest.mark.parametrize("headers", WAYS.values(), ids=WAYS)
async def test_an_answer_that_was_read_is_no_reason_to_end_a_connection(headers: dict[str, str]) -> None:
    async with serving(Recorder(), OPTIONS) as served:
        target = await begin(served)
        [connection] = served.server._connections
        queue(served, "x" * 6_000_000)
        assert len((await request(served.port, "GET", target, headers=headers)).text) > 6_000_000
        cast(SocketConnection, connection).discard("/")
        queue(served, "after")
        assert (await request(served.port, "GET", target, headers=headers)).text == '42["n","after"]'


def read_all(sock: socket.socket) -> int:
    """Return how many bytes come until the end."""
    sock.settimeout(seconds(10))
    got = 0
    try:
        while part := sock.recv(1 << 16):
            got += len(part)
    except ConnectionResetError:
        pass
    return got


def table(served: Serving) -> Any:
    return served.server._connections.sockets


@pytest.mark.parametrize("headers", WAYS.values(), ids=WAYS)
async def test_what_is_unread_and_what_is_queued_make_a_client_slow_together(headers: dict[str, str]) -> None:
    recorder = Recorder()
    async with serving(recorder, OPTIONS) as served:
        target = await begin(served)
        queue(served, "x" * 6_000_000)
        sock = deaf(served, target, headers)
        await eventually(lambda: 0 < served.server.measure_load().unsent < 6_000_000, "some is taken")
        queue(served, "x" * 6_000_000)
        await eventually(lambda: served.server.connections == 0, "the session is gone")
        assert recorder.named("closed") == [("closed", ["/"], "slow")]
        await eventually(lambda: not table(served).attached, "and the socket with it")
        sock.close()


@pytest.mark.parametrize("target", ["/elsewhere", f"{POLLING}&sid=none"])
async def test_an_answer_has_an_absolute_deadline(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (tornado_streams, polling_http):
        monkeypatch.setattr(module, "ANSWER_TIMEOUT", 0.2)
    async with serving(Recorder(), ServerOptions()) as served:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", served.port))
        sock.setblocking(False)
        batch = head("GET", target, {}) * 1000
        sent = 0
        while sent < 60:  # more answers than the kernel's buffers hold
            try:
                sock.send(batch)
            except (BlockingIOError, ConnectionError):
                await asyncio.sleep(0.02)
            sent += 1
        await eventually(lambda: len(served.server.pending) == 0, "the socket is gone")
        sock.close()


@pytest.mark.parametrize("headers", WAYS.values(), ids=WAYS)
async def test_polls_beside_a_probe_are_answered_ten_times_a_second(headers: dict[str, str]) -> None:
    async with serving(Recorder(), OPTIONS) as served:
        target = await begin(served)
        probe = await WebSocket.open(served.port, f"{WEBSOCKET}&sid={target.partition('sid=')[2]}")
        probe.send("2probe")
        assert await probe.receive() == "3probe"
        began = time.monotonic()
        for _ in range(4):
            assert (await request(served.port, "GET", target, headers=headers)).text == "6"
        assert time.monotonic() - began >= 0.29
        waiting = asyncio.create_task(request(served.port, "GET", target, headers=headers))
        await asyncio.sleep(0.01)
        queue(served, 1)
        assert (await waiting).text == '42["n",1]', "there is something: it does not wait"
        probe.close()
