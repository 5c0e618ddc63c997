"""Clients for the stateful fuzzer: a real connection of the server's codec, and a naive reader of what it sends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from compartmentd.protocol.application import Application, Handshake
from compartmentd.protocol.connection import EngineConnection
from compartmentd.protocol.lifecycle import Phase
from compartmentd.protocol.message import Batch, Message
from compartmentd.protocol.multiplex import SocketConnection
from compartmentd.protocol.options import ConnectionOptions
from compartmentd.protocol.websocket import TEXT
from tests.support.fakes import FakeHost, FakeLink

_OPTIONS = ConnectionOptions(connect_timeout=1e9, ping_interval=1e9)


class LoopbackHost(FakeHost):
    """A host whose connections share messages in batches, as the server's do."""

    def share(
        self, message: Message, to: Sequence[EngineConnection], besides: EngineConnection | None
    ) -> Batch:
        """Queue a batch on every connection but one."""
        batch = Batch(message)
        for connection in to:
            if connection is not besides:
                connection.send(batch)
        return batch


class Wire:
    """One connection: packets in as a client writes them, packets out as a client reads them.

    `polling` is whether what it is sent is read from a polling payload instead of from frames.
    """

    def __init__(self, host: LoopbackHost, application: Application, *, polling: bool) -> None:
        self.connection = SocketConnection(host, "sid", Handshake("192.0.2.1", {}, {}), _OPTIONS, application)
        self.connection.link = FakeLink()
        self.connection.phase = Phase.WEBSOCKET
        self.polling = polling
        self.received: list[tuple[str, str, int | None, Any]] = []
        self._ids = 0

    @property
    def closed(self) -> bool:
        """Whether the connection has ended."""
        return self.connection.phase is Phase.CLOSED

    def write(self, packet: str) -> None:
        """Send a packet of text."""
        self.connection.receive([(TEXT, packet.encode())])

    def connect(self, namespace: str, token: str | None) -> None:
        """Send a CONNECT."""
        self.write(_prefix("40", namespace) + ("" if token is None else json.dumps({"token": token})))

    def ask(self, namespace: str, *event: Any) -> Any:
        """Send an event with an ack id, and return what the ack says; `None` if none came, as the session ended."""
        self._ids += 1
        self.write(f"{_prefix('42', namespace)}{self._ids}{json.dumps(event, separators=(',', ':'))}")
        self.read()
        acks = [each for each in self.received if each[0] == "3" and each[1:3] == (namespace, self._ids)]
        assert len(acks) <= 1, "two answers to one request"
        for ack in acks:
            self.received.remove(ack)
            return ack[3][0]
        return None

    def read(self) -> None:
        """Take everything that was sent so far."""
        out = self.connection.out
        for each in out:
            packets = each.payload.split(b"\x1e") if self.polling else _split_frames(each.frames)
            self.received += [_parse(packet.decode()) for packet in packets if packet.startswith(b"4")]
        out.clear()

    def take(self) -> list[tuple[str, str, int | None, Any]]:
        """Return the packets since the last call: kind, namespace, ack id, payload."""
        self.read()
        received, self.received = self.received, []
        return received

    def lose(self) -> None:
        """End the connection as a network does."""
        self.connection.note_lost("transport close")


def _prefix(kind: str, namespace: str) -> str:
    return kind if namespace == "/" else f"{kind}{namespace},"


def _split_frames(frames: bytes) -> list[bytes]:
    """Return the payloads of unmasked text frames (RFC 6455, 5.2)."""
    packets = []
    while frames:
        assert frames[0] == 0x81, "another frame than a whole text message"
        size, start = frames[1], 2
        if size >= 126:
            width = 2 if size == 126 else 8
            start += width
            size = int.from_bytes(frames[2:start], "big")
        packets.append(frames[start : start + size])
        frames = frames[start + size :]
    return packets


def _parse(packet: str) -> tuple[str, str, int | None, Any]:
    kind, rest, namespace = packet[1], packet[2:], "/"
    if rest.startswith("/"):
        namespace, _, rest = rest.partition(",")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    body = rest[len(digits) :]
    return kind, namespace, int(digits) if digits else None, json.loads(body) if body else None
