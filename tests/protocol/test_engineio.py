"""Engine.IO packets and payloads."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from compartmentd.errors import WireError
from compartmentd.protocol import engineio
from compartmentd.protocol.engineio import (
    BinaryPacket,
    ControlPacket,
    build_open_packet,
    decode_binary_packet,
    decode_payload,
)
from compartmentd.protocol.message import Message
from compartmentd.protocol.websocket import BINARY, TEXT


def test_the_open_packet_has_exactly_its_five_members():
    packet = build_open_packet(
        "abc", upgrades=("websocket",), ping_interval=25, ping_timeout=0.2, max_payload=1_000_000
    )
    assert packet == (
        b'0{"sid":"abc","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":200,"maxPayload":1000000}'
    )


@pytest.mark.parametrize(
    ("body", "packets"),
    [
        (b"4hello", [(TEXT, b"4hello")]),
        (b"4a\x1e4b", [(TEXT, b"4a"), (TEXT, b"4b")]),
        (b"4a\x1ebAQIDBA==\x1e2", [(TEXT, b"4a"), (BINARY, b"\x01\x02\x03\x04"), (TEXT, b"2")]),
        (b"b", [(BINARY, b"")]),
        (b"", [(TEXT, b"")]),
        (b"\x1e", [(TEXT, b""), (TEXT, b"")]),
        ("4€".encode(), [(TEXT, "4€".encode())]),
    ],
)
def test_payloads(body: bytes, packets: list[tuple[int, bytes]]):
    assert list(decode_payload(body)) == packets


@pytest.mark.parametrize(
    "body",
    [b"\xff", b"4\xed\xa0\x80", b"bA", b"bAQ", b"b AQID", b"bAQID\n", b"b!!", b"bAQID=", "b€".encode()],
)
def test_bodies_that_are_no_payload(body: bytes):
    with pytest.raises(WireError):
        list(decode_payload(body))


@given(st.binary(max_size=200))
def test_any_body_is_a_payload_or_an_error(body: bytes):
    try:
        packets = list(decode_payload(body))
    except WireError:
        return
    assert len(packets) == body.count(b"\x1e") + 1


messages = st.builds(
    Message.from_packet,
    st.text(st.characters(exclude_characters="\x1e", exclude_categories=["Cs"])).map(
        lambda s: b"4" + s.encode()
    ),
    st.lists(st.binary(max_size=40), max_size=3).map(tuple),
)


@given(st.lists(messages, min_size=1, max_size=5))
def test_what_is_sent_as_a_payload_reads_as_what_was_sent(sent: list[Message]):
    expected = [packet for m in sent for packet in [(TEXT, m.packet), *((BINARY, a) for a in m.attachments)]]
    assert list(decode_payload(b"\x1e".join(message.payload for message in sent))) == expected


def test_both_forms_of_packets_that_are_no_messages():
    assert (ControlPacket(b"2").frames, ControlPacket(b"2").payload) == (b"\x81\x012", b"2")
    assert (BinaryPacket(b"\x01\x02").frames, BinaryPacket(b"\x01\x02").payload) == (
        b"\x82\x02\x01\x02",
        b"bAQI=",
    )
    assert decode_binary_packet(b"bAQI=") == (BINARY, b"\x01\x02")


def test_refusals_are_as_the_reference_words_them_and_say_why():
    table = {
        0: {(400, "Transport unknown")},
        1: {(400, "Session ID unknown")},
        2: {(400, "Bad handshake method")},
        3: {(400, "Bad request"), (413, "Payload Too Large")},
        4: {(403, "Forbidden")},
        5: {(400, "Unsupported protocol version")},
    }
    found: dict[int, set[tuple[int, str]]] = {}
    for refusal in engineio.REFUSALS:
        body = json.loads(refusal.body)
        found.setdefault(body["code"], set()).add((refusal.status, body["message"]))
        assert (body["reason"], body["detail"]) == (refusal.reason, refusal.detail)
        assert refusal.detail
    assert found == table
    assert len({refusal.reason for refusal in engineio.REFUSALS}) == len(engineio.REFUSALS)
    declared = {
        name for name, value in vars(engineio).items() if isinstance(value, engineio.HandshakeRefusal)
    }
    assert len(declared) == len(engineio.REFUSALS)
