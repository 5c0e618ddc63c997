"""Socket.IO v5 packets: read up to the point where the meaning of a payload begins, and built from values.

A packet is taken as the Engine.IO packet that carries it, with the leading `4`:

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
"""As socket.io-parser has it; unbounded counts once exhausted servers (CVE-2026-33151)."""

MAX_NAMESPACE = 512
"""Bytes of a namespace: several times what an application can declare, and a bound to what is echoed."""

_ZERO = ord("0")
_MAX_ACK_DIGITS = 16
_MAX_ACK = 1 << 53  # beyond it JavaScript would answer another id than it was sent

Packet: TypeAlias = tuple[int, bytes, bytes | None, bytes, int]
"""Type, namespace, ack id, JSON payload (empty where there is none), number of attachments to follow.

A plain tuple, and namespace and ack id as bytes, since every event of every client passes here: to make a number of
an id and digits of it again would be 0.1 µs of 3.
"""

_ARRAYS = frozenset([EVENT, ACK, BINARY_EVENT, BINARY_ACK])


def parse(packet: bytes) -> Packet:
    """Read an Engine.IO message as a Socket.IO packet; the payload's JSON is left for `decode_…`.

    Raises:
        WireError: it is none, or one that a client may not send.
    """
    if packet.startswith(b"42"):
        # Nearly all that clients send, an event of `/` with an ack id, in half the steps of the general way below.
        start = packet.find(b"[")
        digits = packet[2:start]
        if start > 2 and digits.isdigit() and len(digits) < _MAX_ACK_DIGITS and packet[2] != _ZERO:
            return EVENT, b"/", digits, packet[start:], 0
    kind = packet[1] - 0x30 if len(packet) > 1 else -1
    position, count = 2, 0
    if kind >= BINARY_EVENT:  # and what is no type at all, which is refused below
        position, count = _attachment_count(packet)
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
        return kind, namespace, _ack_id(packet[position:start]), packet[start:], count
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
        PayloadRefused: the JSON is of a kind that we do not take.
        WireError: it is no event.
    """
    event: list[Any] = decode(payload)
    name = event[0] if event else None
    if isinstance(name, bool) or not isinstance(name, str | int | float):
        raise WireError("an event without a name")
    if name in RESERVED:
        raise WireError("a reserved event name")
    return put_back(event, attachments) if attachments else event


def decode_ack(payload: bytes, attachments: Sequence[bytes] = ()) -> list[Any]:
    """Return an ack's arguments; raises as `decode_event` does."""
    arguments: list[Any] = decode(payload)
    return put_back(arguments, attachments) if attachments else arguments


def connect_message(namespace: str, sid: str) -> Message:
    """Return the reply to a CONNECT that was accepted."""
    return Message.of(b"40" + prefix(namespace) + msgspec.json.encode({"sid": sid}))


def connect_error_message(namespace: str, message: str, data: Any = None) -> Message:
    """Return the reply to a CONNECT that was refused; `data` is left out where it is `None`."""
    error = {"message": message} if data is None else {"message": message, "data": data}
    return Message.of(b"44" + prefix(namespace) + msgspec.json.encode(error))


def disconnect_message(namespace: str) -> Message:
    """Return the packet by which the server ends a namespace."""
    return Message.of(b"41" + prefix(namespace))


def event_message(namespace: str, *event: Any) -> Message:
    """Return an EVENT of a name and arguments, bytes among them as attachments.

    Raises:
        ValueError: the name is reserved.
    """
    if event[0] in RESERVED:
        raise ValueError(f"`{event[0]}` is a reserved event name")
    return _message(b"2", b"5", prefix(namespace), event)


def ack_message(namespace: str, ack_id: bytes, arguments: Sequence[Any]) -> Message:
    """Return the answer to an event that asked for one."""
    return _message(b"3", b"6", prefix(namespace) + ack_id, arguments)


def prefix(namespace: str) -> bytes:
    """Return what stands before ack id and payload, for those who build packets of JSON they have as text."""
    return b"" if namespace == "/" else namespace.encode() + b","


def _message(text: bytes, binary: bytes, head: bytes, values: Sequence[Any]) -> Message:
    found: list[bytes] = []
    payload = msgspec.json.encode(take_out(values, found))
    if found:
        return Message.of(b"4" + binary + b"%d-" % len(found) + head + payload, tuple(found))
    return Message.of(b"4" + text + head + payload)


def _attachment_count(packet: bytes) -> tuple[int, int]:
    """Return where the count ends, and the count; 0 would wedge decoders that wait for the first."""
    dash = packet.find(b"-", 2, 6)
    digits = packet[2:dash]
    if dash < 0 or not digits.isdigit() or not 1 <= int(digits) <= MAX_ATTACHMENTS:
        raise WireError("a binary packet with a number of attachments that is not taken")
    return dash + 1, int(digits)


def _ack_id(digits: bytes) -> bytes:
    if not digits.isdigit() or len(digits) > _MAX_ACK_DIGITS:
        raise WireError("an ack id is not a number that is taken")
    if int(digits) > _MAX_ACK:
        raise WireError("an ack id is not a number that is taken")
    return digits.lstrip(b"0") or b"0"
