"""Real sockets, odd clients: the read and write paths of a WebSocket, on both loops, also under TLS.

Each scenario gets a running echo server; what it leaves behind in file descriptors is checked after it.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import ssl
import struct
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from compartmentd.protocol.socketio import build_event
from compartmentd.transport.options import ServerOptions
from compartmentd.transport.websocket_link import WebSocketLink
from tests.conformance.echo import server as echo_server
from tests.support import certificates
from tests.support.timing import eventually, seconds, within
from tests.support.wire import (
    BINARY,
    PING,
    PONG,
    TEXT,
    UPGRADE,
    Closed,
    Serving,
    WebSocket,
    frame,
    head,
    read_reply,
    serving,
    text,
)

TARGET = "/socket.io/?EIO=4&transport=websocket"
OPTIONS = ServerOptions(origins=("*",), send_buffer=1 << 20)

Scenario = Callable[[Serving], Coroutine[Any, Any, None]]
SCENARIOS: list[Scenario] = []
OVER_TLS: list[Scenario] = []


def scenario(function: Scenario) -> Scenario:
    SCENARIOS.append(function)
    OVER_TLS.append(function)
    return function


def plain_scenario(function: Scenario) -> Scenario:
    """Of what cannot be done under TLS, such as closing one side alone with Python's client."""
    SCENARIOS.append(function)
    return function


def sockets() -> int:
    """Return how many sockets this process holds; loops open files of other kinds when they like."""
    return sum(1 for entry in Path("/proc/self/fd").iterdir() if _is_socket(entry))


def _is_socket(entry: Path) -> bool:
    try:
        return str(entry.readlink()).startswith("socket:")
    except FileNotFoundError:  # the descriptor by which the directory itself is read
        return False


async def run(scenario: Scenario, tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None) -> None:
    before = sockets()
    async with serving(echo_server(OPTIONS, bare=False), tls=tls) as echo:
        await within(50, scenario(echo), scenario.__name__)
        await eventually(lambda: not echo.server.connections, "every connection is forgotten")
        counters = echo.server.counters
        assert counters.opened == counters.closed
        assert counters.errors == 0
    await eventually(lambda: sockets() <= before, "every socket is closed")


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.__name__)
def test_robustness(loop: Callable[[], asyncio.AbstractEventLoop], scenario: Scenario):
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run(scenario))


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    pair = certificates.make()
    served = certificates.readable(tmp_path_factory.mktemp("tls"), pair)
    return served.context, certificates.trusting(pair)


@pytest.mark.parametrize(
    "version",
    [
        pytest.param(ssl.TLSVersion.TLSv1_2, marks=pytest.mark.slow, id="1.2"),
        pytest.param(ssl.TLSVersion.TLSv1_3, id="1.3"),
    ],
)
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("scenario", OVER_TLS, ids=lambda one: one.__name__)
def test_robustness_under_tls(
    loop: Callable[[], asyncio.AbstractEventLoop],
    scenario: Scenario,
    version: ssl.TLSVersion,
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
):
    contexts[1].maximum_version = version
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run(scenario, contexts))


async def connected(echo: Serving) -> WebSocket:
    client = await WebSocket.open(echo.port, TARGET, tls=echo.tls)
    client.send("40")
    for _ in range(3):
        await client.receive()
    return client


def message(number: int, filling: str = "") -> str:
    return f'42["message",{number},"{filling}"]'


def answer(number: int, filling: str = "") -> str:
    return f'42["message-back",{number},"{filling}"]'


@scenario
async def bytes_behind_the_request_in_one_segment(echo: Serving) -> None:
    client = await WebSocket.open(
        echo.port, TARGET, behind=text("40") + text(message(1)) + text(message(2))[:5], tls=echo.tls
    )
    packets = [await client.receive() for _ in range(4)]
    assert packets[3] == answer(1)
    client.close()


@scenario
async def the_request_and_every_frame_byte_by_byte(echo: Serving) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", echo.port, ssl=echo.tls)
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in head("GET", TARGET, UPGRADE) + text("40") + text(message(1)) + frame(PING, b"x"):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)
    assert (await read_reply(reader)).status == 101
    client = WebSocket(reader, writer)
    for _ in range(3):
        await client.receive()
    assert await client.receive() == answer(1)
    assert await client.frame() == (PONG, b"x")
    client.close()


@scenario
async def two_thousand_frames_in_random_chunks(echo: Serving) -> None:
    client = await connected(echo)
    dice = random.Random(3)
    fillings = ["x" * dice.choice([0, 1, 90, 125, 126, 300, 2000]) for _ in range(2000)]
    data = b"".join(text(message(index, filling)) for index, filling in enumerate(fillings))

    async def send() -> None:
        position = 0
        while position < len(data):
            size = dice.choice([1, 2, 7, 100, 1500, 70_000])
            client.raw(data[position : position + size])
            position += size
            await client.writer.drain()

    sending = asyncio.ensure_future(send())
    for index, filling in enumerate(fillings):
        assert await client.receive() == answer(index, filling)
    await sending
    client.close()


@scenario
async def a_message_of_300_kilobytes(echo: Serving) -> None:
    client = await connected(echo)
    client.send(message(1, "€" * 100_000))
    assert await client.receive() == answer(1, "€" * 100_000)
    client.close()


@scenario
async def fragments_with_a_ping_between(echo: Serving) -> None:
    client = await connected(echo)
    parts = message(1, "€uro").encode()
    client.raw(
        frame(TEXT, parts[:24], fin=False) + frame(PING, b"between") + frame(0, parts[24:25], fin=False)
    )
    client.raw(frame(0, b"", fin=False) + frame(0, parts[25:]) + text(message(2)))
    assert await client.frame() == (PONG, b"between")
    assert await client.receive() == answer(1, "€uro")
    assert await client.receive() == answer(2)
    client.close()


@scenario
async def a_message_in_a_hundred_thousand_fragments(echo: Serving) -> None:
    client = await connected(echo)
    parts = message(1, "x" * 100_000).encode()
    client.raw(frame(TEXT, parts[:1], fin=False))
    client.raw(b"".join(frame(0, parts[i : i + 1], fin=False) for i in range(1, len(parts))))
    client.raw(frame(0, b""))
    assert await client.receive() == answer(1, "x" * 100_000)
    client.close()


@scenario
async def a_slow_reader_loses_nothing_and_stalls_nobody(echo: Serving) -> None:
    slow, other = await connected(echo), await connected(echo)
    filling = "x" * 10_000
    slow.writer.transport.set_write_buffer_limits(high=1 << 16)
    slow.reader._transport.pause_reading()  # type: ignore[attr-defined]  # as a client that does not read

    async def send() -> None:
        for index in range(1000):
            slow.send(message(index, filling))
            await slow.writer.drain()

    sending = asyncio.ensure_future(send())
    await eventually(lambda: _choked(echo), "the server stops reading")
    other.send(message(7))
    assert await other.receive() == answer(7)
    slow.reader._transport.resume_reading()  # type: ignore[attr-defined]
    for index in range(1000):
        assert await slow.receive() == answer(index, filling)
    await sending
    assert echo.server.counters.slow == 0
    slow.close()
    other.close()


async def _quiet(echo: Serving) -> None:
    """Wait until nothing has been read or written for a while."""
    counters, before, unchanged = echo.server.counters, (-1, -1), 0
    while unchanged < 5:
        await asyncio.sleep(0.05)
        now = (counters.bytes_in, counters.bytes_out)
        unchanged = unchanged + 1 if now == before else 0
        before = now


def _choked(echo: Serving) -> bool:
    return any(not connection.is_writable for connection in echo.server._connections)


@scenario
async def a_client_that_does_not_read_is_disconnected(echo: Serving) -> None:
    client = await connected(echo)
    client.reader._transport.pause_reading()  # type: ignore[attr-defined]
    [connection] = echo.server._connections
    filling = "x" * 100_000
    while connection.phase.name != "CLOSED":
        connection.send(build_event("/", "news", filling))
        await asyncio.sleep(0)
    assert echo.server.counters.slow == 1
    assert echo.server.connections == 0
    client.close()


@plain_scenario
async def the_last_frames_come_after_what_was_pending_even_if_it_drains_in_the_same_turn(
    echo: Serving,
) -> None:
    loop = asyncio.get_running_loop()
    client = socket.create_connection(("127.0.0.1", echo.port))
    client.setblocking(False)
    await loop.sock_sendall(client, head("GET", TARGET, UPGRADE) + text("40"))
    await eventually(lambda: echo.server.counters.bytes_in, "the session")
    [connection] = echo.server._connections
    link = connection.link
    assert isinstance(link, WebSocketLink)
    while connection.is_writable:
        connection.send(build_event("/", "news", "x" * 100_000))
        await asyncio.sleep(0)
    received = bytearray()
    while connection.is_writable is False:
        received += client.recv(1 << 20)
        if len(link._pending) < 100_000:
            connection.send(build_event("/", "last"))
            connection.close("forced close")
            link._on_writable()
            break
        link._on_writable()
    while data := await loop.sock_recv(client, 1 << 20):
        received += data
    assert received.endswith(b'42["last"]' + b"\x88\x00")
    client.close()


@plain_scenario
async def a_client_that_half_closed_and_reads_slowly_costs_no_time(echo: Serving) -> None:
    client = await connected(echo)
    client.reader._transport.pause_reading()  # type: ignore[attr-defined]
    [connection] = echo.server._connections
    while connection.is_writable:
        connection.send(build_event("/", "news", "x" * 100_000))
        await asyncio.sleep(0)
    connection.close("forced close")
    client.writer.write_eof()
    await asyncio.sleep(0.05)
    before = time.process_time()
    await asyncio.sleep(seconds(0.3))
    assert time.process_time() - before < 0.2
    client.reader._transport.resume_reading()  # type: ignore[attr-defined]
    assert (await client.ended()).code == 1005
    client.close()


@scenario
async def a_flood_of_pings_without_reading_is_bounded(echo: Serving) -> None:
    client = await connected(echo)
    client.reader._transport.pause_reading()  # type: ignore[attr-defined]
    client.writer.transport.set_write_buffer_limits(high=1 << 16)
    pings = frame(PING, b"x" * 125) * 500
    [connection] = echo.server._connections
    sent = 0
    while connection.is_writable and sent < 400:
        client.raw(pings)
        sent += 1
        await asyncio.sleep(0)
    for _ in range(200):
        client.raw(pings)
        await asyncio.sleep(0)
    assert len(connection.link._pending) < OPTIONS.send_buffer  # type: ignore[attr-defined]
    assert echo.server.counters.slow == 0
    client.writer.transport.abort()


@scenario
async def a_hundred_thousand_pongs_leave_nothing(echo: Serving) -> None:
    client = await connected(echo)
    tasks = len(asyncio.all_tasks())
    client.raw(text("3") * 100_000 + text(message(1)))
    assert await client.receive() == answer(1)
    assert len(asyncio.all_tasks()) == tasks
    assert len(echo.server._connections.timers) < 10
    client.close()


VIOLATIONS = {
    "unmasked": (frame(TEXT, b"4", masked=False), 1002),
    "reserved bit": (frame(TEXT, b"4", reserved=0x40), 1002),
    "reserved opcode": (frame(3, b"4"), 1002),
    "reserved control opcode": (frame(11, b"4"), 1002),
    "continuation of nothing": (frame(0, b"4"), 1002),
    "message inside a message": (frame(TEXT, b"4", fin=False) + frame(TEXT, b"4"), 1002),
    "fragmented ping": (frame(PING, b"", fin=False), 1002),
    "long ping": (frame(PING, b"x" * 126), 1002),
    "bad UTF-8": (frame(TEXT, b'42["\xff"]'), 1007),
    "surrogate in UTF-8": (frame(TEXT, b'42["\xed\xa0\x80"]'), 1007),
    "bad UTF-8 over fragments": (frame(TEXT, b'42["\xe2', fin=False) + frame(0, b'"]'), 1007),
    "too long": (frame(TEXT, b"4" * 1_000_001), 1009),
    "too long, as announced": (b"\x81\xff" + (1 << 40).to_bytes(8, "big"), 1009),
    "too long in fragments": (frame(BINARY, b"4" * 600_000, fin=False) + frame(0, b"4" * 600_000), 1009),
    "close of one byte": (frame(8, b"\x03"), 1002),
    "close with a code not to be sent": (frame(8, (1006).to_bytes(2, "big")), 1002),
    "close with bad UTF-8": (frame(8, b"\x03\xe8\xff"), 1007),
}


@scenario
async def violations_are_closed_with_their_code_after_what_came_before(echo: Serving) -> None:
    for name, (data, code) in VIOLATIONS.items():
        client = await connected(echo)
        client.raw(text(message(1)) + data + text(message(2)))
        assert await client.receive() == answer(1), name
        assert await client.receive() == Closed(code), name
        assert await client.receive() == Closed(1006), name
        client.close()


@scenario
async def closing_is_answered(echo: Serving) -> None:
    for payload in (b"", (1000).to_bytes(2, "big") + b"bye", (4001).to_bytes(2, "big")):
        client = await connected(echo)
        client.raw(text(message(1)) + frame(8, payload) + text(message(2)))
        assert await client.receive() == answer(1)
        assert await client.receive() == Closed(1005)
        client.close()


@plain_scenario
async def half_a_close_still_gets_its_answers(echo: Serving) -> None:
    client = await connected(echo)
    client.raw(text(message(1)) + text(message(2)))
    client.writer.write_eof()
    assert await client.receive() == answer(1)
    assert await client.receive() == answer(2)
    assert await client.receive() == Closed(1006)
    client.close()


@scenario
async def resets_and_ends_leave_nothing(echo: Serving) -> None:
    for number in range(60):
        client = await connected(echo)
        if number % 2:
            linger = struct.pack("ii", 1, 0)
            client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        client.raw(text(message(1)) * (number % 3))
        client.writer.transport.abort()


@scenario
async def resets_in_the_middle_of_the_handshake_leave_nothing(echo: Serving) -> None:
    for number in range(40):
        _, writer = await asyncio.open_connection("127.0.0.1", echo.port)
        writer.write(head("GET", TARGET, UPGRADE)[: None if number % 2 else 100])
        await asyncio.sleep(0)
        writer.transport.abort()
    await asyncio.sleep(0.05)


@scenario
async def a_closed_server_leaves_nothing(echo: Serving) -> None:
    clients = [await connected(echo) for _ in range(5)]
    clients[0].reader._transport.pause_reading()  # type: ignore[attr-defined]
    closing = asyncio.ensure_future(echo.server.close())
    for client in clients[1:]:
        assert await client.ended() == Closed(1005)
        client.close()
    clients[0].close()
    await within(10, closing, "the server closes")


@scenario
async def an_idle_connection_costs_no_time(echo: Serving) -> None:
    client = await connected(echo)
    for stage in ("open", "choked", "ended"):
        if stage == "choked":
            client.reader._transport.pause_reading()  # type: ignore[attr-defined]
            for index in range(900):
                client.send(message(index, "x" * 10_000))
            await eventually(lambda: _choked(echo), "the server stops reading")
            await _quiet(echo)
        if stage == "ended":
            client.writer.transport.abort()
        before = os.times()
        await asyncio.sleep(seconds(0.3))
        after = os.times()
        assert after.user + after.system - before.user - before.system < 0.2, stage
