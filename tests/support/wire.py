"""HTTP requests and WebSockets byte by byte, for tests of the wire itself: nothing is checked or repaired.

Clients of a library could not send what these tests must send; what a library's client makes of the server is
tested with the official one.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from compartmentd.protocol.application import Application
from compartmentd.transport.options import ServerOptions
from compartmentd.transport.server import EngineServer, SocketServer
from tests.support.timing import within

PATIENCE = 10.0
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def head(method: str, target: str, headers: Mapping[str, str], host: str = "localhost") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


async def read_reply(reader: asyncio.StreamReader, *, bodiless: bool = False) -> Reply:
    raw = await within(PATIENCE, reader.readuntil(b"\r\n\r\n"), "the head of an answer")
    first, *lines = raw.decode("latin-1").split("\r\n")[:-2]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = 0 if bodiless else int(headers.get("content-length", 0))
    body = await within(PATIENCE, reader.readexactly(length), "the body of an answer")
    return Reply(int(first.split()[1]), headers, body)


async def request(  # noqa: PLR0917 - the first four are an HTTP request, in its order
    port: int,
    method: str,
    target: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    address: str = "127.0.0.1",
    *,
    tls: ssl.SSLContext | None = None,
) -> Reply:
    """Make one request on a connection of its own."""
    reader, writer = await asyncio.open_connection(address, port, ssl=tls)
    try:
        chunked = "Transfer-Encoding" in (headers or {})
        more = {"Content-Length": str(len(body))} if body and not chunked else {}
        writer.write(head(method, target, {**more, **(headers or {})}) + body)
        return await read_reply(reader, bodiless=method == "HEAD")
    finally:
        writer.close()


class Closed(NamedTuple):
    """A close frame, or the end of the connection without one (`code` is 1006, as browsers say)."""

    code: int


class Refused(Exception):
    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.status} {reply.body!r}")
        self.reply = reply


def frame(opcode: int, payload: bytes, *, fin: bool = True, masked: bool = True, reserved: int = 0) -> bytes:
    """Return a client's frame, or one that no client may send."""
    first = (0x80 if fin else 0) | reserved | opcode
    bit = 0x80 if masked else 0
    size = len(payload)
    if size < 126:
        start = bytes([first, bit | size])
    elif size < 1 << 16:
        start = bytes([first, bit | 126]) + size.to_bytes(2, "big")
    else:
        start = bytes([first, bit | 127]) + size.to_bytes(8, "big")
    if not masked:
        return start + payload
    key = os.urandom(4)
    stretched = (key * (size // 4 + 1))[:size]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(stretched, "big")
    return start + key + mixed.to_bytes(size, "big")


def text(payload: str) -> bytes:
    return frame(TEXT, payload.encode())


UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(bytes(range(16))).decode(),
}


class WebSocket:
    """A client's end of a WebSocket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(
        cls,
        port: int,
        target: str,
        headers: Mapping[str, str] | None = None,
        behind: bytes = b"",
        address: str = "127.0.0.1",
        *,
        tls: ssl.SSLContext | None = None,
    ) -> WebSocket:
        """Open one; `behind` is sent in the same segment as the request. Raises `Refused`."""
        reader, writer = await asyncio.open_connection(address, port, ssl=tls)
        writer.write(head("GET", target, {**UPGRADE, **(headers or {})}) + behind)
        reply = await read_reply(reader)
        if reply.status != 101:
            writer.close()
            raise Refused(reply)
        return cls(reader, writer)

    def send(self, packet: str | bytes) -> None:
        self.raw(frame(BINARY, packet) if isinstance(packet, bytes) else text(packet))

    def raw(self, data: bytes) -> None:
        self.writer.write(data)

    async def frame(self) -> tuple[int, bytes]:
        """Return the next frame as it is; raises IncompleteReadError at the end."""
        first, size = await self.reader.readexactly(2)
        if size == 126:
            size = int.from_bytes(await self.reader.readexactly(2), "big")
        elif size == 127:
            size = int.from_bytes(await self.reader.readexactly(8), "big")
        assert first & 0x80, "a server of ours does not fragment"
        assert size >> 63 == 0
        return first & 0xF, await self.reader.readexactly(size)

    async def receive(self) -> str | bytes | Closed:
        """Return the next message, `Closed` at the end."""
        try:
            opcode, payload = await within(PATIENCE, self.frame(), "a frame")
        except (asyncio.IncompleteReadError, ConnectionError):
            return Closed(1006)
        if opcode == TEXT:
            return payload.decode()
        if opcode == CLOSE:
            return Closed(int.from_bytes(payload[:2], "big") if payload else 1005)
        return payload

    async def event(self) -> str | bytes | Closed:
        """Return the next message that is no ping of Engine.IO's."""
        while (packet := await self.receive()) == "2":
            pass
        return packet

    async def ended(self) -> Closed:
        """Read to the end, and return how it was told."""
        while not isinstance(packet := await self.receive(), Closed):
            pass
        return packet

    def close(self) -> None:
        self.writer.close()


def bound() -> socket.socket:
    """Return a listening socket on a free port."""
    sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
    sock.setblocking(False)
    return sock


def port_of(sock: socket.socket) -> int:
    port: int = sock.getsockname()[1]
    return port


class Serving(NamedTuple):
    """A running server; `tls` is what its clients speak TLS with, if they must."""

    server: EngineServer
    port: int
    tls: ssl.SSLContext | None = None


@asynccontextmanager
async def serving(
    application: Application | EngineServer,
    options: ServerOptions | None = None,
    handlers: Sequence[Any] = (),
    tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None,
) -> AsyncIterator[Serving]:
    """Serve an application on this loop and a free port; `tls` are the contexts of the server and its clients."""
    if isinstance(application, EngineServer):
        server = application
    else:
        server = SocketServer(application, options or ServerOptions(), handlers=handlers)
    if tls is not None:
        server.secure(tls[0])
    sock = bound()
    server.add_sockets([sock])
    try:
        yield Serving(server, port_of(sock), None if tls is None else tls[1])
    finally:
        await server.close(grace=0.2)
