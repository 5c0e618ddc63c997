"""Sockets that the router serves, sockets that it passes on, and sockets that end before."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from compartmentd.net.client_socket import ClientSocket, NoEntry
from compartmentd.net.tls_socket import SecureSocket
from compartmentd.protocol.multiplex import SocketConnection
from compartmentd.transport.connections import Connections
from compartmentd.transport.options import ServerOptions
from compartmentd.transport.router import SocketRouter
from tests.support import certificates
from tests.support.recorder import Recorder
from tests.support.timing import eventually
from tests.support.wire import UPGRADE, head, text

WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
REQUEST = head("GET", WEBSOCKET, UPGRADE)


class RecordingServers:
    """Two HTTP servers that record the sockets that they are given."""

    def __init__(self) -> None:
        self.polling: list[tuple[Any, ...]] = []
        self.other: list[tuple[Any, ...]] = []

    def serve_polling(self, *passed: Any) -> None:
        self.polling.append(passed)

    def serve_other(self, *passed: Any) -> None:
        self.other.append(passed)


class Desk:
    """A router, the sockets that it passed on, and the clients' ends of those that it was given."""

    def __init__(self, options: ServerOptions) -> None:
        self.recorder = Recorder()
        self.connections = Connections(
            lambda host, sid, handshake, options: SocketConnection(
                host, sid, handshake, options, self.recorder
            ),
            options,
        )
        servers = RecordingServers()
        self.kept, self.referred = servers.polling, servers.other
        self.router = SocketRouter(self.connections, servers)
        self._sockets: list[socket.socket] = []
        self.last: socket.socket

    def client(self, peer: str = "127.0.0.1") -> socket.socket:
        """Give the router one end of a connection; return the other, which blocks for ten seconds at most."""
        ours, theirs = self._pair()
        self.router.take(theirs, peer)
        return ours

    async def secure_client(self, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> ssl.SSLSocket:
        """Do the same with a connection whose handshake of TLS is done."""
        ours, theirs = self._pair()
        theirs.setblocking(True)
        server = contexts[0].wrap_socket(theirs, server_side=True, do_handshake_on_connect=False)
        _, client = await asyncio.gather(
            asyncio.to_thread(server.do_handshake),
            asyncio.to_thread(contexts[1].wrap_socket, ours, server_hostname="localhost"),
        )
        self._sockets += [client, server]
        self.last = server
        server.setblocking(False)
        self.router.take(SecureSocket(server, NoEntry()), "127.0.0.1")
        return client

    def _pair(self) -> tuple[socket.socket, ClientSocket]:
        listener = socket.create_server(("127.0.0.1", 0))
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
        listener.close()
        ours.settimeout(10)
        client = ClientSocket.adopt(theirs, NoEntry())
        self._sockets += [ours, client]
        return ours, client

    def close(self) -> None:
        self.router.close()
        self.connections.stop()
        for sock in self._sockets:
            sock.close()


@asynccontextmanager
async def opened(options: ServerOptions | None = None) -> AsyncIterator[Desk]:
    """Open a desk with two places."""
    desk = Desk(options or ServerOptions(connections=2))
    try:
        yield desk
    finally:
        desk.close()


async def test_a_websocket_is_served_and_what_comes_behind_is_read():
    async with opened() as desk:
        client, event = desk.client(), text('42["a"]')
        client.sendall(REQUEST + text("40") + event[:3])
        await eventually(lambda: bool(desk.recorder.named("connect")), "a CONNECT")
        client.sendall(event[3:])
        await eventually(lambda: bool(desk.recorder.named("event")), "an event")
        assert client.recv(4096).startswith(b"HTTP/1.1 101 ")
        assert desk.referred == []
        assert (len(desk.connections), desk.connections.admission.open) == (1, 1)


async def test_the_client_is_the_one_that_a_trusted_proxy_names():
    async with opened(ServerOptions(trusted_proxies=("127.0.0.1/32",))) as desk:
        desk.client().sendall(
            head("GET", WEBSOCKET, {**UPGRADE, "X-Forwarded-For": "192.0.2.1, 198.51.100.7"})
        )
        await eventually(lambda: len(desk.connections) == 1, "a connection")
        assert [connection.handshake.address for connection in desk.connections] == ["198.51.100.7"]


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(head("GET", f"/elsewhere{WEBSOCKET}", UPGRADE), id="path"),
        pytest.param(head("GET", f"{WEBSOCKET}&sid=nobody", UPGRADE), id="unknown sid"),
        pytest.param(head("GET", WEBSOCKET.replace("EIO=4", "EIO=3"), UPGRADE), id="version"),
        pytest.param(head("GET", f"{WEBSOCKET}{'&a=b' * 200}", UPGRADE), id="parameters"),
        pytest.param(head("GET", WEBSOCKET, {**UPGRADE, "Origin": "https://evil.example"}), id="origin"),
        pytest.param(head("GET", WEBSOCKET, {**UPGRADE, "Sec-WebSocket-Version": "8"}), id="RFC 6455"),
        pytest.param(head("GET", WEBSOCKET, {**UPGRADE, "Content-Length": "3"}), id="body"),
        pytest.param(REQUEST[:1], id="one byte"),
    ],
)
async def test_all_else_is_referred_with_every_byte_and_leaves_no_trace(request_: bytes):
    async with opened() as desk:
        await passed_on(desk, request_, desk.referred)


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(head("GET", "/socket.io/?EIO=4&transport=polling", {}), id="polling"),
        pytest.param(head("POST", "/socket.io/", {"Content-Length": "1"}) + b"x", id="post"),
        pytest.param(head("POST", WEBSOCKET, UPGRADE), id="method"),
        pytest.param(head("GET", WEBSOCKET, {**UPGRADE, "X": "é"}), id="not ASCII"),
        pytest.param(head("GET", WEBSOCKET, {**UPGRADE, "X": "y" * 5000}), id="long"),
        pytest.param(REQUEST[:-2], id="incomplete"),
    ],
)
async def test_what_begins_as_polling_does_is_kept_with_every_byte_and_leaves_no_trace(request_: bytes):
    async with opened() as desk:
        await passed_on(desk, request_, desk.kept)


async def passed_on(desk: Desk, request: bytes, to: list[tuple[Any, ...]]) -> None:
    client = desk.client()
    client.sendall(request)
    await eventually(lambda: bool(to), "a socket that is passed on")
    ((sock, address, early),) = to
    assert len(desk.kept) + len(desk.referred) == 1
    assert (address, early) == ("127.0.0.1", b"")
    assert sock.recv(1 << 16) == request
    assert desk.connections.admission.open == 0
    counters = desk.connections.counters
    assert (counters.refusals["origin"], counters.refused_full, counters.opened) == (0, 0, 0)


async def test_a_websocket_that_probes_a_session_is_served():
    async with opened(ServerOptions(connections=1)) as desk:
        first = desk.client()
        first.sendall(REQUEST)
        await eventually(lambda: len(desk.connections) == 1, "a connection")
        (connection,) = desk.connections
        late = desk.client()
        late.sendall(head("GET", f"{WEBSOCKET}&sid={connection.sid}", UPGRADE))
        answer = await asyncio.to_thread(late.recv, 1 << 16)
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert (desk.kept, desk.referred) == ([], []), (
            "it takes no place, and is closed since it came too late"
        )
        assert desk.connections.counters.opened == 1


async def test_without_a_place_one_is_referred_and_not_counted():
    async with opened() as desk:
        for _ in range(2):
            desk.client().sendall(REQUEST)
        await eventually(lambda: len(desk.connections) == 2, "two connections")
        desk.client().sendall(REQUEST)
        await eventually(lambda: bool(desk.referred), "a socket that is referred")
        assert desk.connections.admission.open == 2
        assert desk.connections.counters.refused_full == 0


async def test_a_client_that_sends_nothing_is_disconnected_in_time():
    async with opened(ServerOptions(header_timeout=0.05)) as desk:
        first, second = desk.client(), desk.client()
        for client in (first, second):
            assert await asyncio.to_thread(client.recv, 1) == b""
        assert desk.referred == []
        third = desk.client()
        assert await asyncio.to_thread(third.recv, 1) == b""


async def test_a_client_that_leaves_before_its_request_leaves_nothing_behind():
    async with opened() as desk:
        client = desk.client()
        client.close()
        reset = desk.client()
        reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        reset.close()
        staying = desk.client()
        staying.sendall(REQUEST)
        await eventually(lambda: len(desk.connections) == 1, "a connection")
        await eventually(lambda: not desk.router.waiting, "no socket waiting")
        assert desk.referred == []


async def test_an_error_of_ours_costs_its_connection_and_no_more():
    async with opened() as desk:

        def broken(*_: Any) -> SocketConnection:
            raise RuntimeError("ours")

        desk.connections.make = broken
        client = desk.client()
        client.sendall(REQUEST)
        await eventually(lambda: desk.connections.counters.errors == 1, "the error")
        received = await asyncio.to_thread(client.makefile("rb").read)
        assert received.startswith(b"HTTP/1.1 101 ")
        assert desk.connections.counters.errors == 1


async def test_closing_disconnects_the_clients_that_wait():
    async with opened() as desk:
        client = desk.client()
        desk.router.close()
        assert await asyncio.to_thread(client.recv, 1) == b""


# Under TLS


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    directory: Path = tmp_path_factory.mktemp("tls")
    pair = certificates.make()
    return certificates.readable(directory, pair).context, certificates.trusting(pair)


async def test_a_websocket_under_tls_is_served_and_what_comes_behind_is_read(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
):
    async with opened() as desk:
        client, event = await desk.secure_client(contexts), text('42["a"]')
        client.sendall(REQUEST + text("40") + event[:3])
        await eventually(lambda: bool(desk.recorder.named("connect")), "a CONNECT")
        client.sendall(event[3:])
        await eventually(lambda: bool(desk.recorder.named("event")), "an event")
        assert (await asyncio.to_thread(client.recv, 4096)).startswith(b"HTTP/1.1 101 ")
        assert (desk.kept, desk.referred) == ([], [])
        assert [connection.handshake.secure for connection in desk.connections] == [True]


async def test_a_websocket_under_tls_that_probes_is_served(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
):
    async with opened() as desk:
        (await desk.secure_client(contexts)).sendall(REQUEST)
        await eventually(lambda: len(desk.connections) == 1, "a connection")
        (connection,) = desk.connections
        late = await desk.secure_client(contexts)
        late.sendall(head("GET", f"{WEBSOCKET}&sid={connection.sid}", UPGRADE) + text("2probe"))
        assert (await asyncio.to_thread(late.recv, 4096)).startswith(b"HTTP/1.1 101 ")
        assert (desk.kept, desk.referred) == ([], [])


async def test_an_error_of_ours_in_what_was_read_under_tls_leaves_no_watch(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
):
    """Else the next socket that gets its number is taken for one that is watched already."""

    def broken(*_: Any) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(SocketConnection, "receive", broken)
    async with opened() as desk:
        client = await desk.secure_client(contexts)
        number = desk.last.fileno()
        client.sendall(REQUEST + text("40"))
        await eventually(lambda: desk.last.fileno() == -1, "the end")
        assert number not in desk.connections.poller._readers
        assert desk.connections.counters.errors == 1
        assert (len(desk.connections), desk.connections.admission.open) == (0, 0)


@pytest.mark.parametrize(
    ("request_", "kept"),
    [
        pytest.param(head("GET", "/socket.io/?EIO=4&transport=polling", {}), True, id="polling"),
        pytest.param(REQUEST[:-2], True, id="incomplete"),
        pytest.param(REQUEST[:1], False, id="one byte"),
        pytest.param(head("GET", f"{WEBSOCKET}&sid=nobody", UPGRADE), False, id="unknown sid"),
        pytest.param(head("GET", "/elsewhere", {}), False, id="path"),
    ],
)
async def test_what_was_read_under_tls_goes_along(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], request_: bytes, *, kept: bool
):
    async with opened() as desk:
        client = await desk.secure_client(contexts)
        client.sendall(request_)
        to, other = (desk.kept, desk.referred) if kept else (desk.referred, desk.kept)
        await eventually(lambda: bool(to), "a socket that is passed on")
        ((sock, address, early),) = to
        assert (other, address, early) == ([], "127.0.0.1", request_)
        client.sendall(b"more")
        received = bytearray(1 << 14)
        await eventually(lambda: _received(sock, received) == b"more", "what came after it")


def _received(sock: SecureSocket, buffer: bytearray) -> bytes:
    try:
        return bytes(buffer[: sock.recv_into(buffer)])
    except BlockingIOError:
        return b""


async def test_a_client_that_leaves_after_the_handshake_leaves_nothing_behind(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
):
    async with opened() as desk:
        (await desk.secure_client(contexts)).close()
        reset = await desk.secure_client(contexts)
        reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        reset.close()
        await eventually(lambda: not desk.router.waiting, "no socket waiting")
        assert (desk.kept, desk.referred) == ([], [])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS"),
        pytest.param(bytes(2000), id="zeros"),
        pytest.param(b"GET\t/socket.io/ HTTP/1.1\r\n\r\n", id="a tab"),
        pytest.param(b"GET\r\n", id="no target"),
        pytest.param(b"a" * 2000, id="no end of the method"),
    ],
)
async def test_what_does_not_begin_as_a_request_is_refused_at_once(data: bytes):
    async with opened() as desk:
        client = desk.client()
        client.sendall(data)
        answer = await asyncio.to_thread(client.recv, 4096)
        assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert b"\r\nConnection: close\r\n" in answer
        assert (desk.kept, desk.referred) == ([], [])
        assert await asyncio.to_thread(client.recv, 1) == b"", "and the socket is closed for writing"


@pytest.mark.parametrize("data", [b"\r\nGET / HTTP/1.1\r\n", b"\r", b"\n\n", b"PROPFIND", b"M-SEARCH * "])
async def test_what_may_become_a_request_is_referred(data: bytes):
    async with opened() as desk:
        desk.client().sendall(data)
        await eventually(lambda: bool(desk.referred), "a socket that is passed on")
