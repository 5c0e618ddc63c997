"""Outgoing packets: each form is made once for all recipients; batches and runs are their parts in order."""

from __future__ import annotations

import pytest

from compartmentd.protocol.message import Batch, Message, Run


def test_frames_and_payload():
    message = Message.from_packet(b'42["a"]')
    assert message.frames == b'\x81\x0742["a"]'
    assert message.payload == b'42["a"]'


def test_attachments_follow_uninterrupted():
    message = Message.from_packet(b"452-[]", (b"\x01", b""))
    assert message.frames == b"\x81\x06452-[]\x82\x01\x01\x82\x00"
    assert message.payload == b"452-[]\x1ebAQ==\x1eb"


@pytest.mark.parametrize("length", [1, 125, 126, 65_535, 65_536])
def test_the_packet_is_read_back_from_the_frames_whatever_its_length(length: int):
    packet = b"4" * length
    assert Message.from_packet(packet, (b"more",)).packet == packet


def test_each_form_is_made_once():
    for message in (Message.from_packet(b"4x", (b"y",)), Batch(Message.from_packet(b"4x"))):
        assert message.frames is message.frames
        assert message.payload is message.payload


def test_a_batch_is_its_messages_in_order():
    batch = Batch(Message.from_packet(b"4a", (b"1",)))
    batch.add(Message.from_packet(b"4b"))
    assert batch.open
    assert batch.payload == b"4a\x1ebMQ==\x1e4b"
    assert batch.frames == b"\x81\x024a\x82\x011\x81\x024b"


@pytest.mark.parametrize("length", [1, 118, 119, 65_529, 65_530])
def test_a_run_is_its_packets_in_order(length: int):
    """The lengths are those around which frames have other heads."""
    run = Run(b"43", b"[{}]", [b"7" * length])
    run.parts.append(b"8" * length)
    messages = [Message.from_packet(b"43" + digit * length + b"[{}]") for digit in (b"7", b"8")]
    assert run.frames == b"".join([message.frames for message in messages])
    assert run.payload == b"\x1e".join([message.payload for message in messages])


def test_a_run_takes_parts_of_one_length():
    run = Run(b"43", b"[]", [b"9"])
    assert run.accepts(b"8")
    assert not run.accepts(b"10")
    run.close()
    assert not run.accepts(b"8")


@pytest.mark.parametrize("form", ["frames", "payload"])
@pytest.mark.parametrize("growing", [Batch(Message.from_packet(b"4a")), Run(b"43", b"[]", [b"1"])])
def test_what_was_read_is_closed(growing: Batch | Run, form: str):
    growing.open = True
    getattr(growing, form)
    assert not growing.open


def test_a_message_is_never_open():
    assert not Message.from_packet(b"4a").open


def test_a_batch_has_no_other_attributes():
    with pytest.raises(AttributeError, match="frame_s"):
        _ = Batch(Message.from_packet(b"4a")).frame_s  # type: ignore[attr-defined]  # that there is none is what is tested
