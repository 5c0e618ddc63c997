"""Outgoing packets: each form is made once, whoever is sent it."""

from __future__ import annotations

from compartmentd.protocol.message import Message


def test_frames_and_payload():
    message = Message(b'42["a"]')
    assert message.frames == b'\x81\x0742["a"]'
    assert message.payload == b'42["a"]'


def test_attachments_follow_uninterrupted():
    message = Message(b"452-[]", (b"\x01", b""))
    assert message.frames == b"\x81\x06452-[]\x82\x01\x01\x82\x00"
    assert message.payload == b"452-[]\x1ebAQ==\x1eb"


def test_each_form_is_made_once():
    message = Message(b"4x", (b"y",))
    assert message.frames is message.frames
    assert message.payload is message.payload
