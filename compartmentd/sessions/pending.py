"""Events that wait: for answers without which they cannot be decided, and behind such an event, for their order.

An event whose decision is `Pending` is asked about and decided again when the answers are there: by the snapshot,
the time, the token and the memberships of that moment, in the same turn in which it takes effect. Its rates were
taken when it arrived, and are not taken again. Until then later events of that session for the same room wait
behind it; those for other rooms go on.

Bounds: an event waits `LONGEST_WAIT` seconds from its arrival. Its questions have been asked in vain then; one that
still waits behind another is `unavailable`. At most `MOST_BEHIND` events and `MOST_BYTES` bytes of a session wait
behind others, more are `rate_limited`. When the session or its connection is gone, its events end without an ack.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from compartmentd.configuration.snapshot import Snapshot
from compartmentd.names import RoomName
from compartmentd.policy.codes import Code
from compartmentd.policy.decision import NO_ANSWERS, Answers, Question
from compartmentd.sessions.session import Session

LONGEST_WAIT = 5.0
"""Seconds for which an event waits at most."""

MOST_BEHIND = 32
"""Events of a session that wait behind others."""

MOST_BYTES = 256 * 1024
"""Bytes of a session's events that wait behind others, as received."""


class Asker(Protocol):
    """Gets answers from outside."""

    def ask(self, question: Question, session: Session, answered: Callable[[bool | None], None]) -> None:
        """Ask a question about a session's request.

        Args:
            question: The question.
            session: The session whose request depends on it.
            answered: Is to be called once, not before this returns: with the answer, or `None` if there is none.
        """


class PendingEvent(Protocol):
    """A client's event that may have to wait; its rates were taken when it arrived."""

    @property
    def session(self) -> Session:
        """The session whose event it is."""

    @property
    def rooms(self) -> Sequence[RoomName] | None:
        """The rooms that it is about, `None` for the whole session; events that share one keep their order."""

    @property
    def size(self) -> int:
        """The bytes that it takes while it waits."""

    def attempt(self, snapshot: Snapshot, answers: Answers) -> Sequence[Question]:
        """Decide the event by this snapshot and let it take effect; return the open questions if there are any."""

    def refuse(self, snapshot: Snapshot, code: Code) -> None:
        """Refuse the event without deciding it."""


class _Waiting:
    """An event that waits. `open` are the questions that are being asked; `None` while it is behind, or may go on.

    `deadline` is in monotonic seconds.
    """

    __slots__ = ("answers", "deadline", "event", "open")

    def __init__(self, event: PendingEvent, deadline: float) -> None:
        self.event = event
        self.deadline = deadline
        self.open: set[Question] | None = None
        self.answers: dict[Question, bool | None] = {}


class PendingEvents:
    """The events that wait, by session in the order in which they came.

    INVARIANT: an event that is being asked about shares no room with an earlier one of its session, but for a
    judgement of the whole session, which goes before all: the others go on when it is complete.
    """

    def __init__(
        self,
        asker: Asker | None,
        monotonic: Callable[[], float],
        current: Callable[[], Snapshot],
        admit: Callable[[Session, Snapshot], bool],
    ) -> None:
        """Make an empty queue.

        Args:
            asker: Gets the answers; without one every question is asked in vain.
            monotonic: Returns seconds since an arbitrary moment.
            current: Returns the snapshot that is in force.
            admit: Makes the checks that come before every event; returns whether the session goes on.
        """
        self.refused = 0
        """Events that were refused since too many of their session waited."""
        self._asker = asker
        self._monotonic = monotonic
        self._current = current
        self._admit = admit
        self._waiting: dict[Session, list[_Waiting]] = {}
        # INVARIANT: the sessions whose first waiting event is a judgement, with that event.
        self._judgements: dict[Session, _Waiting] = {}
        self._when_judged: list[Callable[[], None]] = []

    def __len__(self) -> int:
        """Return how many events wait."""
        return sum(map(len, self._waiting.values()))

    def is_behind(self, session: Session, rooms: Sequence[RoomName]) -> bool:
        """Return whether an event for these rooms has to wait behind one that came earlier."""
        if not self._waiting:  # as nearly always
            return False
        return any(_is_shared(one.event.rooms, rooms) for one in self._waiting.get(session, ()))

    def is_judging(self, session: Session) -> bool:
        """Return whether a judgement of the whole session waits for answers."""
        return session in self._judgements

    @property
    def judging(self) -> bool:
        """Whether the judgement of any session waits for answers."""
        return bool(self._judgements)

    def compute_judging_wait(self) -> float:
        """Return in how many seconds every judgement that waits now has ended, with its answers or without."""
        if not self._judgements:
            return 0.0
        last = max(waiting.deadline for waiting in self._judgements.values())
        return max(0.0, last - self._monotonic())

    def call_when_judged(self, callback: Callable[[], None]) -> None:
        """Call back, once, when no judgement waits any longer; the callback must not use the hub."""
        self._when_judged.append(callback)

    def handle(self, event: PendingEvent, snapshot: Snapshot) -> None:
        """Decide an event that has just arrived, or let it wait."""
        session = event.session
        if self.is_behind(session, event.rooms or ()):
            self._queue(event, snapshot)
        elif questions := event.attempt(snapshot, NO_ANSWERS):
            self.wait(event, questions, snapshot)

    def wait(self, event: PendingEvent, questions: Sequence[Question], snapshot: Snapshot) -> None:
        """Let an event wait that has been attempted; one about the whole session goes before all others."""
        session = event.session
        waiting = _Waiting(event, self._monotonic() + LONGEST_WAIT)
        others = self._waiting.setdefault(session, [])
        others.insert(0 if event.rooms is None else len(others), waiting)
        if event.rooms is None:
            self._judgements[session] = waiting
        self._ask(waiting, questions, snapshot)
        self._advance(session)

    def _queue(self, event: PendingEvent, snapshot: Snapshot) -> None:
        waiting = self._waiting[event.session]
        behind = [one.event.size for one in waiting if one.open is None]
        if len(behind) >= MOST_BEHIND or sum(behind) + event.size > MOST_BYTES:
            self.refused += 1
            event.refuse(snapshot, Code.RATE_LIMITED)
        else:
            waiting.append(_Waiting(event, self._monotonic() + LONGEST_WAIT))

    def forget(self, session: Session) -> None:
        """Drop the events of a session that has ended or lost its connection."""
        if self._waiting:
            self._waiting.pop(session, None)
            self._end_judgement(session)

    def refuse_all(self, snapshot: Snapshot) -> None:
        """Refuse everything that waits: the server ends."""
        waiting, self._waiting = self._waiting, {}
        for session in tuple(self._judgements):
            self._end_judgement(session)
        for one in [one for ones in waiting.values() for one in ones]:
            one.event.refuse(snapshot, Code.UNAVAILABLE)

    def expire(self) -> None:
        """End the waits that have lasted for too long."""
        if not self._waiting:
            return
        now = self._monotonic()
        for session in tuple(self._waiting):
            late = [one for one in self._waiting.get(session, ()) if one.deadline <= now]
            for one in late:
                if one.open is not None:
                    one.answers |= dict.fromkeys(one.open)
                    one.open = None
            if late:
                self._advance(session)
            for one in late:
                if one.open is None and self._is_there(one):
                    self._remove(one)
                    one.event.refuse(self._current(), Code.UNAVAILABLE)
            self._advance(session)

    def _remove(self, waiting: _Waiting) -> None:
        session = waiting.event.session
        self._waiting[session].remove(waiting)
        if waiting.event.rooms is None:
            self._end_judgement(session)

    def _end_judgement(self, session: Session) -> None:
        if self._judgements.pop(session, None) is not None and not self._judgements:
            callbacks, self._when_judged = self._when_judged, []
            for callback in callbacks:
                callback()

    # --- asking ----------------------------------------------------------------------------------------------

    def _attempt(self, waiting: _Waiting, snapshot: Snapshot) -> None:
        """Decide an event by what is known by now."""
        questions = waiting.event.attempt(snapshot, waiting.answers)
        self._ask(waiting, questions, snapshot)

    def _ask(self, waiting: _Waiting, questions: Sequence[Question], snapshot: Snapshot) -> None:
        """Ask what is open; where nobody can be asked, or no time is left, the questions were asked in vain."""
        asker, event = self._asker, waiting.event
        while questions and (asker is None or waiting.deadline <= self._monotonic()):
            waiting.answers |= dict.fromkeys(questions)
            questions = event.attempt(snapshot, waiting.answers)
        if not questions or asker is None:
            if self._is_there(waiting):
                self._remove(waiting)
            return
        for membership in event.session.memberships.values():
            # A remembered permission would let a message overtake what waits.
            if event.rooms is None or membership.room.name in event.rooms:
                membership.forget_grants()
        waiting.open = set(questions)
        for question in questions:
            asker.ask(question, event.session, partial(self._take_answer, waiting, question))

    def _take_answer(self, waiting: _Waiting, question: Question, answer: bool | None) -> None:
        if not self._is_there(waiting) or waiting.open is None or question not in waiting.open:
            return  # the time was over, or the session is gone
        waiting.answers[question] = answer
        waiting.open.discard(question)
        if not waiting.open:
            waiting.open = None
            self._advance(waiting.event.session)

    # --- the order -------------------------------------------------------------------------------------------

    def _advance(self, session: Session) -> None:
        """Go on with the events of a session that have their answers, or wait behind none any more, in order."""
        while (waiting := self._find_ready(session)) is not None:
            snapshot = self._current()
            if not self._admit(session, snapshot):
                return  # the session has ended, and its events with it
            if self._find_ready(session) is waiting:  # and is not to be judged first
                self._attempt(waiting, snapshot)
        if session in self._waiting and not self._waiting[session]:
            del self._waiting[session]

    def _find_ready(self, session: Session) -> _Waiting | None:
        """Return the first event that is not being asked about and shares no room with an earlier one."""
        taken: set[RoomName] = set()
        for waiting in self._waiting.get(session, ()):
            rooms = waiting.event.rooms
            if waiting.open is None and (rooms is None or taken.isdisjoint(rooms)):
                return waiting
            if rooms is None:
                return None
            taken.update(rooms)
        return None

    def _is_there(self, waiting: _Waiting) -> bool:
        return waiting in self._waiting.get(waiting.event.session, ())


def _is_shared(first: Sequence[RoomName] | None, second: Sequence[RoomName] | None) -> bool:
    return first is None or second is None or not set(first).isdisjoint(second)
