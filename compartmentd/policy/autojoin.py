"""Auto-join: the rooms that a session joins because its claims name them.

A template maps each of its parameters to a claim, of which at most one may be a list. Auto-join only adds rooms, in
the order of the claim, up to `rooms_per_session`; values that give no room are skipped and reported.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from enum import Enum
from itertools import chain
from typing import Any

import msgspec

from compartmentd.names import NamespaceName, RoomName
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


class AutoJoins(msgspec.Struct, frozen=True):
    """The rooms to join, in order, and the skipped values."""

    joined: tuple[tuple[RoomName, Decision], ...]
    skipped: tuple[SkippedValue, ...]
    valid_until: float | None
    questions: tuple[Question, ...] = ()
    """The questions to answer before the rooms that are skipped as undecided can be joined."""


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
    candidates, skipped = _find_candidates(ruleset, namespace, who)
    members = dict.fromkeys(kept)
    wanted = {}
    for room, template in candidates.items():
        if room in declined:
            skipped.append(SkippedValue(template.name, SkipReason.DECLINED, room))
        elif room not in members:
            wanted[room] = template

    def decide_room(room: RoomName) -> Decision:
        facts = Facts(memberships=members.keys(), occupancy=occupancy(room), answers=answers)
        return decide(ruleset, who, Join(namespace, room, by_server=True), facts, now)

    dependent = {
        room for room, template in wanted.items() if ruleset.depends_on_membership(namespace, template)
    }
    decisions = _decide_all(list(wanted), dependent, decide_room, members)
    for room, decision in decisions.items():
        if not decision.allowed:
            skipped.append(SkippedValue(wanted[room].name, _explain_skip(decision), room, decision))
    for room, template in wanted.items():
        if room not in decisions:
            skipped.append(SkippedValue(template.name, SkipReason.SURPLUS, room))
    joined = tuple((room, decisions[room]) for room in members if room in decisions)
    outcomes = [decision.outcome for decision in decisions.values()]
    questions = [each.questions for each in outcomes if isinstance(each, Pending)]
    return AutoJoins(
        joined,
        tuple(skipped),
        find_earliest(each.valid_until for each in decisions.values()),
        tuple(dict.fromkeys(chain.from_iterable(questions))),
    )


def _decide_all(
    rooms: list[RoomName],
    dependent: Collection[RoomName],
    decide_room: Callable[[RoomName], Decision],
    members: dict[RoomName, None],
) -> dict[RoomName, Decision]:
    """Decide each room until the session is full, and add the allowed ones to the members.

    Rooms in `dependent`, which require membership in another room, are decided again after a room was joined,
    so that they depend neither on the order of the templates nor on that of the claims.
    """
    decisions: dict[RoomName, Decision] = {}
    while rooms:
        before = len(members)
        for room in rooms:
            decision = decisions[room] = decide_room(room)
            if decision.allowed:
                members[room] = None
            elif decision.code is Code.TOO_MANY:
                return decisions  # nor is there a place for any other: a claim may have thousands of values
        again = len(members) > before
        rooms = [room for room in rooms if again and room in dependent and room not in members]
    return decisions


def _explain_skip(decision: Decision) -> SkipReason:
    if isinstance(decision.outcome, Pending):
        return SkipReason.UNDECIDED
    if decision.code is Code.ROOM_FULL:
        return SkipReason.FULL
    return SkipReason.SURPLUS if decision.code is Code.TOO_MANY else SkipReason.DENIED


def _find_candidates(
    ruleset: Ruleset, namespace: NamespaceName, who: Principal
) -> tuple[dict[RoomName, RoomTemplate], list[SkippedValue]]:
    """Return the rooms that the claims name, each once, and the values that name none."""
    found: dict[RoomName, RoomTemplate] = {}
    skipped = []
    for template in ruleset.list_auto_joined(namespace):
        for values in _read_values(template, who):
            room = None if values is None else RoomName(_build_name(template, values))
            match = None if room is None else ruleset.find(namespace, room)
            # The name must match this template with the same values: a value may contain text that another
            # template, or another parameter of this one, matches.
            if room is None or match is None or match.template is not template or match.values != values:
                skipped.append(SkippedValue(template.name, SkipReason.NOT_MATCHING, room))
            else:
                found[room] = template
    return found, skipped


def _build_name(template: RoomTemplate, values: tuple[str, ...]) -> str:
    return fill(template.pattern, dict(zip((param.name for param in template.params), values, strict=True)))


def _read_values(template: RoomTemplate, who: Principal) -> Iterator[tuple[str, ...] | None]:
    """Yield the parameters' values of each room, or `None` if a claim's value cannot be one of a parameter."""
    claims = dict(template.auto_join.claims) if template.auto_join is not None else {}
    values = [who.claims.get(claims[param.name]) for param in template.params if param.name in claims]
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
