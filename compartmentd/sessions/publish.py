"""The way of a published message, on the hot path of the server: from the sender's bytes to its recipients'.

    socket       one `recv` of 16 KiB at most, then the next socket's turn     transport.websocket_link
    frames       every whole frame of it, unmasked                             protocol.websocket.MessageReader
    packet       namespace and ack id split off, the JSON left as it is        protocol.socketio.parse
    session      one look-up; is it judged, is it revoked?                     sessions.hub.Hub.handle_event
    permission   four parts of the JSON, the remembered permission, a token    Publisher.publish_remembered, here
    relay        one frame around the sender's own bytes, for all recipients   sessions.fanout.Fanout.send
    queues       the frame on each recipient's queue, the ack on the sender's  protocol.connection.send
                 or, for a crowd that is sent nothing else, on none of theirs  transport.broadcast
    end of turn  one `send` for each connection with a queue or in the crowd   transport.connections

Whatever is unusual leaves this way for one that says the same (tests hold the two together): another form of frame
or packet, attachments, a rate in bytes, a message to the whole namespace, a first message: those are
decided by `Publisher.publish`, and a flush that is more than messages is `WebSocketLink._flush_all`.

Why it is as it is, with what each trick is worth on the machine where it was measured (µs of CPU; `tests/bench`
has the whole). A message to a room of two, sent by one and acknowledged, takes 4.3 outside the kernel and 6 in it.

- Output leaves at the end of the loop's turn, one `send` for each connection. A message alone is no later for it;
  of a busy server's writes, 4 each, most are saved. Ack and relay to one client leave together.
- The data is checked to be JSON and relayed as the bytes that came; decoding and encoding it would be 0.5 with the
  fastest library and 3.7 with the standard one.
- A packet is framed once, for all; recipients share the bytes.
- A permission is remembered with the bytes around the data, until time or a reload could change it; deciding anew
  is 3. The token bucket is asked each time, 0.15.
- A burst of one sender to a crowd is one `Batch`, queued on each recipient once: 0.01 instead of 0.2 for each
  message and recipient. The first of a turn is not queued at all but written to one socket after the other, 0.5
  less for each recipient.
- The acks of a burst are one `Run`: 0.1 each instead of 0.4.
- Structs instead of classes with `__init__` for what is made for each message (0.1), names of the module instead of
  enum members and properties (0.05), comparisons instead of `min` (0.1), ids kept as digits (0.1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from math import inf

import msgspec

from compartmentd.configuration.payloads.validator import PayloadValidator, PayloadVerdict
from compartmentd.configuration.snapshot import Snapshot
from compartmentd.errors import PayloadRefused
from compartmentd.names import NamespaceName, RoomName
from compartmentd.policy.codes import Code
from compartmentd.policy.decision import NO_ANSWERS, Allow, Answers, Pending, Publish, Question, RateName
from compartmentd.policy.model import Event
from compartmentd.protocol.message import Message, Run
from compartmentd.protocol.socketio import decode_event
from compartmentd.protocol.websocket import encode_text_frame
from compartmentd.sessions import replies
from compartmentd.sessions.arrival import Arrival, accept_data
from compartmentd.sessions.core import Core
from compartmentd.sessions.session import Grant, Membership, Session
from compartmentd.util.ratelimit import longest_wait
from compartmentd.util.strict_json import MAX_DEPTH, NotStrict, check_depth

_usual = msgspec.json.Decoder(tuple[str, str, str, msgspec.Raw]).decode
_general = msgspec.json.Decoder(list[msgspec.Raw]).decode
_room_or_null = msgspec.json.Decoder(str | None).decode
_event_name = msgspec.json.Decoder(str).decode

NULL = b"null"

_SHALLOW = 2 * (MAX_DEPTH - 1)
"""Bytes of data that cannot make a payload nest deeper than `MAX_DEPTH`, for want of room for the brackets."""


_ENVELOPE = 1 << 14
"""Bytes of a publish beside its data, at most: the names of the room and the event, each character escaped."""


class _Arguments(msgspec.Struct, frozen=True):
    """The arguments of a `publish`, of the right types."""

    room: RoomName | None
    event: str
    data: bytes


def _parse_publish(payload: bytes, attachments: Sequence[bytes], longest: float) -> _Arguments | None:
    """Read `["publish", room or null, event, data?]`; `None` where it has another form.

    What is longer than `longest` is too large wherever it goes, so that nobody looks into its data: this is only
    split into its parts.

    A payload that is no Socket.IO event at all is the connection's end, not a refusal: `decode_event` raises
    `WireError` for it, and `PayloadRefused` for JSON that is not taken here (lone surrogates, deep nesting).
    """
    try:
        is_read = len(payload) <= longest
        if is_read:
            check_depth(payload)
        parts = _general(payload)
        if attachments and is_read:
            decode_event(payload, attachments)
    except (PayloadRefused, NotStrict):
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
    return _Arguments(
        None if room is None else RoomName(room), event, bytes(parts[3]) if len(parts) == 4 else NULL
    )


class Publisher:
    """Handles `publish`. `_acks` are the last acks, sent to `_acks_of`."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._wall, self._monotonic = core.clock.wall, core.clock.monotonic
        self._send, self._send_volatile = core.fanout.send, core.fanout.send_volatile
        self._floods = core.flood_guard.floods
        self._acks: Run | None = None
        self._acks_of: Session | None = None
        self._longest: dict[NamespaceName, float] = {}  # of a generation
        self._longest_of = -1

    def _find_longest(self, session: Session, snapshot: Snapshot) -> float:
        """Return the length in bytes beyond which a publish is too large for every room of its namespace."""
        if self._longest_of != snapshot.generation:
            self._longest, self._longest_of = {}, snapshot.generation
        name = session.namespace.name
        longest = self._longest.get(name)
        if longest is None:
            namespace = snapshot.configuration.policy.namespaces[name]
            sizes = [namespace.limits.message_size, *(room.limits.message_size for room in namespace.rooms)]
            longest = max(inf if size is None else size for size in sizes) + _ENVELOPE
            self._longest[name] = longest
        return longest

    def publish_remembered(
        self, session: Session, snapshot: Snapshot, ack: bytes | None, payload: bytes
    ) -> bool:
        """Handle a `publish` that a remembered permission covers; return whether one does, else nothing happened.

        INVARIANT: a permission is remembered only where nothing but its time, the size of the data, its schema and
        the session's message rate can speak against the next message, and no longer than the session's token lasts.
        A session that has ended has no membership, so no permission either.
        """
        try:
            _, room, event, data = _usual(payload)
        except (msgspec.DecodeError, RecursionError):
            return False
        membership = session.memberships.get(room)
        if membership is None:
            return False
        grant = membership.grants.get(event)
        # Where the payload as a whole is too long or too deep, the data alone may still not be: `publish` looks
        # closely. Counting brackets takes 0.2 µs, so it is left out where there is no room for that many pairs.
        if (
            grant is None
            or grant.valid_until <= self._wall()
            or (size := len(payload)) > grant.largest
            or (size > grant.shallow and payload.count(b"[") + payload.count(b"{") > MAX_DEPTH)
        ):
            return False
        core = self._core
        bucket = session.messages
        # The rate first: validating may take a thousand times as long as the rest.
        if bucket is not None and not bucket.take(self._monotonic()):
            core.flood_guard.note(session.peer, within=False)
            core.turn_down(
                "publish",
                snapshot,
                session,
                ack,
                Code.RATE_LIMITED,
                after=bucket.wait(),
                room=room,
                event=event,
                rate="message_rate",
            )
            return True
        if self._floods:
            core.flood_guard.note(session.peer, within=True)
        if (
            grant.validate is not None
            and (verdict := grant.validate(bytes(data))) is not PayloadVerdict.VALID
        ):
            self.publish(session, snapshot, ack, payload, (), verdict=verdict)
            return True
        core.counters.published += 1
        excluded = () if membership.template.echo else (session,)
        send = self._send_volatile if grant.volatile else self._send
        # As `replies.build_event`, without the call.
        message = Message(encode_text_frame(b"".join((grant.head, data, grant.tail))))
        send(membership.room, message, session, excluded)
        if ack is None:
            return True
        run = self._acks
        if self._acks_of is not session:
            # One message is no burst yet, and a run of one ack would cost 0.4 µs more.
            self._acks, self._acks_of = None, session
            session.peer.send(replies.build_ok(session.namespace.prefix, ack))
        elif run is not None and run.accepts(ack):
            run.parts.append(ack)
        else:
            self._acks = replies.build_ok_run(session.namespace.prefix, ack)
            session.peer.send(self._acks)
        return True

    def drop_acks(self) -> None:
        """Let go of the last acks: they have left by now, and the session that they were for may leave, too."""
        self._acks = self._acks_of = None

    def publish(
        self,
        session: Session,
        snapshot: Snapshot,
        ack: bytes | None,
        payload: bytes,
        attachments: Sequence[bytes],
        *,
        verdict: PayloadVerdict | None = None,
    ) -> None:
        """Handle any `publish` of a session that the current snapshot has judged, by deciding on it.

        `verdict` is that of the data, where the message's rate was taken and it was validated.
        """
        core = self._core
        now = core.clock.monotonic()
        arguments = _parse_publish(payload, attachments, self._find_longest(session, snapshot))
        within_rate = verdict is not None or session.messages is None or session.messages.take(now)
        room = None if arguments is None else arguments.room
        size = (len(NULL) if arguments is None else len(arguments.data)) + sum(map(len, attachments))
        rate: RateName = "message_rate"
        if within_rate and session.bytes is not None and not session.bytes.take(now, size):
            within_rate, rate = False, "byte_rate"
        if verdict is None:
            core.flood_guard.note(session.peer, within=within_rate)
        membership = None if room is None else session.memberships.get(room)
        own = None if not within_rate or membership is None else _find_own_rate(membership, now, size)
        arrival = Arrival(
            since=now,
            well_formed=arguments is not None,
            within_rate=within_rate,
            within_room_rate=own is None,
            rate=own or rate,
            size=size,
        )
        rooms = () if room is None else (room,)
        event = _PublishEvent(
            self, session, ack, arguments or _NO_ARGUMENTS, arrival, rooms, attachments, verdict
        )
        if core.pending.is_behind(session, rooms):
            core.pending.handle(event, snapshot)
        elif questions := self.decide(event, snapshot, NO_ANSWERS):
            core.pending.wait(event, questions, snapshot)

    def decide(self, publish: _PublishEvent, snapshot: Snapshot, answers: Answers) -> Sequence[Question]:
        """Decide on a message and send it if it is allowed; return the open questions if there are any."""
        core, session, arguments, attachments = (
            self._core,
            publish.session,
            publish.arguments,
            publish.attachments,
        )
        room, data, verdict = arguments.room, arguments.data, publish.verdict
        membership = None if room is None else session.memberships.get(room)
        declared = _find_event(session, snapshot, membership, room, arguments.event)
        explain_payload: Callable[[], str] | None = None
        if declared is None or declared.schema is None:
            payload_holds = accept_data
        else:
            payload_holds = partial(
                self._is_payload_valid, snapshot.payloads[declared.schema], data, attachments, verdict
            )
            explain_payload = partial(_explain_payload, snapshot.payloads[declared.schema], data, attachments)
        decision, ref = core.decide(
            Publish(session.namespace.name, room, arguments.event),
            snapshot,
            session,
            publish.arrival,
            payload_holds,
            answers=answers,
            explain_payload=explain_payload,
        )
        outcome = decision.outcome
        if type(outcome) is Pending:
            return outcome.questions
        if type(outcome) is not Allow or declared is None:
            code = decision.code or Code.UNAVAILABLE
            size = publish.size
            buckets = [(session.messages, 1.0), (session.bytes, size)]
            if membership is not None:
                buckets += [(membership.own_messages, 1.0), (membership.own_bytes, size)]
            after = longest_wait(buckets) if code is Code.RATE_LIMITED else None
            core.refuse(session, publish.ack, code, after, ref)
            return ()
        moments = [
            moment for moment in (decision.valid_until, session.principal.ends_at) if moment is not None
        ]
        grant = _make_grant(session, snapshot, membership, declared, min(moments, default=inf))
        core.counters.published += 1
        excluded = () if membership is not None and membership.template.echo else (session,)
        to = session.namespace if membership is None else membership.room
        send = self._send_volatile if grant.volatile else self._send
        send(to, replies.build_event_with(grant.head, data, grant.tail, attachments), session, excluded)
        core.answer(session, publish.ack, replies.OK)
        return ()

    def refuse(self, publish: _PublishEvent, snapshot: Snapshot, code: Code) -> None:
        """Refuse a message without deciding on it."""
        self._core.turn_down(
            "publish", snapshot, publish.session, publish.ack, code, event=publish.arguments.event
        )

    def _is_payload_valid(
        self,
        validator: PayloadValidator,
        data: bytes,
        attachments: Sequence[bytes],
        verdict: PayloadVerdict | None,
    ) -> bool:
        """Validate the data by the event's schema; binary data is accepted only where there is none."""
        if attachments:
            return False
        verdict = verdict or validator.validate(data)
        if verdict is PayloadVerdict.TOO_COSTLY:
            self._core.counters.payloads_too_costly += 1
        return verdict is PayloadVerdict.VALID


class _PublishEvent(msgspec.Struct, eq=False, gc=False):
    """A `publish`, whose rates have been taken."""

    publisher: Publisher
    session: Session
    ack: bytes | None
    arguments: _Arguments
    arrival: Arrival
    rooms: Sequence[RoomName]
    attachments: Sequence[bytes]
    verdict: PayloadVerdict | None

    @property
    def size(self) -> int:
        """The bytes that it takes while it waits."""
        return self.arrival.size or 0

    def attempt(self, snapshot: Snapshot, answers: Answers) -> Sequence[Question]:
        """Decide on the message and send it."""
        return self.publisher.decide(self, snapshot, answers)

    def refuse(self, snapshot: Snapshot, code: Code) -> None:
        """Refuse the message."""
        self.publisher.refuse(self, snapshot, code)


_NO_ARGUMENTS = _Arguments(None, "", NULL)
"""Stands for the arguments of a request that has another form."""


def _find_event(
    session: Session, snapshot: Snapshot, membership: Membership | None, room: RoomName | None, name: str
) -> Event | None:
    """Return the declared event of this name where it is published, `None` if there is none."""
    if room is None:
        return snapshot.configuration.policy.namespaces[session.namespace.name].events.get(name)
    return None if membership is None else membership.template.events.get(name)


def _explain_payload(validator: PayloadValidator, data: bytes, attachments: Sequence[bytes]) -> str:
    """Return what of the data does not fit its schema; it holds values of the client's."""
    return "an event with a schema takes no binary data" if attachments else validator.explain(data)


def _make_grant(
    session: Session, snapshot: Snapshot, membership: Membership | None, event: Event, valid_until: float
) -> Grant:
    """Make the permission for messages like the one that was allowed, and remember it where that is possible."""
    namespace = snapshot.configuration.policy.namespaces[session.namespace.name]
    limits = namespace.limits if membership is None else membership.template.limits
    user = replies.build_sender(session.user, with_entry=len(namespace.issuers) > 1)
    room = None if membership is None else membership.room.name
    grant = Grant(
        head=replies.build_event_head(session.namespace.prefix, event.name),
        tail=replies.build_event_tail(room, user),
        shallow=len(replies.encode(["publish", room, event.name, None])) - len(NULL) + _SHALLOW,
        largest=inf if limits.message_size is None else limits.message_size,
        volatile=event.volatile,
        valid_until=valid_until,
        validate=None if event.schema is None else snapshot.payloads[event.schema].validate,
    )
    if membership is not None and (session.bytes, membership.own_messages, membership.own_bytes) == (
        None,
        None,
        None,
    ):
        membership.remember(event.name, grant)
    return grant


def _find_own_rate(membership: Membership, now: float, size: int) -> RateName | None:
    """Take a message from the room's own rates; return the one that it is over, `None` within both."""
    messages, own_bytes = membership.own_messages, membership.own_bytes
    if messages is not None and not messages.take(now):
        return "message_rate"
    return None if own_bytes is None or own_bytes.take(now, size) else "byte_rate"
