"""What happens to a published message, from the sender's bytes to its recipients' queues.

The way of a message that has been decided before is short: parse the four parts, take a token, find the grant,
put three pieces of bytes together, hand the one result to every member. Whatever is unusual takes the long way
through `decide`, which says the same (a test holds the two together).

Why it is fast: the data is relayed as the bytes that came and never decoded; a packet is encoded and framed once
for all recipients; a permission is remembered per membership and event until time or a reload could change it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from math import inf

import msgspec

from compartmentd.errors import PayloadRefused
from compartmentd.names import RoomName
from compartmentd.policy.codes import Code
from compartmentd.policy.decide import decide
from compartmentd.policy.decision import Allow, Facts, Publish
from compartmentd.policy.model import Event
from compartmentd.protocol.jsontext import MAX_DEPTH, check_depth
from compartmentd.protocol.message import Message
from compartmentd.protocol.socketio import decode_event
from compartmentd.sessions import wire
from compartmentd.sessions.core import Core, display_part
from compartmentd.sessions.limits import longest_wait
from compartmentd.sessions.registry import Grant, Membership, Session

_usual = msgspec.json.Decoder(tuple[str, str, str, msgspec.Raw]).decode
_general = msgspec.json.Decoder(list[msgspec.Raw]).decode
_room_or_null = msgspec.json.Decoder(str | None).decode
_event_name = msgspec.json.Decoder(str).decode

NULL = b"null"


class _Shape(msgspec.Struct, frozen=True):
    """The arguments of a `publish`, of the right types."""

    room: RoomName | None
    event: str
    data: bytes


def _shape(payload: bytes, attachments: Sequence[bytes]) -> _Shape | None:
    """Read `["publish", room or null, event, data?]`; `None` where it has another form.

    A payload that is no Socket.IO event at all is the connection's end, not a refusal: `decode_event` raises
    `WireError` for it, and `PayloadRefused` for JSON that is not taken here (lone surrogates, deep nesting).
    """
    try:
        check_depth(payload)
        parts = _general(payload)
        if attachments:
            decode_event(payload, attachments)
    except PayloadRefused:
        return None
    except (msgspec.DecodeError, RecursionError):
        with suppress(PayloadRefused):
            decode_event(payload, attachments)
        return None
    if len(parts) not in (3, 4):
        return None
    try:
        room = _room_or_null(parts[1])
        event = _event_name(parts[2])
    except msgspec.DecodeError:
        return None
    return _Shape(
        None if room is None else RoomName(room), event, bytes(parts[3]) if len(parts) == 4 else NULL
    )


class Publisher:
    """Handles `publish`."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def publish(
        self, session: Session, ack: int | None, payload: bytes, attachments: Sequence[bytes]
    ) -> None:
        """Handle one `publish` request of a session that the current snapshot has judged."""
        if attachments:
            self._decided(session, ack, payload, attachments)
            return
        try:
            _, room, event, data = _usual(payload)
        except (msgspec.DecodeError, RecursionError):
            self._decided(session, ack, payload, attachments)
            return
        membership = session.memberships.get(room)
        grant = None if membership is None else membership.grants.get(event)
        if (
            membership is None
            or grant is None
            or grant.schema is not None
            or session.bytes is not None
            or membership.own_messages is not None
            or membership.own_bytes is not None
            or memoryview(data).nbytes > grant.largest
            or payload.count(b"[") + payload.count(b"{") > MAX_DEPTH
        ):
            self._decided(session, ack, payload, attachments)
            return
        core = self._core
        if grant.valid_until <= core.clock.wall():
            del membership.grants[event]
            self._decided(session, ack, payload, attachments)
            return
        bucket = session.messages
        if bucket is not None and not bucket.take(core.clock.monotonic()):
            core.note_rate(session, held=False)
            core.turn_down("publish", session, ack, Code.RATE_LIMITED, after=bucket.wait(), event=event)
            return
        if core.floods:
            core.note_rate(session, held=True)
        message = wire.relayed(grant.head, data, grant.tail, ())
        self._send(session, membership, grant, message)
        core.answer(session, ack, wire.OK)

    def _decided(
        self,
        session: Session,
        ack: int | None,
        payload: bytes,
        attachments: Sequence[bytes],
    ) -> None:
        core = self._core
        snapshot = core.snapshot
        now = core.clock.monotonic()
        shape = _shape(payload, attachments)
        within_rate = session.messages is None or session.messages.take(now)
        room = None if shape is None else shape.room
        event = "" if shape is None else shape.event
        data = NULL if shape is None else shape.data
        size = len(data) + sum(map(len, attachments))
        if within_rate and session.bytes is not None:
            within_rate = session.bytes.take(now, size)
        core.note_rate(session, held=within_rate)
        membership = None if room is None else session.memberships.get(room)
        request = Publish(session.namespace.name, room, event)
        declared = self._declared(session, membership, room, event)
        facts = Facts(
            well_formed=shape is not None,
            within_rate=within_rate,
            within_room_rate=not within_rate
            or membership is None
            or _within_own_rates(membership, now, size),
            memberships=session.memberships.keys(),
            size=size,
            payload_holds=lambda: self._fits(declared, data, attachments),
        )
        decision = decide(snapshot.rules, session.principal, request, facts, core.clock.wall())
        ref = core.record(
            "publish",
            session.namespace,
            session=session,
            room=room,
            event=event,
            decision=decision,
            since=now,
        )
        if not isinstance(decision.outcome, Allow) or declared is None:
            code = decision.code or Code.UNAVAILABLE
            buckets = [(session.messages, 1.0), (session.bytes, size)]
            if membership is not None:
                buckets += [(membership.own_messages, 1.0), (membership.own_bytes, size)]
            after = longest_wait(buckets) if code is Code.RATE_LIMITED else None
            core.refuse(session, ack, code, after, ref)
            return
        moments = [
            moment for moment in (decision.valid_until, session.principal.ends_at) if moment is not None
        ]
        grant = self._grant(session, membership, declared, min(moments, default=inf))
        self._send(session, membership, grant, wire.relayed(grant.head, data, grant.tail, attachments))
        core.answer(session, ack, wire.OK)

    def _declared(
        self,
        session: Session,
        membership: Membership | None,
        room: RoomName | None,
        event: str,
    ) -> Event | None:
        if room is None:
            return self._core.snapshot.configuration.policy.namespaces[session.namespace.name].events.get(
                event
            )
        return None if membership is None else membership.template.events.get(event)

    def _fits(self, declared: Event | None, data: bytes, attachments: Sequence[bytes]) -> bool:
        """Tell whether the data fits the event's schema; binary data is kept only where there is none."""
        if declared is None or declared.schema is None:
            return True
        return not attachments and self._core.snapshot.payloads[declared.schema].holds(data)

    def _grant(
        self,
        session: Session,
        membership: Membership | None,
        event: Event,
        valid_until: float,
    ) -> Grant:
        namespace = self._core.snapshot.configuration.policy.namespaces[session.namespace.name]
        limits = namespace.limits if membership is None else membership.template.limits
        user = display_part(session, with_entry=len(namespace.issuers) > 1)
        grant = Grant(
            wire.event_head(session.namespace.prefix, event.name),
            wire.event_tail(None if membership is None else membership.room.name, user),
            largest=inf if limits.message_size is None else limits.message_size,
            schema=event.schema,
            volatile=event.volatile,
            valid_until=valid_until,
        )
        if membership is not None:
            membership.grants[event.name] = grant
        return grant

    def _send(self, session: Session, membership: Membership | None, grant: Grant, message: Message) -> None:
        core = self._core
        core.counters.published += 1
        recipients: Iterable[Session]
        if membership is None:
            room, recipients, echo = None, session.namespace.sessions, False
        else:
            room, recipients = membership.room.name, membership.room.members
            echo = membership.template.echo
        sender = None if echo else session
        core.deliver(recipients, message, sender=sender, room=room, volatile=grant.volatile)


def _within_own_rates(membership: Membership, now: float, size: int) -> bool:
    messages = membership.own_messages
    if messages is not None and not messages.take(now):
        return False
    return membership.own_bytes is None or membership.own_bytes.take(now, size)
