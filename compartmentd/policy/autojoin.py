"""Auto-join: the rooms that a session joins because its claims name them.

A template maps each of its parameters to a claim, of which at most one may be a list. Auto-join only adds rooms, in
the order of the claim, up to `rooms_per_session`; values that give no room are skipped and reported. Once the
session is full, the values that are left are counted and not looked at: a claim may have thousands, and each look
takes 15 µs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from enum import Enum
from itertools import chain
from math import inf
from typing import Any

import msgspec

from compartmentd.names import NamespaceName, RoomName
from compartmentd.policy.claim_path import read_claim
from compartmentd.policy.codes import Code
from compartmentd.policy.decide import decide
from compartmentd.policy.decision import NO_ANSWERS, Answers, Decision, Facts, Join, Pending, Question
from compartmentd.policy.model import IntegerParam, Param, RoomTemplate
from compartmentd.policy.principal import Principal
from compartmentd.policy.rules.combinators import find_earliest
from compartmentd.policy.rules.comparisons import JsonType, get_json_type
from compartmentd.policy.rules.placeholders import fill
from compartmentd.policy.ruleset import Ruleset
from compartmentd.policy.templates.integers import LARGEST

SHOWN = 3
"""Rooms that are named of those that a session was not joined to for one reason."""


class SkipReason(Enum):
    """Why an auto-join value gave no room."""

    NOT_MATCHING = "not_matching"
    DENIED = "denied"
    FULL = "full"
    SURPLUS = "surplus"
    DECLINED = "declined"
    UNDECIDED = "undecided"


class SkippedValue(msgspec.Struct, frozen=True):
    """A claim's value that gave no room; `room` is `None` if the value does not have the parameter's form."""

    template: str
    why: SkipReason
    room: RoomName | None
    decision: Decision | None = None


class SurplusValues(msgspec.Struct, frozen=True):
    """The values of a template that were not looked at, since the session was full; `first` has a few rooms."""

    template: str
    count: int
    first: tuple[str, ...]


class AutoJoins(msgspec.Struct, frozen=True):
    """The rooms to join, in order, and the skipped values.

    `surplus` are the values that were not looked at, since the session was full; `looked_at` is how many were.
    """

    joined: tuple[tuple[RoomName, Decision], ...]
    skipped: tuple[SkippedValue, ...]
    valid_until: float | None
    questions: tuple[Question, ...] = ()
    """The questions to answer before the rooms that are skipped as undecided can be joined."""
    surplus: tuple[SurplusValues, ...] = ()
    looked_at: int = 0


_NOTHING = AutoJoins((), (), None)


def find_auto_joins(
    ruleset: Ruleset,
    namespace: NamespaceName,
    who: Principal,
    kept: Collection[RoomName],
    *,
    now: float,
    declined: Collection[str],
    occupancy: Callable[[str], int],
    answers: Answers = NO_ANSWERS,
) -> AutoJoins:
    """Find the rooms that a session is auto-joined to.

    Args:
        ruleset: The policy in force.
        namespace: The session's namespace.
        who: The session's principal.
        kept: The rooms that the session is in.
        now: Wall time in seconds.
        declined: Rooms that it is not auto-joined to.
        occupancy: Returns the number of members of a room.
        answers: The answers to earlier questions.
    """
    if not ruleset.list_auto_joined(namespace):
        return _NOTHING  # the case in most namespaces: saves 4 µs a session
    members = dict.fromkeys(kept)

    def decide_room(room: RoomName) -> Decision:
        facts = Facts(memberships=members.keys(), occupancy=occupancy(room), answers=answers)
        return decide(ruleset, who, Join(namespace, room, by_server=True), facts, now)

    most = ruleset.policy.namespaces[namespace].limits.rooms_per_session
    found = _Found(ruleset, namespace, inf if most is None else most, members, declined)
    found.look(who, decide_room)
    found.decide_dependents(decide_room)
    decisions, skipped = found.decisions, found.skipped
    for room, decision in decisions.items():
        if not decision.allowed:
            skipped.append(SkippedValue(found.wanted[room].name, _explain_skip(decision), room, decision))
    outcomes = [decision.outcome for decision in decisions.values()]
    questions = [each.questions for each in outcomes if isinstance(each, Pending)]
    return AutoJoins(
        tuple((room, decisions[room]) for room in members if room in decisions),
        tuple(skipped),
        find_earliest(each.valid_until for each in decisions.values()),
        tuple(dict.fromkeys(chain.from_iterable(questions))),
        surplus=tuple(found.surplus),
        looked_at=found.looked_at,
    )


class _Found:
    """The rooms that the claims name, as far as they were looked at: decided as they are found, each once.

    `members` are the rooms that the session is in; the allowed ones are added, up to `most`.
    """

    def __init__(
        self,
        ruleset: Ruleset,
        namespace: NamespaceName,
        most: float,
        members: dict[RoomName, None],
        declined: Collection[str],
    ) -> None:
        self.wanted: dict[RoomName, RoomTemplate] = {}
        self.decisions: dict[RoomName, Decision] = {}
        self.skipped: list[SkippedValue] = []
        self.surplus: list[SurplusValues] = []
        self.looked_at = 0
        self._ruleset = ruleset
        self._namespace = namespace
        self._most = most
        self._members = members
        self._declined = declined
        self._seen = set(members)

    def look(self, who: Principal, decide_room: Callable[[RoomName], Decision]) -> None:
        """Decide on each room that the claims name until the session is full, and count the values left."""
        for template in self._ruleset.list_auto_joined(self._namespace):
            values = _read_values(template, who)
            while len(self._members) < self._most:
                if (each := next(values, _END)) is _END:
                    break
                self.looked_at += 1
                room = self._match(template, each)
                if room is not None:
                    self.wanted[room] = template
                    self._decide(room, decide_room)
            self._count_surplus(template, values)

    def _count_surplus(self, template: RoomTemplate, values: Iterator[tuple[str, ...] | None]) -> None:
        """Count the values that name no room that was seen, by the name alone: a tenth of the time of a look."""
        count = 0
        first: list[str] = []
        for each in values:
            room = None if each is None else _build_name(template, each)
            if room is None or (room not in self._seen and room not in self._declined):
                count += 1
                if room is not None and len(first) < SHOWN:
                    first.append(room)
        if count:
            self.surplus.append(SurplusValues(template.name, count, tuple(first)))

    def _match(self, template: RoomTemplate, values: tuple[str, ...] | None) -> RoomName | None:
        """Return the room that values name, `None` if it is to be skipped or was seen already."""
        room = None if values is None else RoomName(_build_name(template, values))
        match = None if room is None else self._ruleset.find(self._namespace, room)
        # The name must match this template with the same values: a value may contain text that another
        # template, or another parameter of this one, matches.
        if room is None or match is None or match.template is not template or match.values != values:
            self.skipped.append(SkippedValue(template.name, SkipReason.NOT_MATCHING, room))
            return None
        if room in self._seen:
            return None
        self._seen.add(room)
        if room in self._declined:
            self.skipped.append(SkippedValue(template.name, SkipReason.DECLINED, room))
            return None
        return room

    def decide_dependents(self, decide_room: Callable[[RoomName], Decision]) -> None:
        """Decide again on refused rooms that require membership in another one, as long as more are joined.

        So they depend neither on the order of the templates nor on that of the claims.
        """
        rooms = [
            room
            for room, template in self.wanted.items()
            if room not in self._members and self._ruleset.depends_on_membership(self._namespace, template)
        ]
        while rooms and len(self._members) < self._most:
            before = len(self._members)
            for room in rooms:
                if len(self._members) < self._most:
                    self._decide(room, decide_room)
            rooms = [room for room in rooms if room not in self._members]
            if len(self._members) == before:
                return

    def _decide(self, room: RoomName, decide_room: Callable[[RoomName], Decision]) -> None:
        decision = self.decisions[room] = decide_room(room)
        if decision.allowed:
            self._members[room] = None


def _explain_skip(decision: Decision) -> SkipReason:
    if isinstance(decision.outcome, Pending):
        return SkipReason.UNDECIDED
    if decision.code is Code.ROOM_FULL:
        return SkipReason.FULL
    return SkipReason.SURPLUS if decision.code is Code.TOO_MANY else SkipReason.DENIED


_END: Any = object()
"""Stands behind the last value of a claim."""


def _build_name(template: RoomTemplate, values: tuple[str, ...]) -> str:
    return fill(template.pattern, dict(zip((param.name for param in template.params), values, strict=True)))


def _read_values(template: RoomTemplate, who: Principal) -> Iterator[tuple[str, ...] | None]:
    """Yield the parameters' values of each room, or `None` if a claim's value cannot be one of a parameter."""
    claims = dict(template.auto_join.claims) if template.auto_join is not None else {}
    values = [read_claim(who.claims, claims[param.name]) for param in template.params if param.name in claims]
    if len(values) < len(template.params) or None in values:
        return  # an absent claim names no room
    for each in _spread_list(values):
        forms = tuple(map(_format_value, each, template.params))
        known = tuple(form for form in forms if form is not None)
        yield known if len(known) == len(forms) else None


def _spread_list(values: list[Any]) -> Iterator[list[Any]]:
    """Yield the values once for each item of the one that is a list; with two lists, as they are."""
    lists = [index for index, value in enumerate(values) if isinstance(value, list)]
    if len(lists) != 1:
        yield values
        return
    (index,) = lists
    for item in values[index]:
        yield [*values[:index], item, *values[index + 1 :]]


def _format_value(value: Any, param: Param) -> str | None:
    """Return the text of a claim's value in a room name, or `None` if it has none.

    A number is a value only of an integer parameter: elsewhere 42 and "42" are different values.
    """
    if isinstance(value, str):
        return value
    if not isinstance(param, IntegerParam) or get_json_type(value) is not JsonType.NUMBER:
        return None
    # The bound is checked first: converting a number of thousands of digits to text raises an exception.
    return str(int(value)) if abs(value) <= LARGEST and value == int(value) else None


def is_auto_joined(template: RoomTemplate, who: Principal, room: RoomName) -> bool:
    """Return whether the claims name this room for auto-join, so that leaving it has to be remembered."""
    return template.auto_join is not None and any(
        values is not None and _build_name(template, values) == room for values in _read_values(template, who)
    )
