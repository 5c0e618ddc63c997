"""The packets that sessions send: acks, refusals and notices as Socket.IO packets.

The bytes are put together by hand, since the payloads of a fan-out are relayed and never decoded. Their
layout: `4` (Engine.IO message), type, attachment count, namespace, ack id, JSON (Socket.IO v5, "Packet
encoding").
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import ceil
from typing import Any

import msgspec

from compartmentd.names import Subject
from compartmentd.policy.codes import MEANINGS, Code
from compartmentd.protocol.message import Message, Run
from compartmentd.protocol.websocket import encode_text_frame

encode = msgspec.json.Encoder().encode

OK = b'{"ok":true}'
_OK_END = b"[" + OK + b"]"
"""The text behind the id in the ack that most requests get."""


def _encode_refusal(code: Code, **more: int | str) -> bytes:
    meaning = MEANINGS[code]
    error = {"code": code.value, "message": meaning.text, "retry": meaning.retry, **more}
    return encode({"ok": False, "error": error})


REFUSALS: dict[Code, bytes] = {code: _encode_refusal(code) for code in Code}
"""The ack of a refused request, by code."""


def build_refusal(code: Code, after: float | None = None, ref: str = "") -> bytes:
    """Return the body of a refused request's ack; `after` is in how many seconds trying again may help.

    `ref` is what the operator finds in the log.
    """
    more: dict[str, int | str] = {} if after is None else {"after": max(1, ceil(after * 1000))}
    if ref:
        more["ref"] = ref
    return _encode_refusal(code, **more) if more else REFUSALS[code]


def build_ack(prefix: bytes, ack_id: bytes, body: bytes) -> Message:
    """Build an ACK with one argument, given as JSON; `prefix` is the namespace with its comma, if not `/`."""
    return Message.from_packet(b"43%b%b[%b]" % (prefix, ack_id, body))


def build_ok(prefix: bytes, ack_id: bytes) -> Message:
    """Build the ACK that most requests get, in half the time."""
    return Message(encode_text_frame(b"".join((b"43", prefix, ack_id, _OK_END))))


def build_ok_run(prefix: bytes, ack_id: bytes) -> Run:
    """Build the same as a run, to which those of the requests that follow can be added."""
    return Run(b"43" + prefix, _OK_END, [ack_id])


def build_joined_ack(room: str) -> bytes:
    """Return the body of the ack of a join that was allowed."""
    return b'{"ok":true,"room":%b}' % encode(room)


def build_refreshed_ack(ends_at: float) -> bytes:
    """Return the body of the ack of a refresh: when the session ends now, in milliseconds since the epoch."""
    return encode({"ok": True, "expires": int(ends_at * 1000)})


def build_connect_error(code: Code, after: float | None = None, ref: str = "") -> tuple[str, dict[str, Any]]:
    """Return message and data of a CONNECT_ERROR.

    `after` is in how many seconds a CONNECT may be repeated, where that is known; `ref` is what the operator finds
    in the log.
    """
    meaning = MEANINGS[code]
    data: dict[str, Any] = {"code": code.value, "retry": meaning.retry}
    if after is not None:
        data["after"] = max(1, ceil(after * 1000))
    if ref:
        data["ref"] = ref
    return meaning.text, data


def build_notice(prefix: bytes, event: str, data: dict[str, Any]) -> Message:
    """Build one of the server's own events."""
    return Message.from_packet(b"42%b%b" % (prefix, encode([event, data])))


def build_joined(prefix: bytes, room: str) -> Message:
    """Tell a session that the server moved it into a room."""
    return build_notice(prefix, "joined", {"room": room})


def build_left(prefix: bytes, room: str, code: Code) -> Message:
    """Tell a session that it is no longer in a room, and why."""
    return build_notice(prefix, "left", {"room": room, "code": code.value})


def build_expiring(prefix: bytes, seconds: float) -> Message:
    """Tell a session how long it still lasts, in milliseconds."""
    return build_notice(prefix, "expiring", {"in": max(0, int(seconds * 1000))})


def build_closing(prefix: bytes, code: Code) -> Message:
    """Tell a session that it ends now, and whether connecting again can help."""
    meaning = MEANINGS[code]
    return build_notice(
        prefix, "closing", {"code": code.value, "retry": meaning.retry or meaning.retry_closing}
    )


def build_event_head(prefix: bytes, event: str) -> bytes:
    """Return what stands before the data of a relayed event without attachments."""
    return b"42" + prefix + b"[" + encode(event) + b","


def build_event_tail(
    room: str | None, sender: bytes = b"", *, message_id: str | None = None, at: float | None = None
) -> bytes:
    """Return what stands after the data of an event: the meta argument.

    Args:
        room: The room, `None` for the whole namespace.
        sender: The part about the sender, from `build_sender`; empty for a message of nobody's.
        message_id: The message's id, where it has one.
        at: When it was taken, wall time in seconds, where that is told.
    """
    identity = b"" if message_id is None else b',"id":' + encode(message_id)
    moment = b"" if at is None else b',"at":%d' % (at * 1000)
    return b"".join((b',{"room":', encode(room), identity, sender, moment, b"}]"))


def build_sender(user: Subject | None, *, with_entry: bool) -> bytes:
    """Return the sender's part of the meta argument: `,"from":{"user":…}`, empty for an anonymous session.

    `with_entry` puts the name of the issuer entry before the subject, where a namespace accepts several entries.
    """
    if user is None:
        return b""
    shown = f"{user.entry}:{user.sub}" if with_entry else user.sub
    return b',"from":{"user":%b}' % json.dumps(shown).encode()


def build_event(head: bytes, data: bytes | msgspec.Raw, tail: bytes) -> Message:
    """Build an EVENT around the sender's own bytes."""
    return Message(encode_text_frame(b"".join((head, data, tail))))


def build_event_with(head: bytes, data: bytes, tail: bytes, attachments: Sequence[bytes]) -> Message:
    """Build an EVENT, or a BINARY_EVENT where there are attachments."""
    if not attachments:
        return build_event(head, data, tail)
    return Message.from_packet(b"".join((b"45%d-" % len(attachments), head[2:], data, tail)), attachments)
