"""Reconciles a session with the policy: which memberships it keeps and loses, and which rooms it is auto-joined to.

The order is fixed: connect rule, memberships, auto-join. A membership can depend on another one (`member_of`), so
the result is the largest set of memberships that are allowed while the session has all of them: a lost membership
takes those along that depended on it. `member_of` is never inside a `not`, so an additional membership never makes
another rule false, and the set does not depend on the order in which it is found.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import msgspec

from compartmentd.names import NamespaceName, RoomName
from compartmentd.policy.autojoin import SkippedValue, SurplusValues, find_auto_joins
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


class CurrentMembership(msgspec.Struct, frozen=True):
    """A membership that a session has.

    `by_server` is whether the operator's side made it, for the rule `server`.
    """

    room: RoomName
    by_server: bool


class ReconciledMemberships(msgspec.Struct, frozen=True):
    """The memberships that a session keeps, in the order given, and those that it loses, with the refusals.

    `undecided` are those that cannot be decided before `questions` are answered: they are neither kept nor
    lost, and no membership that depends on them is lost for that. The session is reconciled again with the
    answers.
    """

    kept: tuple[RoomName, ...]
    lost: tuple[tuple[RoomName, Decision], ...]
    valid_until: float | None
    undecided: tuple[RoomName, ...] = ()
    questions: tuple[Question, ...] = ()


class Reconciliation(msgspec.Struct, frozen=True):
    """The result for a session: the memberships that it keeps, loses and gets. If `connect` is refused, it ends.

    `joined` are the auto-joined rooms. `skipped` are the auto-join values that gave no room. `valid_until` is
    the first wall time, in seconds, at which time alone could change any of it. `undecided` are the memberships
    that wait for the answers to `questions`: all of them if `connect` is pending. `surplus` are further
    auto-join values, which were only counted, since the session was full; `work` is how many rooms and values were
    judged.
    """

    connect: Decision
    kept: tuple[RoomName, ...] = ()
    lost: tuple[tuple[RoomName, Decision], ...] = ()
    joined: tuple[tuple[RoomName, Decision], ...] = ()
    skipped: tuple[SkippedValue, ...] = ()
    valid_until: float | None = None
    undecided: tuple[RoomName, ...] = ()
    questions: tuple[Question, ...] = ()
    surplus: tuple[SurplusValues, ...] = ()
    work: int = 0

    @property
    def surplus_count(self) -> int:
        """The number of auto-join values that were only counted."""
        return sum(each.count for each in self.surplus)


_SURPLUS_IN_ONE = 8
"""How many values that are only counted are as much work as one that is judged."""

_NONE = ReconciledMemberships((), (), None)


def reconcile_session(
    ruleset: Ruleset,
    namespace: NamespaceName,
    who: Principal,
    current: Sequence[CurrentMembership],
    *,
    now: float,
    sessions: int = 0,
    declined: Collection[str] = (),
    occupancy: Callable[[str], int] = lambda _room: 0,
    answers: Answers = NO_ANSWERS,
) -> Reconciliation:
    """Reconcile a session at connect, refresh, reload, recovery and `valid_until`.

    Args: ruleset: The policy in force. namespace: The session's namespace. who: The session's principal.
        current: Its memberships. now: Wall time in seconds. sessions: The number of the user's other sessions
        in the namespace; only at connect, since limits evict nobody. declined: Rooms that the session left or
        was removed from: it is not auto-joined to them again. occupancy: Returns the number of members of a
        room. answers: The answers to the questions of an earlier, incomplete reconciliation.
    """
    connect = decide(ruleset, who, Connect(namespace), Facts(sessions=sessions, answers=answers), now)
    if type(connect.outcome) is Pending:
        rooms = tuple(each.room for each in current)
        return Reconciliation(connect, undecided=rooms, questions=connect.outcome.questions)
    if not connect.allowed:
        return Reconciliation(connect, valid_until=connect.valid_until)
    memberships = _NONE
    if current:
        memberships = reconcile_memberships(ruleset, namespace, who, current, now=now, answers=answers)
    added = find_auto_joins(
        ruleset,
        namespace,
        who,
        (*memberships.kept, *memberships.undecided) if memberships.undecided else memberships.kept,
        now=now,
        declined=frozenset(declined),
        occupancy=occupancy,
        answers=answers,
    )
    return Reconciliation(
        connect,
        memberships.kept,
        memberships.lost,
        added.joined,
        added.skipped,
        find_earliest((connect.valid_until, memberships.valid_until, added.valid_until)),
        memberships.undecided,
        tuple(dict.fromkeys((*memberships.questions, *added.questions)))
        if added.questions
        else memberships.questions,
        added.surplus,
        len(current) + added.looked_at + sum(each.count for each in added.surplus) // _SURPLUS_IN_ONE,
    )


def reconcile_unchanged(
    ruleset: Ruleset,
    namespace: NamespaceName,
    who: Principal,
    kept: Sequence[RoomName],
    *,
    now: float,
    valid_until: float | None,
    declined: Collection[str] = (),
    occupancy: Callable[[str], int] = lambda _room: 0,
) -> Reconciliation:
    """Reconcile a session whose earlier decisions are all unchanged: only auto-join is decided again.

    Args:
        ruleset: The policy in force.
        namespace: The session's namespace.
        who: The session's principal.
        kept: Its memberships.
        now: Wall time in seconds.
        valid_until: That of the earlier reconciliation.
        declined: As in `reconcile_session`.
        occupancy: As in `reconcile_session`.
    """
    added = find_auto_joins(
        ruleset, namespace, who, kept, now=now, declined=frozenset(declined), occupancy=occupancy
    )
    until = find_earliest((valid_until, added.valid_until))
    return Reconciliation(
        _AS_BEFORE, tuple(kept), (), added.joined, added.skipped, until, surplus=added.surplus
    )


_AS_BEFORE = Decision(Allow(), (Reason("nothing has changed since it was allowed", Truth.TRUE),))


def reconcile_memberships(
    ruleset: Ruleset,
    namespace: NamespaceName,
    who: Principal,
    current: Sequence[CurrentMembership],
    *,
    now: float,
    answers: Answers = NO_ANSWERS,
) -> ReconciledMemberships:
    """Reconcile memberships alone, with their dependencies on each other.

    The arguments are as in `reconcile_session`.
    """
    return _Reconciler(ruleset, namespace, who, now, answers).find_largest(current, current)


def reconcile_dependents(
    ruleset: Ruleset,
    namespace: NamespaceName,
    who: Principal,
    current: Sequence[CurrentMembership],
    *,
    now: float,
    answers: Answers = NO_ANSWERS,
) -> ReconciledMemberships:
    """Reconcile only the memberships that depend on others, after one was lost.

    `current` are the remaining ones.
    """
    reconciler = _Reconciler(ruleset, namespace, who, now, answers)
    return reconciler.find_largest(current, [each for each in current if reconciler.depends_on_another(each)])


class _Reconciler:
    """Reconciles the memberships of one session, under one policy, at one time, with the same answers."""

    def __init__(
        self, ruleset: Ruleset, namespace: NamespaceName, who: Principal, now: float, answers: Answers
    ) -> None:
        self.ruleset = ruleset
        self.namespace = namespace
        self.who = who
        self.now = now
        self.answers = answers

    def depends_on_another(self, membership: CurrentMembership) -> bool:
        """Return whether this membership could be lost because another one is."""
        match = self.ruleset.find(self.namespace, membership.room)
        return match is not None and self.ruleset.depends_on_membership(self.namespace, match.template)

    def find_largest(
        self, current: Sequence[CurrentMembership], doubted: Sequence[CurrentMembership]
    ) -> ReconciledMemberships:
        """Remove refused memberships from `current` until none is left.

        Only those in `doubted` are decided at first.
        """
        left = {each.room: None for each in current}
        decisions: dict[RoomName, Decision] = {}
        lost: list[tuple[RoomName, Decision]] = []
        while doubted:
            decisions |= {each.room: self._decide(each, left.keys()) for each in doubted}
            fallen = [each.room for each in doubted if type(decisions[each.room].outcome) is Deny]
            for room in fallen:
                lost.append((room, decisions.pop(room)))
                del left[room]
            # A loss affects only memberships that depend on others.
            doubted = [e for e in doubted if fallen and e.room in left and self.depends_on_another(e)]
        pending = {
            room: decision.outcome.questions
            for room, decision in decisions.items()
            if type(decision.outcome) is Pending
        }
        valid_until = find_earliest([each.valid_until for each in decisions.values()])
        if not pending:  # as nearly always
            return ReconciledMemberships(tuple(left), tuple(lost), valid_until)
        return ReconciledMemberships(
            tuple(room for room in left if room not in pending),
            tuple(lost),
            valid_until,
            tuple(room for room in left if room in pending),
            tuple(dict.fromkeys(question for questions in pending.values() for question in questions)),
        )

    def _decide(self, membership: CurrentMembership, memberships: Collection[str]) -> Decision:
        request = Join(self.namespace, membership.room, by_server=membership.by_server)
        facts = Facts(memberships=memberships, answers=self.answers)
        return decide(self.ruleset, self.who, request, facts, self.now)
