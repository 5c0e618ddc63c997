"""Fuzz targets of the protocols: Engine.IO, Socket.IO, WebSocket.

Each target takes any bytes and asserts the contract of one reader: it raises nothing but what it declares, it
agrees with a naive reader that is written from the specification alone, and it makes no difference how the bytes
are cut.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from typing import Any

from compartmentd.errors import WireError
from compartmentd.net.websocket_mask import unmask
from compartmentd.protocol import socketio
from compartmentd.protocol.application import Handshake
from compartmentd.protocol.engineio import decode_payload
from compartmentd.protocol.lifecycle import Phase
from compartmentd.protocol.multiplex import SocketConnection
from compartmentd.protocol.options import ConnectionOptions
from compartmentd.protocol.websocket import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Data,
    MessageReader,
    encode_frame,
    xor,
)
from tests.fuzz.choices import Choices
from tests.support.fakes import FakeHost, FakeLink
from tests.support.recorder import Recorder

LIMIT = 500
"""The longest message of the WebSocket targets, small so that inputs reach beyond it."""

# --- Engine.IO ---


def engineio_payload(data: bytes) -> None:
    """Read a polling payload, and compare with one that is taken apart by hand."""
    expected = read_payload_naively(data)
    try:
        found = list(decode_payload(data))
    except WireError:
        assert expected is None, "a payload is refused that the specification allows"
        return
    assert found == expected
    sent = b"\x1e".join(packet if kind == TEXT else b"b" + base64.b64encode(packet) for kind, packet in found)
    assert list(decode_payload(sent)) == found, "a payload does not survive being written again"


def read_payload_naively(data: bytes) -> list[Data] | None:
    """Return the packets of a payload, `None` if it is none (Engine.IO v4, "Payload encoding")."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    packets: list[Data] = []
    for part in data.split(b"\x1e"):
        if not part.startswith(b"b"):
            packets.append((TEXT, part))
            continue
        if len(part) % 4 != 1 or not re.fullmatch(rb"b[A-Za-z0-9+/]*={0,2}", part):
            return None
        packets.append((BINARY, base64.b64decode(part[1:])))
    return packets


# --- Socket.IO ---

_PACKET = re.compile(rb"4([0-6])(?:([0-9]{1,3})-)?(?:(/[^,]*)(?:,|\Z))?(.*)", re.DOTALL)
_WITH_COUNT, _WITH_ARRAY = {5, 6}, {2, 3, 5, 6}


def socketio_packet(data: bytes) -> None:
    """Read a packet, and compare with a reader made of one regular expression; its payload is decoded, too."""
    packet = b"4" + data
    expected = parse_naively(packet)
    try:
        found = socketio.parse(packet)
    except WireError:
        assert expected is None, "a packet is refused that the specification allows"
        return
    assert found == expected
    kind, namespace, ack, payload, count = found
    attachments = [b"%d" % index for index in range(count)]
    if not payload.startswith(b"["):
        return
    try:
        payload.decode()
    except UnicodeDecodeError:
        return  # both transports refuse it before it is parsed
    decode = socketio.decode_event if kind in {socketio.EVENT, socketio.BINARY_EVENT} else socketio.decode_ack
    try:
        values = decode(payload, attachments)
    except WireError:
        return
    assert isinstance(values, list)
    _check_round_trip(namespace, ack, values)


def _check_round_trip(namespace: bytes, ack: bytes | None, values: list[Any]) -> None:
    try:
        name = namespace.decode()
    except UnicodeDecodeError:
        return
    written = socketio.build_ack(name, ack or b"0", values)
    if len(written.attachments) > socketio.MAX_ATTACHMENTS:
        return  # one attachment may stand in several places
    kind, again, number, payload, count = socketio.parse(written.packet)
    assert (kind in {socketio.ACK, socketio.BINARY_ACK}, again, number) == (True, namespace, ack or b"0")
    assert count == len(written.attachments)
    assert socketio.decode_ack(payload, written.attachments) == values


def parse_naively(packet: bytes) -> socketio.Packet | None:
    """Return a packet's parts, `None` if a client may not send it (Socket.IO v5, "Packet encoding")."""
    found = _PACKET.fullmatch(packet)
    if found is None:
        return None
    kind, digits, namespace, rest = int(found[1]), found[2], found[3] or b"/", found[4]
    count = int(digits) if digits else 0
    if (
        (kind in _WITH_COUNT) != (digits is not None)
        or (digits and not 1 <= count <= 10)
        or len(namespace) > 512
    ):
        return None
    if kind not in _WITH_ARRAY:
        allowed = (
            rest[:1] in {b"", b"{"} if kind == socketio.CONNECT else kind == socketio.DISCONNECT and not rest
        )
        return (kind, namespace, None, rest, 0) if allowed else None
    event = re.fullmatch(rb"([0-9]{0,16})(\[.*)", rest, re.DOTALL)
    if event is None or int(event[1] or b"0") > 1 << 53:
        return None
    ack = b"%d" % int(event[1]) if event[1] else None
    return kind, namespace, ack, event[2], count


# --- WebSocket ---


def websocket_frames(data: bytes) -> None:
    """Read frames whole, byte by byte and in pieces; all three agree with a reader that knows only whole input."""
    choices = Choices(data)
    size = 1 + choices.number(200)
    stream = choices.rest()
    whole = _outcome([stream], xor)
    assert whole == _outcome([stream], unmask), "the two functions that unmask differ"
    assert whole == _outcome([stream[i : i + 1] for i in range(len(stream))], xor)
    assert whole == _outcome([stream[i : i + size] for i in range(0, len(stream), size)], unmask)
    assert whole == read_frames_naively(stream)


def _outcome(
    chunks: Sequence[bytes], function: Any
) -> tuple[list[Data], list[bytes], int | None, int | None]:
    reader = MessageReader(LIMIT, function)
    messages: list[Data] = []
    replies: list[bytes] = []
    for chunk in chunks:
        messages += reader.receive(chunk)
        replies += reader.take_replies()
        held = len(reader._tail or b"") + len(reader._fragments or b"")
        assert held <= 2 * (LIMIT + 14), "more is kept than one message"
    return messages, replies, reader.closed, None if reader.failure is None else reader.failure.code


class _Failed(Exception):
    pass


def read_frames_naively(stream: bytes) -> tuple[list[Data], list[bytes], int | None, int | None]:
    """Return messages, pongs, the close frame's code and the code of the first violation (RFC 6455, 5)."""
    messages: list[Data] = []
    pongs: list[bytes] = []
    message: list[Any] = []  # the opcode and the fragments so far
    try:
        for final, opcode, payload in _split_naively(stream, message):
            if opcode == CLOSE:
                return messages, pongs, _read_code(payload), None
            if opcode == PING:
                pongs.append(encode_frame(PONG, payload))
            elif opcode != PONG:
                message[:] = message or [opcode]
                message.append(payload)
                if final:
                    whole = b"".join(message[1:])
                    if message[0] == TEXT:
                        _decode(whole)
                    messages.append((message[0], whole))
                    message.clear()
    except _Failed as failure:
        return messages, pongs, None, failure.args[0]
    return messages, pongs, None, None


def _split_naively(stream: bytes, message: list[Any]) -> Iterator[tuple[bool, int, bytes]]:
    while len(stream) >= 2:
        first, second = stream[:2]
        opcode, final, size = first & 15, first >= 128, second & 127
        if first & 0x70 or second < 128 or opcode not in {0, 1, 2, 8, 9, 10}:
            raise _Failed(1002)
        if opcode >= CLOSE and (not final or size > 125):
            raise _Failed(1002)
        if opcode < CLOSE and (opcode == 0) != bool(message):
            raise _Failed(1002)
        width = {126: 2, 127: 8}.get(size, 0)
        if len(stream) < 2 + width:
            return
        if width:
            size = int.from_bytes(stream[2 : 2 + width], "big")
        if opcode < CLOSE and size + sum(map(len, message[1:])) > LIMIT:
            raise _Failed(1009)
        start = 6 + width
        if len(stream) < start + size:
            return
        mask = stream[start - 4 : start]
        payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(stream[start : start + size]))
        yield final, opcode, payload
        stream = stream[start + size :]


def _read_code(payload: bytes) -> int:
    if not payload:
        return 1005
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or not (
        code in {1000, 1001, 1002, 1003} or 1007 <= code <= 1014 or 3000 <= code <= 4999
    ):
        raise _Failed(1002)
    _decode(payload[2:])
    return code


def _decode(text: bytes) -> None:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        raise _Failed(1007) from None


# --- a whole connection ---

_PACKETS = (
    b"40",
    b"40/a,",
    b"40/no,",
    b"41",
    b"41/a,",
    b'42["x"]',
    b'42/a,1["x",{}]',
    b"3",
    b"6",
    b"1",
    b"2",
    b"431[]",
)
_BINARY_EVENTS = (
    b'451-["x",{"_placeholder":true,"num":0}]',
    b'452-/a,7["x",{"_placeholder":true,"num":1}]',
    b'461-["x"]',
)
_OPTIONS = ConnectionOptions(max_payload=2000, namespaces=4)


def connection(data: bytes) -> None:
    """Drive one connection with packets and time; the application sees a consistent story, and no error is ours.

    The packets come as messages of a WebSocket; the same packets in one polling payload tell the same story.
    """
    choices = Choices(data)
    packets = choices.some(40, lambda: _draw_packet(choices))
    step = choices.number(12)
    story = _tell(packets, step)
    written = b"\x1e".join(p if kind == TEXT else b"b" + base64.b64encode(p) for kind, p in packets)
    if packets and all(_survives_a_payload(kind, packet) for kind, packet in packets):
        assert list(decode_payload(written)) == packets
        assert _tell(list(decode_payload(written)), step) == story


def _survives_a_payload(kind: int, packet: bytes) -> bool:
    return kind == BINARY or not (b"\x1e" in packet or packet.startswith(b"b"))


def _draw_packet(choices: Choices) -> Data:
    kind = choices.number(8)
    if kind < 4:
        return TEXT, choices.one_of(_PACKETS)
    if kind == 4:
        return TEXT, choices.one_of(_BINARY_EVENTS)
    if kind == 5:
        return BINARY, choices.take(200)
    head = choices.one_of((b"4", b"42", b"40/", b"45", b"46", b"42/a,", b"b", b""))
    packet = head + choices.take(200)
    return (TEXT, packet) if _is_utf8(packet) else (BINARY, packet)


def _is_utf8(packet: bytes) -> bool:
    try:
        packet.decode()
    except UnicodeDecodeError:
        return False
    return True


def _tell(packets: Sequence[Data], step: float) -> list[Any]:
    host, link, application = FakeHost(), FakeLink(), Recorder()
    made = SocketConnection(host, "sid", Handshake("192.0.2.1", {}, {}), _OPTIONS, application)
    made.link = link
    made.phase = Phase.WEBSOCKET
    made.start_heartbeat()
    live: set[str] = set()
    for packet in packets:
        made.receive([packet])
        host.advance(made, step / 4)
        assert made._sessions.keys().isdisjoint(made._others)
        assert len(made._sessions) + len(made._others) <= _OPTIONS.namespaces
        assert made._incomplete is None or made._incomplete.size <= _OPTIONS.max_payload
    made.note_lost("transport close")
    assert host.counters.errors == 0, "an error of ours ended the connection"
    for call in application.calls:
        if call[0] == "connect" and call[1] != "/no":
            assert call[1] not in live, "a second session of one namespace"
            live.add(call[1])
        elif call[0] in {"event", "left"}:
            assert call[1] in live, "an event without a session"
            live -= {call[1]} if call[0] == "left" else set()
    assert application.calls[-1][:2] == ("closed", sorted(live))
    assert [call[0] for call in application.calls].count("closed") == 1
    return application.calls
