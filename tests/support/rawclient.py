"""A small Socket.IO client of our own: a thousand of them fit into one process, and each tells what it got.

`RawClient` speaks WebSocket directly on an asyncio transport (client frames masked, RFC 6455, 5.3), and
`Polling` speaks HTTP long polling request by request, so that a test decides what happens between two of
them. Neither answers for the official client; they are for load and for moments that it never shows.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from tests.support.timing import within

PATIENCE = 30.0
SEPARATOR = "\x1e"


def mask(data: bytes, key: bytes) -> bytes:
    """XOR with the repeated key, as one large integer (RFC 6455, 5.3)."""
    length = len(data)
    stretched = (key * (length // 4 + 1))[:length]
    return (int.from_bytes(data, "big") ^ int.from_bytes(stretched, "big")).to_bytes(length, "big")


def frame(opcode: int, data: bytes) -> bytes:
    """Return one masked frame."""
    size = len(data)
    if size < 126:
        head = bytes([0x80 | opcode, 0x80 | size])
    elif size < 1 << 16:
        head = bytes([0x80 | opcode, 0x80 | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([0x80 | opcode, 0x80 | 127]) + size.to_bytes(8, "big")
    key = os.urandom(4)
    return head + key + mask(data, key)


class Session:
    """The state of one namespace on the client's side."""

    def __init__(self) -> None:
        self.sid: str | None = None
        self.error: dict[str, Any] | None = None
        self.ended = False
        self.events: list[list[Any]] = []


def parse(packet: str) -> tuple[str, str, int | None, Any]:
    """Return type, namespace, ack id and payload of a Socket.IO packet of text."""
    kind, rest = packet[0], packet[1:]
    namespace = "/"
    if rest.startswith("/"):
        namespace, _, rest = rest.partition(",")
    digits = "".join(itertools.takewhile(str.isdigit, rest))
    rest = rest[len(digits) :]
    return kind, namespace, int(digits) if digits else None, json.loads(rest) if rest else None


def prefix(kind: str, namespace: str) -> str:
    """Return the beginning of a Socket.IO packet inside an Engine.IO message."""
    return f"4{kind}" if namespace == "/" else f"4{kind}{namespace},"


class SocketIo:
    """The Socket.IO side, the same for both transports: `write` takes Engine.IO packets of text."""

    write: Callable[[str], None]

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.closed = False
        self.on_event: Callable[[str, list[Any]], None] | None = None
        self._acks: dict[int, asyncio.Future[Any]] = {}
        self._ids = itertools.count()
        self._changed = asyncio.Event()

    def packet(self, text: str) -> None:
        """Take an Engine.IO packet of text."""
        if text.startswith("4"):
            self._message(*parse(text[1:]))
        elif text == "2":
            self.write("3")
        elif text == "1":
            self.lost()
        self._changed.set()

    def _message(self, kind: str, namespace: str, ack: int | None, payload: Any) -> None:
        session = self.sessions.setdefault(namespace, Session())
        if kind == "2":
            session.events.append(payload)
            if self.on_event is not None:
                self.on_event(namespace, payload)
        elif kind == "3" and ack is not None and (answer := self._acks.pop(ack, None)):
            if not answer.done():  # one for which nobody waits any more
                answer.set_result(payload[0])
        elif kind == "0":
            session.sid = payload["sid"]
        elif kind == "4":
            session.error = payload
        elif kind == "1":
            session.ended = True

    def lost(self) -> None:
        """The connection is gone."""
        self.closed = True
        for session in self.sessions.values():
            session.ended = True
        for answer in self._acks.values():
            if not answer.done():
                answer.set_exception(ConnectionError("closed before the ack"))
        self._acks.clear()
        self._changed.set()

    async def until(self, holds: Callable[[], Any], what: str) -> None:
        """Wait, packet by packet, until `holds()` is true."""

        async def wait() -> None:
            while not holds():
                self._changed.clear()
                await self._changed.wait()

        await within(PATIENCE, wait(), what)

    async def connect(self, namespace: str = "/", token: str | None = None) -> Session:
        """Connect a namespace; the caller looks whether it has a `sid` or an `error`."""
        session = self.sessions[namespace] = Session()
        auth = json.dumps({"token": token}, separators=(",", ":")) if token else ""
        self.write(prefix("0", namespace) + auth)
        await self.until(lambda: session.sid or session.error or self.closed, f"CONNECT {namespace}")
        return session

    async def call(self, namespace: str, *event: Any) -> Any:
        """Emit with an ack id, and return what the ack brought."""
        identity = next(self._ids)
        answer = self._acks[identity] = asyncio.get_running_loop().create_future()
        self.write(f"{prefix('2', namespace)}{identity}{json.dumps(event, separators=(',', ':'))}")
        return await within(PATIENCE, answer, f"the ack of {event[0]}")

    def emit(self, namespace: str, *event: Any) -> None:
        """Emit without an ack id."""
        self.write(prefix("2", namespace) + json.dumps(event, separators=(",", ":")))


class RawClient(SocketIo, asyncio.Protocol):
    """A client on WebSocket. `await RawClient.open(url)` has received the Engine.IO handshake."""

    def __init__(self) -> None:
        super().__init__()
        self.transport: asyncio.Transport | None = None
        self.handshake: dict[str, Any] | None = None
        self.status: int | None = None
        self.packets: deque[str] = deque()
        self._buffer = b""

    @classmethod
    async def open(
        cls,
        url: str,
        query: str = "",
        headers: dict[str, str] | None = None,
        source: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> RawClient:
        """Open a connection of its own, from the address `source` where one is given."""
        client = await cls.dial(url, query, headers, source, tls)
        await client.until(lambda: client.handshake or client.closed, "the Engine.IO handshake")
        return client

    @classmethod
    async def dial(
        cls,
        url: str,
        query: str = "",
        headers: dict[str, str] | None = None,
        source: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> RawClient:
        """Send the upgrade request and await its answer; `query` holds the `sid` for a probe."""
        parts = urlsplit(url)
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(
            cls, parts.hostname, parts.port, local_addr=source and (source, 0), ssl=tls
        )
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET /socket.io/?EIO=4&transport=websocket{query} HTTP/1.1",
            f"Host: {parts.netloc}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
            *(f"{name}: {value}" for name, value in (headers or {}).items()),
        ]
        assert client.transport is not None
        client.transport.write("\r\n".join([*lines, "", ""]).encode())
        await client.until(lambda: client.status or client.closed, "the answer to the upgrade")
        return client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self.lost()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self.status is None:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            self.status = int(head.split()[1])
            self._buffer = rest
            self._changed.set()
        if self.status == 101:
            self._frames()

    def _frames(self) -> None:
        buffer, at = self._buffer, 0
        while len(buffer) - at >= 2:
            size, start = buffer[at + 1] & 0x7F, at + 2
            extra = {126: 2, 127: 8}.get(size, 0)
            if extra:
                size = int.from_bytes(buffer[start : start + extra], "big")
            start += extra
            if len(buffer) < start + size:
                break
            self._frame(buffer[at] & 0x0F, buffer[start : start + size])
            at = start + size
        self._buffer = buffer[at:]

    def _frame(self, opcode: int, data: bytes) -> None:
        if opcode == 1:
            text = data.decode()
            if text.startswith("0"):
                self.handshake = json.loads(text[1:])
            elif text in {"3probe", "6"}:
                self.packets.append(text)
            self.packet(text)
        elif opcode == 8:
            assert self.transport is not None
            self.transport.close()

    def write(self, packet: str) -> None:
        """Send a packet of text as one masked frame; after the end it goes nowhere, as on a real network."""
        assert self.transport is not None
        if not self.transport.is_closing():
            self.transport.write(frame(1, packet.encode()))

    async def close(self) -> None:
        """End the connection, and wait until it has ended."""
        assert self.transport is not None
        self.transport.close()
        await self.until(lambda: self.closed, "the end of the connection")


class Polling(SocketIo):
    """A client on long polling: nothing is polled unless the test (or `keep_polling`) does."""

    def __init__(self, url: str, source: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self._parts = urlsplit(url)
        self._source = source
        self._tls = tls
        self.sid = ""
        self.outgoing: list[str] = []
        self._polling = False
        self._pump: asyncio.Task[None] | None = None
        self._sender: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, url: str, source: str | None = None, tls: ssl.SSLContext | None = None) -> Polling:
        """Do the handshake; every request comes from the address `source` where one is given."""
        client = cls(url, source, tls)
        status, body = await client.http("GET", "")
        assert status == 200, (status, body)
        client.sid = json.loads(body[1:])["sid"]
        return client

    async def http(self, method: str, query: str, body: bytes | None = None) -> tuple[int, str]:
        """Do one request on a connection of its own, and return status and body."""
        reader, writer = await asyncio.open_connection(
            self._parts.hostname,
            self._parts.port,
            local_addr=self._source and (self._source, 0),
            ssl=self._tls,
        )
        try:
            lines = [
                f"{method} /socket.io/?EIO=4&transport=polling{query} HTTP/1.1",
                f"Host: {self._parts.netloc}",
                "Connection: close",
            ]
            if body is not None:
                lines += ["Content-Type: text/plain;charset=UTF-8", f"Content-Length: {len(body)}"]
            writer.write("\r\n".join([*lines, "", ""]).encode() + (body or b""))
            answer = await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()
        head, _, rest = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), rest.decode()

    async def poll(self) -> int:
        """Do one GET, take its packets, and return the status; anything but 200 is the end."""
        status, body = await self.http("GET", f"&sid={self.sid}")
        if status != 200:
            self.lost()
            return status
        for packet in body.split(SEPARATOR):
            self.packet(packet)
        return status

    async def post(self, *packets: str) -> int:
        """Do one POST with these packets, and return the status."""
        status, _ = await self.http("POST", f"&sid={self.sid}", SEPARATOR.join(packets).encode())
        return status

    def write(self, packet: str) -> None:
        """Send a packet with the next POST; POSTs follow one another, as the protocol wants."""
        self.outgoing.append(packet)
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send())

    async def _send(self) -> None:
        while self.outgoing and not self.closed:
            packets, self.outgoing = self.outgoing, []
            if await self.post(*packets) != 200:
                self.lost()

    def keep_polling(self) -> None:
        """Poll from now on, one GET after another."""
        self._polling = True
        self._pump = asyncio.create_task(self._poll_on())

    async def _poll_on(self) -> None:
        while self._polling and not self.closed and await self.poll() == 200:
            pass

    async def pause(self) -> None:
        """Stop polling once the GET that is under way is answered; giving it up would end the session."""
        self._polling = False
        if self._pump is not None:
            await within(PATIENCE, self._pump, "the answer to the GET under way")
            self._pump = None

    async def close(self) -> None:
        """Say goodbye, and wait for what is under way."""
        self._polling = False
        if not self.closed:
            await self.post("1")
        await self.pause()
        self.lost()
        if self._sender is not None:
            await self._sender
