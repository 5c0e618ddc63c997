"""Takes the events of sessions, and hands each request to the part that answers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from compartmentd.configuration.snapshot import Snapshot
from compartmentd.errors import PayloadRefused
from compartmentd.policy.codes import Code
from compartmentd.policy.decision import RateName
from compartmentd.protocol.socketio import decode_event
from compartmentd.sessions.core import Core
from compartmentd.sessions.end_revoked import RevocationSweep
from compartmentd.sessions.publish import Publisher
from compartmentd.sessions.reevaluate import Reevaluation
from compartmentd.sessions.session import Session

NEVER_JUDGED = 0
"""The generation of a session that is not let in yet."""

PUBLISH = b'["publish",'

LARGE = 1 << 14
"""Bytes of an event from which on it is decoded only if its sender's rate has room for it."""

LONGEST_REQUEST = 1 << 18
"""Bytes of a request other than `publish`: a list of a hundred of the longest rooms, each character escaped."""

Handler: TypeAlias = Callable[[Session, Snapshot, bytes | None, list[Any]], None]
"""Answers one request: takes the session, the snapshot, the digits of the ack id, and the arguments."""


class Requests:
    """The requests of sessions; what concerns a session as such is checked before each."""

    def __init__(
        self,
        core: Core,
        publisher: Publisher,
        reevaluation: Reevaluation,
        sweep: RevocationSweep,
        handlers: Mapping[str, Handler],
    ) -> None:
        """Begin; `handlers` answer the requests other than `publish`, by name."""
        self._core = core
        self._publisher = publisher
        self._reevaluation = reevaluation
        self._sweep = sweep
        self._by_name = dict(handlers)

    def handle(
        self, session: Session, ack: bytes | None, payload: bytes, attachments: Sequence[bytes]
    ) -> None:
        """Handle a request: `join`, `leave`, `publish` or `refresh`.

        Args:
            session: The session whose client sends it.
            ack: The digits of the ack id, `None` where no answer is wanted.
            payload: The event's JSON.
            attachments: The binary attachments, in order.

        Raises:
            WireError: The payload is no Socket.IO event; the server ends the connection.
        """
        core = self._core
        snapshot = core.snapshot
        if session.generation != snapshot.generation:
            self._reevaluation.rejudge(session, snapshot, Code.POLICY_CHANGED)
        if self._sweep.pending:
            self._sweep.end_if_revoked(session, snapshot)
        publishes = payload.startswith(PUBLISH)
        if (
            publishes
            and not attachments
            and self._publisher.publish_remembered(session, snapshot, ack, payload)
        ):
            return
        self._end_if_expired(session, snapshot)
        if session.ended:
            return
        if len(payload) > LARGE and self._is_refused_unread(session, publishes=publishes, size=len(payload)):
            self._refuse_message(session, snapshot, ack, Code.INVALID_PAYLOAD)
            return
        if publishes:
            self._publisher.publish(session, snapshot, ack, payload, attachments)
            return
        try:
            name, *arguments = decode_event(payload, attachments)
        except PayloadRefused:
            self._refuse_message(session, snapshot, ack, Code.INVALID_PAYLOAD)
            return
        if name == "publish":  # spaced in another way than clients do
            self._publisher.publish(session, snapshot, ack, payload, attachments)
            return
        request = self._by_name.get(name) if isinstance(name, str) else None
        if request is None:
            event = name if isinstance(name, str) else None
            self._refuse_message(session, snapshot, ack, Code.UNKNOWN_EVENT, event)
        else:
            request(session, snapshot, ack, arguments)

    def _is_refused_unread(self, session: Session, *, publishes: bool, size: int) -> bool:
        """Return whether a large event is refused whatever it holds: decoding a megabyte takes 0.1 s and more."""
        is_beyond_rate = session.messages is not None and not session.messages.holds(
            self._core.clock.monotonic()
        )
        return is_beyond_rate or (size > LONGEST_REQUEST and not publishes)

    def admit(self, session: Session, snapshot: Snapshot) -> bool:
        """Make the checks that come before every event, of one that waited; return whether its session goes on."""
        if session.generation == NEVER_JUDGED:
            return True  # of a CONNECT, which is checked in full
        if not session.ended and session.generation != snapshot.generation:
            self._reevaluation.rejudge(session, snapshot, Code.POLICY_CHANGED)
        if self._sweep.pending and not session.ended:
            self._sweep.end_if_revoked(session, snapshot)
        self._end_if_expired(session, snapshot)
        return not session.ended

    def _end_if_expired(self, session: Session, snapshot: Snapshot) -> None:
        ends_at = session.principal.ends_at
        if ends_at is not None and ends_at <= self._core.clock.wall():
            self._core.end(session, snapshot, Code.TOKEN_EXPIRED)

    def _refuse_message(
        self,
        session: Session,
        snapshot: Snapshot,
        ack: bytes | None,
        code: Code,
        event: str | None = None,
    ) -> None:
        """Refuse an event that is no request; it counts as a message."""
        core = self._core
        within_rate = session.messages is None or session.messages.take(core.clock.monotonic())
        core.flood_guard.note(session.peer, within=within_rate)
        if not within_rate:
            code = Code.RATE_LIMITED
        rate: RateName | None = None if within_rate else "message_rate"
        core.turn_down("event", snapshot, session, ack, code, event=event, rate=rate)

    def refuse_joins(self) -> None:
        """Refuse every `join` from now on: the server is about to end."""
        self._by_name["join"] = self._refuse_join

    def _refuse_join(
        self, session: Session, snapshot: Snapshot, ack: bytes | None, _arguments: list[Any]
    ) -> None:
        self._core.turn_down("join", snapshot, session, ack, Code.UNAVAILABLE)
