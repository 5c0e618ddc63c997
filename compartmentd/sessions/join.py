"""Joining and leaving at a client's request, and what depends on it through `member_of`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from compartmentd.configuration.snapshot import Snapshot
from compartmentd.names import RoomName
from compartmentd.policy.autojoin import is_auto_joined
from compartmentd.policy.codes import Code
from compartmentd.policy.decision import NO_ANSWERS, Allow, Answers, Join, Pending, Question
from compartmentd.policy.model import RoomTemplate
from compartmentd.sessions import replies
from compartmentd.sessions.arrival import Arrival
from compartmentd.sessions.core import Core
from compartmentd.sessions.session import Membership, Session
from compartmentd.util.ratelimit import longest_wait

ACCEPTED = b'{"ok":true'

NO_ROOM = RoomName("")
"""The name of no room: stands in a request that names none."""

LONGEST_OBSERVED_LIST = 1000
"""Rooms of a list where limits are only observed: no rate bounds then what a list costs."""

REQUEST_CODES = frozenset({Code.INVALID_PAYLOAD, Code.RATE_LIMITED})
"""Refusals of the request as such; they say nothing about a membership that exists."""


class Joiner:
    """Handles `join` and `leave`, and keeps memberships and what follows from them together."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def join(self, session: Session, snapshot: Snapshot, ack: bytes | None, arguments: list[Any]) -> None:
        """Handle `join`: one room, answered by one result, or a list, answered by a list in its order."""
        rooms = _parse_rooms(arguments)
        pending = self._core.pending
        if isinstance(rooms, str) and not pending.is_behind(session, (RoomName(rooms),)):
            # Nearly every join; as an event that may wait it would take 0.5 µs more.
            room = RoomName(rooms)
            arrival = self.arrive(session, snapshot, room, is_well_formed=True)
            result = self.join_room(session, snapshot, room, arrival, NO_ANSWERS)
            if isinstance(result, bytes):
                self.answer(session, ack, [result], is_list=False)
            else:
                waiting = _JoinEvent(self, session, ack, [room], arrivals=[arrival], asking=0)
                pending.wait(waiting, result, snapshot)
            return
        if isinstance(rooms, list) and self._is_short_enough(session, len(rooms)):
            event = _JoinEvent(self, session, ack, [RoomName(room) for room in rooms], is_list=True)
        else:
            is_well_formed = isinstance(rooms, str)
            room = RoomName(rooms) if isinstance(rooms, str) else NO_ROOM
            event = _JoinEvent(self, session, ack, [room], is_well_formed=is_well_formed)
        if pending.is_behind(session, event.rooms):
            event.arrive(snapshot)
            pending.handle(event, snapshot)
        elif questions := event.attempt(snapshot, NO_ANSWERS):
            pending.wait(event, questions, snapshot)

    def _is_short_enough(self, session: Session, rooms: int) -> bool:
        """Return whether a list has not more rooms than a session may be in."""
        most, observed = session.limits.rooms_per_session, self._core.observed
        if most is None or rooms <= most:
            return True
        if not observed.is_observing or rooms > LONGEST_OBSERVED_LIST:
            return False
        observed.note(session.namespace.name, "rooms_per_session", session.user)
        return True

    def arrive(
        self, session: Session, snapshot: Snapshot, room: RoomName, *, is_well_formed: bool
    ) -> Arrival:
        """Take a room's join from the rates, once."""
        core = self._core
        now = core.clock.monotonic()
        within_rate = session.joins is None or session.joins.take(now)
        core.flood_guard.note(session.peer, within=within_rate)
        found = snapshot.rules.find(session.namespace.name, room) if is_well_formed else None
        return Arrival(
            since=now,
            well_formed=is_well_formed,
            within_rate=within_rate,
            within_room_rate=not within_rate
            or found is None
            or self._within_own_rate(session, found.template, now),
            rate="join_rate",
        )

    def join_room(
        self, session: Session, snapshot: Snapshot, room: RoomName, arrival: Arrival, answers: Answers
    ) -> bytes | Sequence[Question]:
        """Decide on one room; return the body of its answer, or the questions that are open."""
        # A client's request is never the operator's side, also not for a room that it was auto-joined to.
        request = Join(session.namespace.name, room, by_server=False)
        decision, ref = self._core.decide(request, snapshot, session, arrival, answers=answers)
        outcome = decision.outcome
        if type(outcome) is Pending:
            return outcome.questions
        if type(outcome) is not Allow or outcome.template is None:
            code = decision.code or Code.UNAVAILABLE
            self._core.counters.refused[code] += 1
            membership = session.memberships.get(room)
            if membership is not None and code not in REQUEST_CODES:
                self.lose(session, snapshot, [membership], Code.RULE_DENIED)
            after = self._wait(session, snapshot, room) if code is Code.RATE_LIMITED else None
            return replies.build_refusal(code, after, ref)
        if room not in session.memberships:
            self.enter(session, room, outcome.template, by_server=False)
        self._attend(session, decision.valid_until)
        return replies.build_joined_ack(room)

    def refuse_room(self, session: Session, snapshot: Snapshot, room: RoomName, code: Code) -> bytes:
        """Refuse a join that is not decided; return the body of its answer."""
        name = session.namespace.name
        ref = self._core.recorder.record("join", snapshot, name, session=session, room=room, code=code)
        self._core.counters.refused[code] += 1
        return replies.build_refusal(code, None, ref)

    def count_refused(self, session: Session, code: Code, rooms: int) -> None:
        """Count joins that are refused with the one before them."""
        counters = self._core.counters
        counters.refused[code] += rooms
        counters.decided["join", session.namespace.name, code] += rooms

    def answer(self, session: Session, ack: bytes | None, results: list[bytes], *, is_list: bool) -> None:
        """Answer a join: by its one result, or by the list of them."""
        if is_list:
            self._core.answer(session, ack, b"[" + b",".join(results) + b"]")
            return
        (result,) = results
        if ack is None and not result.startswith(ACCEPTED):
            self._core.counters.unanswered += 1
        if not session.ended:
            self._core.answer(session, ack, result)

    def _wait(self, session: Session, snapshot: Snapshot, room: RoomName) -> float:
        found = snapshot.rules.find(session.namespace.name, room)
        own = (
            None if found is None or session.own_joins is None else session.own_joins.get(found.template.name)
        )
        return longest_wait([(session.joins, 1.0), (own, 1.0)])

    def _within_own_rate(self, session: Session, template: RoomTemplate, now: float) -> bool:
        bucket = self._core.buckets.find_own_joins(session, template)
        return bucket is None or bucket.take(now)

    def leave(self, session: Session, snapshot: Snapshot, ack: bytes | None, arguments: list[Any]) -> None:
        """Handle `leave`: ok also where the session is not in the room; it counts as a message."""
        core = self._core
        now = core.clock.monotonic()
        within_rate = session.messages is None or session.messages.take(now)
        core.flood_guard.note(session.peer, within=within_rate)
        if len(arguments) != 1 or not isinstance(arguments[0], str):
            core.turn_down("leave", snapshot, session, ack, Code.INVALID_PAYLOAD)
            return
        if not within_rate:
            wait = longest_wait([(session.messages, 1.0)])
            core.turn_down(
                "leave", snapshot, session, ack, Code.RATE_LIMITED, after=wait, rate="message_rate"
            )
            return
        core.pending.handle(_LeaveEvent(self, session, ack, [RoomName(arguments[0])]), snapshot)

    def leave_room(self, session: Session, snapshot: Snapshot, room: RoomName) -> None:
        """Let a session leave a room, if it is in it."""
        membership = session.memberships.get(room)
        if membership is not None:
            self._decline(session, membership)
            self.leave_quietly(session, membership)
            self.cascade(session, snapshot, Code.RULE_DENIED)

    def answer_leave(
        self, session: Session, snapshot: Snapshot, ack: bytes | None, code: Code | None = None
    ) -> None:
        """Answer a leave, by a code where it is refused."""
        if code is None:
            self._core.answer(session, ack, replies.OK)
        else:
            self._core.turn_down("leave", snapshot, session, ack, code)

    def _decline(self, session: Session, membership: Membership) -> None:
        """Remember that the session left a room that would be auto-joined, so that it is not again."""
        if is_auto_joined(membership.template, session.principal, membership.room.name):
            if session.declined is None:
                session.declined = set()
            session.declined.add(membership.room.name)

    # --- the one way into and out of a room -------------------------------------------------------------------

    def enter(self, session: Session, room: RoomName, template: RoomTemplate, *, by_server: bool) -> None:
        """Make a membership that has been decided."""
        membership = self._core.registry.join(session, room, template, by_server=by_server)
        self._core.buckets.fit_membership(session, membership)

    def leave_quietly(self, session: Session, membership: Membership) -> None:
        """End a membership at the session's own wish: it is told by the ack alone."""
        self._core.registry.leave(session, membership)

    def lose(
        self, session: Session, snapshot: Snapshot, memberships: Sequence[Membership], code: Code
    ) -> None:
        """End memberships from our side, tell the session, and judge at once what depends on them."""
        for membership in memberships:
            self._core.registry.leave(session, membership, code)
            session.send(replies.build_left(session.namespace.prefix, membership.room.name, code))
        self.cascade(session, snapshot, Code.RULE_DENIED)

    def cascade(self, session: Session, snapshot: Snapshot, code: Code) -> None:
        """Judge the remaining memberships that depend on others, after one was lost."""
        core = self._core
        left = core.judge_dependents(session, snapshot)
        for room, _ in left.lost:
            core.registry.leave(session, session.memberships[room], code)
            session.send(replies.build_left(session.namespace.prefix, room, code))
        # A membership that needs answers now is judged with the whole session, at its next moment.
        self._attend(session, core.clock.wall() if left.undecided else left.valid_until)

    def _attend(self, session: Session, valid_until: float | None) -> None:
        if valid_until is not None and (session.valid_until is None or valid_until < session.valid_until):
            session.valid_until = valid_until
            self._core.schedule(session)


class _JoinEvent(msgspec.Struct, eq=False, gc=False):
    """A `join`. As many of its rooms are decided as there are `results`, and as many have arrived as `arrivals`.

    `asking` is the index of the room that questions are about: their answers are about no other room.
    """

    joiner: Joiner
    session: Session
    ack: bytes | None
    rooms: Sequence[RoomName]
    is_list: bool = False
    is_well_formed: bool = True
    arrivals: list[Arrival] = []
    results: list[bytes] = []
    asking: int = -1

    @property
    def size(self) -> int:
        """The bytes that it takes while it waits."""
        return sum(len(room.encode()) for room in self.rooms)

    def _arrive(self, snapshot: Snapshot, index: int) -> Arrival:
        if index == len(self.arrivals):
            arrival = self.joiner.arrive(
                self.session, snapshot, self.rooms[index], is_well_formed=self.is_well_formed
            )
            # The first room beyond the rate decides for all that follow.
            self.arrivals += [arrival] * (1 if arrival.within_rate else len(self.rooms) - index)
        return self.arrivals[index]

    def attempt(self, snapshot: Snapshot, answers: Answers) -> Sequence[Question]:
        """Decide on the rooms that are left, until one needs answers."""
        for index in range(len(self.results), len(self.rooms)):
            arrival = self._arrive(snapshot, index)
            about = answers if index == self.asking else NO_ANSWERS
            result = self.joiner.join_room(self.session, snapshot, self.rooms[index], arrival, about)
            if not arrival.within_rate and isinstance(result, bytes):
                # Neither is any room behind it: to decide and word each of them would be work without a limit.
                left = len(self.rooms) - index
                self.results += [result] * left
                self.joiner.count_refused(self.session, Code.RATE_LIMITED, left - 1)
                break
            if not isinstance(result, bytes):
                self.asking = index
                self.arrive(snapshot)
                return result
            self.results.append(result)
        if self.session.ended and self.is_list:
            return ()  # closed for its rate
        self.joiner.answer(self.session, self.ack, self.results, is_list=self.is_list)
        return ()

    def arrive(self, snapshot: Snapshot) -> None:
        """Take all rooms from the rates, before any waits; INVARIANT: those beyond the rate are the last."""
        for index in range(len(self.arrivals), len(self.rooms)):
            self._arrive(snapshot, index)

    def refuse(self, snapshot: Snapshot, code: Code) -> None:
        """Refuse the rooms that are left."""
        left = self.rooms[len(self.results) :]
        self.results += [self.joiner.refuse_room(self.session, snapshot, room, code) for room in left]
        self.joiner.answer(self.session, self.ack, self.results, is_list=self.is_list)


class _LeaveEvent(msgspec.Struct, eq=False, gc=False):
    """A `leave`, which needs no decision, and keeps its place among the events for its room."""

    joiner: Joiner
    session: Session
    ack: bytes | None
    rooms: Sequence[RoomName]

    @property
    def size(self) -> int:
        """The bytes that it takes while it waits."""
        return len(self.rooms[0].encode())

    def attempt(self, snapshot: Snapshot, _answers: Answers) -> Sequence[Question]:
        """Leave."""
        self.joiner.leave_room(self.session, snapshot, self.rooms[0])
        self.joiner.answer_leave(self.session, snapshot, self.ack)
        return ()

    def refuse(self, snapshot: Snapshot, code: Code) -> None:
        """Refuse to leave."""
        self.joiner.answer_leave(self.session, snapshot, self.ack, code)


def _parse_rooms(arguments: list[Any]) -> str | list[str] | None:
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
