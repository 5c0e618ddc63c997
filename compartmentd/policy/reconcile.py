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
from compartmentd.policy.decision import Allow, Connect, Decision, Facts, Join, Reason, Truth
from compartmentd.policy.principal import Principal
from compartmentd.policy.rules.combinators import find_earliest
from compartmentd.policy.ruleset import Ruleset


class Held(msgspec.Struct, frozen=True):
    """A membership, and whether the operator's side made it, which every judgement uses for `server`."""

    room: RoomName
    by_server: bool = False


class Memberships(msgspec.Struct, frozen=True):
    """What is left of a session's memberships, in the order given, and what is lost, with the refusals."""

    kept: tuple[RoomName, ...]
    lost: tuple[tuple[RoomName, Decision], ...]
    valid_until: float | None


class Judgement(msgspec.Struct, frozen=True):
    """What a session keeps, loses and gets; where `connect` is refused it ends, and nothing else is said.

    `joined` are by the operator's side. `skipped` are the auto-join values that gave no room.
    `valid_until` is the first moment (wall time, seconds) at which time alone could change any of it.
    """

    connect: Decision
    kept: tuple[RoomName, ...] = ()
    lost: tuple[tuple[RoomName, Decision], ...] = ()
    joined: tuple[tuple[RoomName, Decision], ...] = ()
    skipped: tuple[Skipped, ...] = ()
    valid_until: float | None = None


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
    """
    connect = decide(rules, who, Connect(namespace), Facts(sessions=sessions), now)
    if not connect.allowed:
        return Judgement(connect, valid_until=connect.valid_until)
    memberships = judge_memberships(rules, namespace, who, held, now=now) if held else _NONE
    added = joins(
        rules, namespace, who, memberships.kept, now=now, declined=frozenset(declined), occupancy=occupancy
    )
    return Judgement(
        connect,
        memberships.kept,
        memberships.lost,
        added.joined,
        added.skipped,
        find_earliest((connect.valid_until, memberships.valid_until, added.valid_until)),
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
    rules: Ruleset, namespace: NamespaceName, who: Principal, held: Sequence[Held], *, now: float
) -> Memberships:
    """Judge memberships alone, as they stand on each other."""
    return _Bench(rules, namespace, who, now).largest(held, held)


def judge_dependents(
    rules: Ruleset, namespace: NamespaceName, who: Principal, held: Sequence[Held], *, now: float
) -> Memberships:
    """Judge only what stands on other memberships, after one was lost; `held` are those that are left."""
    bench = _Bench(rules, namespace, who, now)
    return bench.largest(held, [each for each in held if bench.stands_on_another(each)])


class _Bench:
    """Judges memberships of one session, with the policy and time of one moment."""

    def __init__(self, rules: Ruleset, namespace: NamespaceName, who: Principal, now: float) -> None:
        self.rules = rules
        self.namespace = namespace
        self.who = who
        self.now = now

    def stands_on_another(self, held: Held) -> bool:
        """Tell whether losing another membership could take this one along."""
        match = self.rules.find(self.namespace, held.room)
        return match is not None and self.rules.depends_on_membership(self.namespace, match.template)

    def largest(self, held: Sequence[Held], doubted: Sequence[Held]) -> Memberships:
        """Take away what does not hold of the doubted, until all that is left does."""
        left = {each.room: None for each in held}
        decisions: dict[RoomName, Decision] = {}
        lost: list[tuple[RoomName, Decision]] = []
        while doubted:
            decisions |= {each.room: self._decide(each, left.keys()) for each in doubted}
            fallen = [each.room for each in doubted if not decisions[each.room].allowed]
            for room in fallen:
                lost.append((room, decisions.pop(room)))
                del left[room]
            # A loss changes nothing for what does not stand on another membership.
            doubted = [e for e in doubted if fallen and e.room in left and self.stands_on_another(e)]
        return Memberships(
            tuple(left), tuple(lost), find_earliest(each.valid_until for each in decisions.values())
        )

    def _decide(self, held: Held, memberships: Collection[str]) -> Decision:
        request = Join(self.namespace, held.room, by_server=held.by_server)
        return decide(self.rules, self.who, request, Facts(memberships=memberships), self.now)
