"""WebSocket framing: frames that are written, and frames that are read in any pieces."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, strategies as st
from tornado.util import _websocket_mask

from compartmentd.errors import WireError
from compartmentd.protocol.websocket import (
    BINARY,
    CLOSE,
    PING,
    TEXT,
    Data,
    MessageReader,
    encode_binary_frame,
    encode_close_frame,
    encode_frame,
    encode_text_frame,
    is_close_code,
    xor,
)
from tests.support import wire

LIMIT = 1000


def read(chunks: Iterator[bytes] | list[bytes], limit: int = LIMIT) -> tuple[list[Data], MessageReader]:
    reader = MessageReader(limit)
    messages = [message for chunk in chunks for message in reader.receive(chunk)]
    return messages, reader


def byte_by_byte(data: bytes) -> Iterator[bytes]:
    return (data[index : index + 1] for index in range(len(data)))


def outcome(chunks: Iterator[bytes] | list[bytes]) -> tuple[list[Data], int | None, int | None, list[bytes]]:
    """Return everything that a reader tells: messages, failure, close code, replies."""
    messages, reader = read(chunks)
    failure = None if reader.failure is None else reader.failure.code
    return messages, failure, reader.closed, reader.replies


# Writing


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65535, b"\x81\x7e\xff\xff"),
        (65536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_the_length_of_a_frame(size: int, head: bytes):
    assert encode_text_frame(b"x" * size) == head + b"x" * size


def test_other_frames():
    assert encode_binary_frame(b"\x00") == b"\x82\x01\x00"
    assert encode_close_frame() == b"\x88\x00"
    assert encode_close_frame(1002) == b"\x88\x02\x03\xea"
    assert encode_frame(PING, b"") == b"\x89\x00"


@given(st.binary(min_size=4, max_size=4), st.binary(max_size=300))
def test_unmasking_in_python_does_what_tornados_does(mask: bytes, payload: bytes):
    assert xor(mask, payload) == _websocket_mask(mask, payload)
    assert xor(mask, xor(mask, payload)) == payload


# Reading


@pytest.mark.parametrize("size", [0, 1, 124, 125, 126, 127, 258, 513, 999, 1000])
def test_a_message_of_any_length(size: int):
    for opcode in (TEXT, BINARY):
        data = wire.frame(opcode, b"x" * size)
        for chunks in ([data], byte_by_byte(data)):
            messages, reader = read(chunks)
            assert messages == [(opcode, b"x" * size)]
            assert reader.failure is None


@pytest.mark.parametrize("limit", [0, 5, 124, 125, 126, 200])
def test_the_limit_is_exact(limit: int):
    assert read([wire.frame(TEXT, b"x" * limit)], limit)[0] == [(TEXT, b"x" * limit)]
    messages, reader = read([wire.frame(TEXT, b"x" * (limit + 1))], limit)
    assert messages == []
    assert reader.failure is not None
    assert reader.failure.code == 1009


def test_the_limit_counts_all_fragments_and_no_control_frame():
    parts = [
        wire.frame(TEXT, b"x" * 5, fin=False),
        wire.frame(PING, b"y" * 100),
        wire.frame(0, b"x" * 5),
    ]
    assert read(parts, 10)[0] == [(TEXT, b"x" * 10)]
    failure = read(parts, 9)[1].failure
    assert failure is not None
    assert failure.code == 1009


def test_a_refusal_does_not_wait_for_the_payload():
    """Two bytes tell enough of most, and the length of the rest."""
    for start, code in (
        (b"\x81\x05", 1002),
        (b"\xc1\x85", 1002),
        (b"\x83\x85", 1002),
        (b"\x80\x85", 1002),
        (b"\x09\x85", 1002),
        (b"\x89\xfe", 1002),
        (b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff", 1009),
        (b"\x81\xfe\xff\xff", 1009),
    ):
        failure = read([start])[1].failure
        assert failure is not None, start
        assert failure.code == code, start


@pytest.mark.parametrize(
    ("payload", "code"),
    [(b"", 1005), (b"\x03\xe8", 1000), (b"\x0f\xa0bye", 4000), (b"\x03\xe8\xe2\x82\xac", 1000)],
)
def test_a_close_frame_ends_the_reading(payload: bytes, code: int):
    messages, reader = read([wire.text("a") + wire.frame(CLOSE, payload) + wire.text("b"), wire.text("c")])
    assert messages == [(TEXT, b"a")]
    assert reader.closed == code
    assert reader.failure is None


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
def test_codes_that_no_peer_may_send(code: int):
    assert not is_close_code(code)
    assert read([wire.frame(CLOSE, code.to_bytes(2, "big"))])[1].failure is not None


def test_pings_are_answered_with_their_own_bytes():
    messages, reader = read(
        [wire.frame(PING, b"1") + wire.text("a") + wire.frame(PING, b"") + wire.frame(10, b"x")]
    )
    assert messages == [(TEXT, b"a")]
    assert reader.replies == [b"\x8a\x011", b"\x8a\x00"]


def test_text_over_fragments_is_checked_as_a_whole():
    euro = "€".encode()
    good = wire.frame(TEXT, euro[:1], fin=False) + wire.frame(0, euro[1:])
    assert read([good])[0] == [(TEXT, euro)]
    bad = wire.frame(TEXT, euro[:1], fin=False) + wire.frame(0, b"x")
    failure = read([bad])[1].failure
    assert failure is not None
    assert failure.code == 1007


def test_an_empty_message_may_come_in_fragments():
    data = wire.frame(TEXT, b"", fin=False) + wire.frame(0, b"", fin=False) + wire.frame(0, b"")
    assert read([data + wire.text("next")])[0] == [(TEXT, b""), (TEXT, b"next")]


def test_binary_is_not_checked_to_be_text():
    assert read([wire.frame(BINARY, b"\xff")])[0] == [(BINARY, b"\xff")]


def test_what_came_before_a_violation_is_returned_and_nothing_after():
    messages, reader = read([wire.text("a") + wire.frame(TEXT, b"b", masked=False), wire.text("c")])
    assert messages == [(TEXT, b"a")]
    assert isinstance(reader.failure, WireError)
    assert reader.receive(wire.text("d")) == ()


def test_a_large_message_in_small_pieces_costs_what_its_bytes_cost():
    """The tail is looked at again only when it is complete: once for the head, once for the whole."""
    looked = 0

    class Counting(MessageReader):
        __slots__ = ()

        def _parse(self, data: bytes, messages: list[Data]) -> int:
            nonlocal looked
            looked += len(data)
            return super()._parse(data, messages)

    reader = Counting(1 << 20)
    data = wire.frame(TEXT, b"x" * 500_000)
    for start in range(0, len(data), 10):
        reader.receive(data[start : start + 10])
    assert looked < len(data) + 100


fragment = st.tuples(st.binary(max_size=200), st.booleans())
frames = st.builds(
    wire.frame,
    st.integers(0, 15),
    st.binary(max_size=300),
    fin=st.booleans(),
    masked=st.sampled_from([True] * 9 + [False]),
    reserved=st.sampled_from([0] * 9 + [0x40]),
)
sound = st.one_of(
    st.text(max_size=200).map(wire.text),
    st.binary(max_size=200).map(lambda data: wire.frame(BINARY, data)),
    st.binary(max_size=20).map(lambda data: wire.frame(PING, data)),
    st.text(min_size=2, max_size=60).map(
        lambda text: wire.frame(TEXT, text.encode()[:3], fin=False) + wire.frame(0, text.encode()[3:])
    ),
)


@given(st.lists(sound | frames, max_size=8), st.data())
def test_how_the_bytes_are_cut_makes_no_difference(parts: list[bytes], data: st.DataObject):
    whole = b"".join(parts)
    expected = outcome([whole])
    assert outcome(byte_by_byte(whole)) == expected
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert outcome(pieces) == expected


@given(st.lists(st.binary(max_size=100), max_size=20))
def test_any_bytes_are_messages_or_a_failure(chunks: list[bytes]):
    messages, reader = read(chunks)
    assert reader.failure is None or reader.failure.code in {1002, 1007, 1009}
    for opcode, payload in messages:
        assert opcode in {TEXT, BINARY}
        if opcode == TEXT:
            payload.decode()


def test_frames_that_are_no_messages_are_counted():
    reader = MessageReader(1000)
    reader.receive(
        wire.frame(9, b"1")
        + wire.frame(10, b"")
        + wire.frame(1, b"4", fin=False)
        + wire.frame(0, b"x" * 500, fin=False)
    )
    assert reader.notable
    assert reader.take_extra_frames() == 3, "a long part of a message is none of them"
    assert reader.notable, "a ping is to be answered"
    reader.take_replies()
    assert not reader.notable
    assert reader.receive(wire.frame(0, b"")) == [(1, b"4" + b"x" * 500)]
    assert reader.take_extra_frames() == 0
