"""Socket.IO v5 packets: parsed up to their payload, and built from values.

A packet is parsed together with the leading `4` of the Engine.IO packet that carries it:

    4 TYPE [COUNT -] [/NAMESPACE ,] [ACK ID] [JSON]

Digits are compared as bytes: `str.isdigit` and `int` would take those of every script.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from compartmentd.errors import WireError
from compartmentd.protocol.attachments import put_back, take_out
from compartmentd.protocol.message import Message
from compartmentd.protocol.payload_json import decode

CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = range(7)

RESERVED = frozenset(
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"],
)
"""Event names that neither side may send (Socket.IO v5, "Event names")."""

MAX_ATTACHMENTS = 10
"""The same as in socket.io-parser; unlimited counts once exhausted servers (CVE-2026-33151)."""

MAX_NAMESPACE = 512
"""Bytes of a namespace: several times what can be declared, and a limit to what is echoed."""

_ZERO = ord("0")
_MAX_ACK_DIGITS = 16
_MAX_ACK = 1 << 53  # beyond it JavaScript would answer another id than it was sent

Packet: TypeAlias = tuple[int, bytes, bytes | None, bytes, int]
"""Type, namespace, ack id, JSON payload (empty if there is none), number of attachments to follow.

It is a plain tuple, with namespace and ack id as bytes, since every event of every client is parsed: turning an id
into a number and back into digits would take 0.1 µs of 3.
"""

_ARRAYS = frozenset([EVENT, ACK, BINARY_EVENT, BINARY_ACK])


def parse(packet: bytes) -> Packet:
    """Parse an Engine.IO message as a Socket.IO packet; `decode_event` and `decode_ack` decode the payload.

    Raises:
        WireError: it is no packet, or one that a client may not send.
    """
    if packet.startswith(b"42"):
        # An event of `/` with an ack id, which is nearly all that clients send, in half the steps of the way below.
        start = packet.find(b"[")
        digits = packet[2:start]
        if start > 2 and digits.isdigit() and len(digits) < _MAX_ACK_DIGITS and packet[2] != _ZERO:
            return EVENT, b"/", digits, packet[start:], 0
    kind = packet[1] - 0x30 if len(packet) > 1 else -1
    position, count = 2, 0
    if kind >= BINARY_EVENT:  # also a digit that is no type, which is refused below
        position, count = _read_attachment_count(packet)
    namespace = b"/"
    if packet[position : position + 1] == b"/":
        comma = packet.find(b",", position)
        if comma < 0:
            comma = len(packet)
        namespace = packet[position:comma]
        position = comma + 1
        if len(namespace) > MAX_NAMESPACE:
            raise WireError("a namespace is too long")
    if kind in _ARRAYS:
        start = packet.find(b"[", position)
        if start < 0:
            raise WireError("an event or ack without an array")
        if start == position:
            return kind, namespace, None, packet[start:], count
        return kind, namespace, _read_ack_id(packet[position:start]), packet[start:], count
    payload = packet[position:]
    if kind == CONNECT and payload[:1] in {b"", b"{"}:
        return kind, namespace, None, payload, 0
    if kind == DISCONNECT and not payload:
        return kind, namespace, None, b"", 0
    raise WireError("no packet that a client may send")


def decode_event(payload: bytes, attachments: Sequence[bytes] = ()) -> list[Any]:
    """Return an event's name and arguments, attachments in their places.

    `payload` is known to be UTF-8, and to begin with `[`.

    Raises:
        PayloadRefused: the JSON is of a kind that is not taken.
        WireError: it is no event.
    """
    event: list[Any] = decode(payload)
    name = event[0] if event else None
    if isinstance(name, bool) or not isinstance(name, str | int | float):
        raise WireError("an event without a name", reason="event")
    if name in RESERVED:
        raise WireError("a reserved event name", reason="event")
    return put_back(event, attachments) if attachments else event


def decode_ack(payload: bytes, attachments: Sequence[bytes] = ()) -> list[Any]:
    """Return an ack's arguments; raises as `decode_event` does."""
    arguments: list[Any] = decode(payload)
    return put_back(arguments, attachments) if attachments else arguments


def build_connect(namespace: str, sid: str) -> Message:
    """Return the reply to a CONNECT that was accepted."""
    return Message.from_packet(b"40" + build_prefix(namespace) + msgspec.json.encode({"sid": sid}))


def build_connect_error(namespace: str, message: str, data: Any = None) -> Message:
    """Return the reply to a CONNECT that was refused; `data` is left out where it is `None`."""
    error = {"message": message} if data is None else {"message": message, "data": data}
    return Message.from_packet(b"44" + build_prefix(namespace) + msgspec.json.encode(error))


def build_disconnect(namespace: str) -> Message:
    """Return the packet with which the server ends a namespace."""
    return Message.from_packet(b"41" + build_prefix(namespace))


def build_event(namespace: str, *event: Any) -> Message:
    """Return an EVENT with a name and arguments; bytes among these become attachments.

    Raises:
        ValueError: the name is reserved.
    """
    if event[0] in RESERVED:
        raise ValueError(f"`{event[0]}` is a reserved event name")
    return _encode(b"2", b"5", build_prefix(namespace), event)


def build_ack(namespace: str, ack_id: bytes, arguments: Sequence[Any]) -> Message:
    """Return the answer to an event that asked for one."""
    return _encode(b"3", b"6", build_prefix(namespace) + ack_id, arguments)


def build_prefix(namespace: str) -> bytes:
    """Return the part before ack id and payload, for packets that are built of JSON text."""
    return b"" if namespace == "/" else namespace.encode() + b","


def _encode(text: bytes, binary: bytes, head: bytes, values: Sequence[Any]) -> Message:
    found: list[bytes] = []
    payload = msgspec.json.encode(take_out(values, found))
    if found:
        return Message.from_packet(b"4" + binary + b"%d-" % len(found) + head + payload, tuple(found))
    return Message.from_packet(b"4" + text + head + payload)


def _read_attachment_count(packet: bytes) -> tuple[int, int]:
    """Return the end of the count, and the count; decoders would wait for ever if it were 0."""
    dash = packet.find(b"-", 2, 6)
    digits = packet[2:dash]
    if dash < 0 or not digits.isdigit() or not 1 <= int(digits) <= MAX_ATTACHMENTS:
        raise WireError(
            "a binary packet with a number of attachments that is not taken", reason="attachments"
        )
    return dash + 1, int(digits)


def _read_ack_id(digits: bytes) -> bytes:
    if not digits.isdigit() or len(digits) > _MAX_ACK_DIGITS:
        raise WireError("an ack id is not a number that is taken", reason="ack")
    if int(digits) > _MAX_ACK:
        raise WireError("an ack id is not a number that is taken", reason="ack")
    return digits.lstrip(b"0") or b"0"
