"""Judging a session as a whole: what it keeps, what it loses, and which rooms it is put into.

The order is that of the promises: connect rule, memberships, auto-join. A membership may stand on another one
(`member_of`), so what is judged here is the largest set of memberships that hold while all of the set do:
whatever is lost takes along what stood on it. `member_of` never stands under a `not`, so one more membership
never makes another rule false, and the set does not depend on the order in which it is found.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import msgspec

from compartmentd.names import NamespaceName, RoomName
from compartmentd.policy.autojoin import Skipped, joins
from compartmentd.policy.decide import decide
from compartmentd.policy.decision import (
    NO_ANSWERS,
    Allow,
    Answers,
    Connect,
    Decision,
    Deny,
    Facts,
    Join,
    Pending,
    Question,
    Reason,
    Truth,
)
from compartmentd.policy.principal import Principal
from compartmentd.policy.rules.combinators import find_earliest
from compartmentd.policy.ruleset import Ruleset


class Held(msgspec.Struct, frozen=True):
    """A membership, and whether the operator's side made it, which every judgement uses for `server`."""

    room: RoomName
    by_server: bool = False


class Memberships(msgspec.Struct, frozen=True):
    """The memberships of a session that it keeps, in the order given, and those that it loses, with the refusals.

    `undecided` are those that cannot be decided before `questions` are answered: they are neither kept nor lost,
    and nothing that depends on them is lost by that. The session is judged again with the answers.
    """

    kept: tuple[RoomName, ...]
    lost: tuple[tuple[RoomName, Decision], ...]
    valid_until: float | None
    undecided: tuple[RoomName, ...] = ()
    questions: tuple[Question, ...] = ()


class Judgement(msgspec.Struct, frozen=True):
    """The memberships that a session keeps, loses and gets; where `connect` is refused it ends, and has none.

    `joined` are by the operator's side. `skipped` are the auto-join values that gave no room.
    `valid_until` is the first moment (wall time, seconds) at which time alone could change any of it.
    `undecided` are the memberships that wait for the answers to `questions`: all, where `connect` is pending.
    """

    connect: Decision
    kept: tuple[RoomName, ...] = ()
    lost: tuple[tuple[RoomName, Decision], ...] = ()
    joined: tuple[tuple[RoomName, Decision], ...] = ()
    skipped: tuple[Skipped, ...] = ()
    valid_until: float | None = None
    undecided: tuple[RoomName, ...] = ()
    questions: tuple[Question, ...] = ()


_NONE = Memberships((), (), None)


def judge(
    rules: Ruleset,
    namespace: NamespaceName,
    who: Principal,
    held: Sequence[Held],
    *,
    now: float,
    sessions: int = 0,
    declined: Collection[str] = (),
    occupancy: Callable[[str], int] = lambda _room: 0,
    answers: Answers = NO_ANSWERS,
) -> Judgement:
    """Judge a session at connect, refresh, reload, recovery and `valid_until`.

    Args:
        rules: The policy in force.
        namespace: The session's namespace.
        who: The session's principal.
        held: Its memberships.
        now: Wall time in seconds.
        sessions: The user's other sessions in the namespace; only at connect, since limits evict nobody.
        declined: Rooms that the session left, or that were taken from it: not to be auto-joined again.
        occupancy: Counts the members of a room.
        answers: The answers to the questions of an earlier judgement that was not complete.
    """
    connect = decide(rules, who, Connect(namespace), Facts(sessions=sessions, answers=answers), now)
    if isinstance(connect.outcome, Pending):
        rooms = tuple(each.room for each in held)
        return Judgement(connect, undecided=rooms, questions=connect.outcome.questions)
    if not connect.allowed:
        return Judgement(connect, valid_until=connect.valid_until)
    memberships = _NONE
    if held:
        memberships = judge_memberships(rules, namespace, who, held, now=now, answers=answers)
    added = joins(
        rules,
        namespace,
        who,
        (*memberships.kept, *memberships.undecided),
        now=now,
        declined=frozenset(declined),
        occupancy=occupancy,
        answers=answers,
    )
    return Judgement(
        connect,
        memberships.kept,
        memberships.lost,
        added.joined,
        added.skipped,
        find_earliest((connect.valid_until, memberships.valid_until, added.valid_until)),
        memberships.undecided,
        tuple(dict.fromkeys((*memberships.questions, *added.questions))),
    )


def judge_unchanged(
    rules: Ruleset,
    namespace: NamespaceName,
    who: Principal,
    kept: Sequence[RoomName],
    *,
    now: float,
    valid_until: float | None,
    declined: Collection[str] = (),
    occupancy: Callable[[str], int] = lambda _room: 0,
) -> Judgement:
    """Judge a session of which nothing has changed that was decided before: only auto-join is asked again.

    `valid_until` is that of the judgement before.
    """
    added = joins(rules, namespace, who, kept, now=now, declined=frozenset(declined), occupancy=occupancy)
    until = find_earliest((valid_until, added.valid_until))
    return Judgement(_AS_BEFORE, tuple(kept), (), added.joined, added.skipped, until)


_AS_BEFORE = Decision(Allow(), (Reason("nothing has changed since it was allowed", Truth.TRUE),))


def judge_memberships(
    rules: Ruleset,
    namespace: NamespaceName,
    who: Principal,
    held: Sequence[Held],
    *,
    now: float,
    answers: Answers = NO_ANSWERS,
) -> Memberships:
    """Judge memberships alone, as they stand on each other."""
    return _Bench(rules, namespace, who, now, answers).largest(held, held)


def judge_dependents(
    rules: Ruleset,
    namespace: NamespaceName,
    who: Principal,
    held: Sequence[Held],
    *,
    now: float,
    answers: Answers = NO_ANSWERS,
) -> Memberships:
    """Judge only what stands on other memberships, after one was lost; `held` are those that are left."""
    bench = _Bench(rules, namespace, who, now, answers)
    return bench.largest(held, [each for each in held if bench.stands_on_another(each)])


class _Bench:
    """Judges memberships of one session, with the policy, answers and time of one moment."""

    def __init__(
        self, rules: Ruleset, namespace: NamespaceName, who: Principal, now: float, answers: Answers
    ) -> None:
        self.rules = rules
        self.namespace = namespace
        self.who = who
        self.now = now
        self.answers = answers

    def stands_on_another(self, held: Held) -> bool:
        """Return whether losing another membership could take this one along."""
        match = self.rules.find(self.namespace, held.room)
        return match is not None and self.rules.depends_on_membership(self.namespace, match.template)

    def largest(self, held: Sequence[Held], doubted: Sequence[Held]) -> Memberships:
        """Take away what does not hold of the doubted, until all that is left does or cannot be decided yet."""
        left = {each.room: None for each in held}
        decisions: dict[RoomName, Decision] = {}
        lost: list[tuple[RoomName, Decision]] = []
        while doubted:
            decisions |= {each.room: self._decide(each, left.keys()) for each in doubted}
            fallen = [each.room for each in doubted if isinstance(decisions[each.room].outcome, Deny)]
            for room in fallen:
                lost.append((room, decisions.pop(room)))
                del left[room]
            # A loss changes nothing for what does not stand on another membership.
            doubted = [e for e in doubted if fallen and e.room in left and self.stands_on_another(e)]
        pending = {
            room: decision.outcome.questions
            for room, decision in decisions.items()
            if isinstance(decision.outcome, Pending)
        }
        return Memberships(
            tuple(room for room in left if room not in pending),
            tuple(lost),
            find_earliest(each.valid_until for each in decisions.values()),
            tuple(room for room in left if room in pending),
            tuple(dict.fromkeys(question for questions in pending.values() for question in questions)),
        )

    def _decide(self, held: Held, memberships: Collection[str]) -> Decision:
        request = Join(self.namespace, held.room, by_server=held.by_server)
        facts = Facts(memberships=memberships, answers=self.answers)
        return decide(self.rules, self.who, request, facts, self.now)
