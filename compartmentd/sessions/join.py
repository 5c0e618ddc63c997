"""Joining and leaving at a client's request, and what depends on it through `member_of`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compartmentd.configuration.snapshot import Snapshot
from compartmentd.names import RoomName
from compartmentd.policy.autojoin import would_auto_join
from compartmentd.policy.codes import Code
from compartmentd.policy.decision import Allow, Decision, Join
from compartmentd.policy.model import RoomTemplate
from compartmentd.sessions import replies
from compartmentd.sessions.core import Arrival, Core
from compartmentd.sessions.session import Membership, Session
from compartmentd.util.ratelimit import longest_wait, retune_bucket

ACCEPTED = b'{"ok":true'

REQUEST_CODES = frozenset({Code.INVALID_PAYLOAD, Code.RATE_LIMITED})
"""Refusals of the request as such; they say nothing about a membership that exists."""


class Joiner:
    """Handles `join` and `leave`, and keeps memberships and what follows from them together."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def join(self, session: Session, snapshot: Snapshot, ack: bytes | None, arguments: list[Any]) -> None:
        """Handle `join`: one room, answered by one result, or a list, answered by a list in its order."""
        rooms = _rooms(arguments)
        most = session.limits.rooms_per_session
        if isinstance(rooms, list) and (most is None or len(rooms) <= most):
            results = []
            for room in rooms:
                results.append(self._join(session, snapshot, room))
                if session.ended:
                    return  # closed for its rate: it must neither enter the rooms that are left nor count again
            self._core.answer(session, ack, b"[" + b",".join(results) + b"]")
            return
        result = self._join(session, snapshot, rooms if isinstance(rooms, str) else None)
        if ack is None and not result.startswith(ACCEPTED):
            self._core.counters.unanswered += 1
        if not session.ended:
            self._core.answer(session, ack, result)

    def _join(self, session: Session, snapshot: Snapshot, room: str | None) -> bytes:
        """Decide on one room (`None`: the request had another form) and return the body of its answer."""
        decision, ref = self._decide(session, snapshot, room)
        if room is None or not isinstance(decision.outcome, Allow) or decision.outcome.template is None:
            code = decision.code or Code.UNAVAILABLE
            self._core.counters.refused[code] += 1
            membership = session.memberships.get(room or "")
            if membership is not None and code not in REQUEST_CODES:
                self.lose(session, snapshot, [membership], Code.RULE_DENIED)
            after = self._wait(session, snapshot, room) if code is Code.RATE_LIMITED else None
            return replies.refusal(code, after, ref)
        if room not in session.memberships:
            self.enter(session, RoomName(room), decision.outcome.template, by_server=False)
        self._attend(session, decision.valid_until)
        return replies.joined_ack(room)

    def _decide(self, session: Session, snapshot: Snapshot, room: str | None) -> tuple[Decision, str]:
        core = self._core
        now = core.clock.monotonic()
        name = RoomName(room or "")
        within_rate = session.joins is None or session.joins.take(now)
        core.note_rate(session, held=within_rate)
        found = snapshot.rules.find(session.namespace.name, name) if room is not None else None
        arrival = Arrival(
            since=now,
            well_formed=room is not None,
            within_rate=within_rate,
            within_room_rate=not within_rate
            or found is None
            or self._within_own_rate(session, found.template, now),
        )
        # A client's request is never the operator's side, also not for a room that it was auto-joined to.
        request = Join(session.namespace.name, name, by_server=False)
        return core.decide(request, snapshot, session, arrival)

    def _wait(self, session: Session, snapshot: Snapshot, room: str | None) -> float:
        found = None if room is None else snapshot.rules.find(session.namespace.name, room)
        own = (
            None if found is None or session.own_joins is None else session.own_joins.get(found.template.name)
        )
        return longest_wait([(session.joins, 1.0), (own, 1.0)])

    def _within_own_rate(self, session: Session, template: RoomTemplate, now: float) -> bool:
        rate = template.limits.own_join_rate
        if rate is None:
            return True
        if session.own_joins is None:
            session.own_joins = {}
        bucket = retune_bucket(session.own_joins.get(template.name), rate, now)
        if bucket is None:
            return True
        session.own_joins[template.name] = bucket
        return bucket.take(now)

    def leave(self, session: Session, snapshot: Snapshot, ack: bytes | None, arguments: list[Any]) -> None:
        """Handle `leave`: ok also where the session is not in the room; it counts as a message."""
        core = self._core
        now = core.clock.monotonic()
        within_rate = session.messages is None or session.messages.take(now)
        core.note_rate(session, held=within_rate)
        if len(arguments) != 1 or not isinstance(arguments[0], str):
            core.turn_down("leave", snapshot, session, ack, Code.INVALID_PAYLOAD)
            return
        if not within_rate:
            wait = longest_wait([(session.messages, 1.0)])
            core.turn_down("leave", snapshot, session, ack, Code.RATE_LIMITED, after=wait)
            return
        membership = session.memberships.get(arguments[0])
        if membership is not None:
            self._decline(session, membership)
            self.leave_quietly(session, membership)
            self.cascade(session, snapshot, Code.RULE_DENIED)
        core.answer(session, ack, replies.OK)

    def _decline(self, session: Session, membership: Membership) -> None:
        """Remember that the session left a room that would be auto-joined, so that it is not again."""
        if would_auto_join(membership.template, session.principal, membership.room.name):
            if session.declined is None:
                session.declined = set()
            session.declined.add(membership.room.name)

    # --- the one way into and out of a room -------------------------------------------------------------------

    def enter(self, session: Session, room: RoomName, template: RoomTemplate, *, by_server: bool) -> None:
        """Make a membership that has been decided."""
        membership = self._core.registry.join(session, room, template, by_server=by_server)
        self.retune(membership)

    def retune(self, membership: Membership) -> None:
        """Give a membership the buckets of its template's own rates."""
        now = self._core.clock.monotonic()
        limits = membership.template.limits
        membership.own_messages = retune_bucket(membership.own_messages, limits.own_message_rate, now)
        membership.own_bytes = retune_bucket(membership.own_bytes, limits.own_byte_rate, now)

    def leave_quietly(self, session: Session, membership: Membership) -> None:
        """End a membership at the session's own wish: it is told by the ack alone."""
        self._core.registry.leave(session, membership)

    def lose(
        self, session: Session, snapshot: Snapshot, memberships: Sequence[Membership], code: Code
    ) -> None:
        """End memberships from our side, tell the session, and judge at once what depends on them."""
        for membership in memberships:
            self._core.registry.leave(session, membership, code)
            session.send(replies.left(session.namespace.prefix, membership.room.name, code))
        self.cascade(session, snapshot, Code.RULE_DENIED)

    def cascade(self, session: Session, snapshot: Snapshot, code: Code) -> None:
        """Judge the remaining memberships that depend on others, after one was lost."""
        core = self._core
        left = core.judge_dependents(session, snapshot)
        for room, _ in left.lost:
            core.registry.leave(session, session.memberships[room], code)
            session.send(replies.left(session.namespace.prefix, room, code))
        self._attend(session, left.valid_until)

    def _attend(self, session: Session, valid_until: float | None) -> None:
        if valid_until is not None and (session.valid_until is None or valid_until < session.valid_until):
            session.valid_until = valid_until
            self._core.schedule(session)


def _rooms(arguments: list[Any]) -> str | list[str] | None:
    """Read `room or list of rooms, {}?`; `None` where the arguments have another form.

    The options object may only be empty: what it will hold (a ticket, a place in the history) is not served
    yet, and an option that is not known is refused, never ignored.
    """
    if len(arguments) not in (1, 2) or arguments[1:] not in ([], [{}]):
        return None
    rooms = arguments[0]
    if isinstance(rooms, str):
        return rooms
    if isinstance(rooms, list) and all(isinstance(room, str) for room in rooms):
        return rooms
    return None


def bucket_size(rooms: int | None) -> float:
    """Return how many joins a session may make at once: a page reload asks for all its rooms again."""
    return 100.0 if rooms is None else float(rooms)
