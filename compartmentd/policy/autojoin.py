"""Auto-join: the rooms that a session's claims put it into.

A template maps each of its parameters to a claim, of which at most one may be a list. Auto-join only ever
adds, in the order of the claim, up to `rooms_per_session`; whatever gives no room is skipped and told.
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


class Why(Enum):
    """Why an auto-join value gave no room."""

    NOT_MATCHING = "not_matching"
    DENIED = "denied"
    FULL = "full"
    SURPLUS = "surplus"
    DECLINED = "declined"
    UNDECIDED = "undecided"


class Skipped(msgspec.Struct, frozen=True):
    """A value that gave no room; `room` is `None` where the value has not the parameter's form."""

    template: str
    why: Why
    room: RoomName | None = None
    decision: Decision | None = None


class Added(msgspec.Struct, frozen=True):
    """The rooms joined, in order, and the values skipped."""

    joined: tuple[tuple[RoomName, Decision], ...]
    skipped: tuple[Skipped, ...]
    valid_until: float | None
    questions: tuple[Question, ...] = ()
    """What has to be answered before the rooms that are skipped as undecided can be joined."""


_NOTHING = Added((), (), None)


def joins(
    rules: Ruleset,
    namespace: NamespaceName,
    who: Principal,
    kept: Collection[RoomName],
    *,
    now: float,
    declined: Collection[str],
    occupancy: Callable[[str], int],
    answers: Answers = NO_ANSWERS,
) -> Added:
    """Find the rooms to join beside those that are `kept`; never one of `declined`."""
    if not rules.list_auto_joined(namespace):
        return _NOTHING  # as in most namespaces: 4 µs less for each session that is judged
    candidates, skipped = _candidates(rules, namespace, who)
    members = dict.fromkeys(kept)
    wanted = {}
    for room, template in candidates.items():
        if room in declined:
            skipped.append(Skipped(template.name, Why.DECLINED, room))
        elif room not in members:
            wanted[room] = template

    def ask(room: RoomName) -> Decision:
        facts = Facts(memberships=members.keys(), occupancy=occupancy(room), answers=answers)
        return decide(rules, who, Join(namespace, room, by_server=True), facts, now)

    behind = {room for room, template in wanted.items() if rules.depends_on_membership(namespace, template)}
    decisions = _ask_all(list(wanted), behind, ask, members)
    for room, decision in decisions.items():
        if not decision.allowed:
            skipped.append(Skipped(wanted[room].name, _why(decision), room, decision))
    joined = tuple((room, decisions[room]) for room in members if room in decisions)
    outcomes = [decision.outcome for decision in decisions.values()]
    questions = [each.questions for each in outcomes if isinstance(each, Pending)]
    return Added(
        joined,
        tuple(skipped),
        find_earliest(each.valid_until for each in decisions.values()),
        tuple(dict.fromkeys(chain.from_iterable(questions))),
    )


def _ask_all(
    rooms: list[RoomName],
    behind: Collection[RoomName],
    ask: Callable[[RoomName], Decision],
    members: dict[RoomName, None],
) -> dict[RoomName, Decision]:
    """Ask for each room, and add those that are allowed to the members.

    What stands `behind` another room is asked again once a room was joined, so that neither the order of the
    templates nor that of the claims keeps it out.
    """
    decisions: dict[RoomName, Decision] = {}
    while rooms:
        before = len(members)
        for room in rooms:
            decisions[room] = ask(room)
            if decisions[room].allowed:
                members[room] = None
        again = len(members) > before
        rooms = [room for room in rooms if again and room in behind and room not in members]
    return decisions


def _why(decision: Decision) -> Why:
    if isinstance(decision.outcome, Pending):
        return Why.UNDECIDED
    if decision.code is Code.ROOM_FULL:
        return Why.FULL
    return Why.SURPLUS if decision.code is Code.TOO_MANY else Why.DENIED


def _candidates(
    rules: Ruleset, namespace: NamespaceName, who: Principal
) -> tuple[dict[RoomName, RoomTemplate], list[Skipped]]:
    """Return the rooms that the claims name, once each, and the values that name none."""
    found: dict[RoomName, RoomTemplate] = {}
    skipped = []
    for template in rules.list_auto_joined(namespace):
        for values in _forms(template, who):
            room = None if values is None else RoomName(_named(template, values))
            match = None if room is None else rules.find(namespace, room)
            # All that was put into the name must be read out of it: a value may hold what another template,
            # or another parameter of this one, takes for its own.
            if room is None or match is None or match.template is not template or match.values != values:
                skipped.append(Skipped(template.name, Why.NOT_MATCHING, room))
            else:
                found[room] = template
    return found, skipped


def _named(template: RoomTemplate, values: tuple[str, ...]) -> str:
    return fill(template.pattern, dict(zip((param.name for param in template.params), values, strict=True)))


def _forms(template: RoomTemplate, who: Principal) -> Iterator[tuple[str, ...] | None]:
    """Yield the parameters' values for each room, or `None` where a claim's value can be no parameter's."""
    claims = dict(template.auto_join.claims) if template.auto_join is not None else {}
    values = [who.claims.get(claims[param.name]) for param in template.params if param.name in claims]
    if len(values) < len(template.params) or None in values:
        return  # a claim that is absent names no room at all
    for each in _spread(values):
        forms = tuple(map(_form, each, template.params))
        known = tuple(form for form in forms if form is not None)
        yield known if len(known) == len(forms) else None


def _spread(values: list[Any]) -> Iterator[list[Any]]:
    """Yield the values once for each item of the one that is a list: two lists name nothing."""
    lists = [index for index, value in enumerate(values) if isinstance(value, list)]
    if len(lists) != 1:
        yield values
        return
    (index,) = lists
    for item in values[index]:
        yield [*values[:index], item, *values[index + 1 :]]


def _form(value: Any, param: Param) -> str | None:
    """Return the text of a claim's value in a room name, or `None` where it can have none.

    A number stands only for an integer parameter: elsewhere 42 and "42" are two values.
    """
    if isinstance(value, str):
        return value
    if not isinstance(param, IntegerParam) or get_json_type(value) is not JsonType.NUMBER:
        return None
    # The bound comes first: spelling a number of thousands of digits is an error of its own.
    return str(int(value)) if abs(value) <= LARGEST and value == int(value) else None


def would_auto_join(template: RoomTemplate, who: Principal, room: RoomName) -> bool:
    """Tell whether the claims name this room for auto-join; so leaving it is a wish to be remembered."""
    return template.auto_join is not None and any(
        values is not None and _named(template, values) == room for values in _forms(template, who)
    )
