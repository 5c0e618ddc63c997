"""The rooms that the holder of a token reaches: those that it is auto-joined to, and those that it may join. Pure.

`explain-token` shows them. Which rooms exist is unknown without a server: of a template with parameters the rooms
that the token's own claims name are tried, or an example.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice, product
from typing import Any

import msgspec

from compartmentd.analysis.examples import find_sources, suggest_rooms
from compartmentd.names import RoomName
from compartmentd.policy.autojoin import AutoJoins, SkippedValue, SkipReason, find_auto_joins
from compartmentd.policy.decide import decide
from compartmentd.policy.decision import Decision, Facts, Join
from compartmentd.policy.model import IntegerParam, Namespace, OneOfParam, Param, RoomTemplate
from compartmentd.policy.principal import Principal
from compartmentd.policy.rules.placeholders import fill
from compartmentd.policy.ruleset import Ruleset
from compartmentd.policy.seen import Seen, find_seen_values
from compartmentd.problems import Span
from compartmentd.util.humanize import format_count

ROOMS = 3
"""Rooms that are tried of one template."""

TEMPLATES = 200
"""Templates of a namespace that are tried."""

_LONGEST = 80


class RoomReach(msgspec.Struct, frozen=True):
    """A room, whether it may be joined, and what the conditions of a refusal saw.

    `example` is set if no claim names the room, and nobody asked for it.
    """

    room: RoomName
    template: str
    decision: Decision
    seen: tuple[Seen, ...] = ()
    example: bool = False


class AutoJoinReach(msgspec.Struct, frozen=True):
    """A template with `auto_join`: the rooms that are joined, and why other values give none."""

    template: str
    span: Span
    joined: tuple[RoomName, ...]
    skipped: tuple[str, ...]


class NamespaceReach(msgspec.Struct, frozen=True):
    """What is reached in a namespace."""

    auto_joins: tuple[AutoJoinReach, ...]
    rooms: tuple[RoomReach, ...]


def find_reach(
    rules: Ruleset, namespace: Namespace, who: Principal, *, now: float, asked: Collection[str] = ()
) -> NamespaceReach:
    """Return what a principal reaches in a namespace that it may connect to.

    Args:
        rules: The policy.
        namespace: The namespace.
        who: The principal.
        now: Wall time in seconds.
        asked: Rooms to try besides, as far as the namespace has a template for them.
    """
    joins = find_auto_joins(rules, namespace.name, who, (), now=now, declined=(), occupancy=lambda _room: 0)
    members = dict(joins.joined)
    rooms = []
    tried = {**dict(_list_rooms(rules, namespace, who)), **dict.fromkeys(map(RoomName, asked), False)}
    for room, example in tried.items():
        match = rules.find(namespace.name, room)
        if match is None or room in members:
            continue
        facts = Facts(memberships=members.keys())
        decision = decide(rules, who, Join(namespace.name, room), facts, now)
        seen = find_seen_values(
            rules, who, decision, namespace=namespace.name, room=room, event=None, memberships=members
        )
        rooms.append(RoomReach(room, match.template.name, decision, seen, example))
    rows = tuple(
        _describe_auto_join(template, joins, rules, namespace)
        for template in namespace.rooms
        if template.auto_join
    )
    return NamespaceReach(rows, tuple(rooms))


def _list_rooms(rules: Ruleset, namespace: Namespace, who: Principal) -> Iterator[tuple[RoomName, bool]]:
    """Yield rooms to try, each with whether it is only an example."""
    examples = suggest_rooms(rules, namespace)
    for template in namespace.rooms[:TEMPLATES]:
        named = list(islice(_name_rooms(rules, namespace, template, who), ROOMS))
        for room in named or examples.get(template.name, ())[:1]:
            yield RoomName(room), not named


def _name_rooms(
    rules: Ruleset, namespace: Namespace, template: RoomTemplate, who: Principal
) -> Iterator[str]:
    """Yield the rooms of a template that the principal's claims name."""
    sources = find_sources(template, rules.policy.rules)
    values = [list(_read_texts(who.claims, sources.get(param.name, ()))) for param in template.params]
    for row in product(*values):
        room = fill(template.pattern, dict(zip((param.name for param in template.params), row, strict=True)))
        match = rules.find(namespace.name, room)
        if match is not None and match.template is template:
            yield room


def _read_texts(claims: Mapping[str, Any], paths: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for path in paths:
        value: Any = claims
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        items = value if isinstance(value, list | Mapping) else [value]
        for item in islice(items, ROOMS):
            if isinstance(item, str | int) and not isinstance(item, bool):
                yield str(item)


# --- auto-join ------------------------------------------------------------------------------------------------


def _describe_auto_join(
    template: RoomTemplate, joins: AutoJoins, rules: Ruleset, namespace: Namespace
) -> AutoJoinReach:
    joined = []
    for room, _ in joins.joined:
        match = rules.find(namespace.name, room)
        if match is not None and match.template is template:
            joined.append(room)
    skipped = [_describe_skip(each, template) for each in joins.skipped if each.template == template.name]
    skipped += [
        f"{format_count(each.count, 'more value')}: the session is in as many rooms as `rooms_per_session` allows"
        for each in joins.surplus
        if each.template == template.name
    ]
    if not joined and not skipped:
        skipped = ["the token names no value for it"]
    return AutoJoinReach(template.name, template.span, tuple(joined), tuple(skipped))


def _describe_skip(skipped: SkippedValue, template: RoomTemplate) -> str:
    forms = "; ".join(f"`{param.name}` is {describe_param(param)}" for param in template.params)
    if skipped.room is None:
        return f"a value is of a type that no parameter takes: {forms}"
    room = f"`{_bound(skipped.room)}`"
    match skipped.why:
        case SkipReason.NOT_MATCHING:
            return f"{room}: the value does not fit the parameter: {forms}"
        case SkipReason.UNDECIDED:
            return f"{room}: it can be decided only by a running server"
        case _:
            code = skipped.decision.code if skipped.decision is not None else None
            return f"{room}: {skipped.why.value if code is None else code.value}"


def _bound(text: str) -> str:
    printable = "".join(letter if letter.isprintable() and letter != "`" else "�" for letter in text)
    return printable if len(printable) <= _LONGEST else f"{printable[:_LONGEST]}…"


def describe_param(param: Param) -> str:
    """Return the values that a parameter takes, as the configuration writes a pattern."""
    if isinstance(param, IntegerParam):
        return f"an integer from {param.low}" + ("" if param.high is None else f" to {param.high}")
    if isinstance(param, OneOfParam):
        return f"one of {', '.join(f'`{value}`' for value in param.values[:5])}"
    items = [f"{_write_class(item.ranges)}{_write_count(item.least, item.most)}" for item in param.items]
    return f"of the pattern `{''.join(items)}`"


def _write_class(ranges: tuple[tuple[int, int], ...]) -> str:
    # `-` stands last, where it means itself.
    parts = sorted(ranges, key=lambda pair: pair == (0x2D, 0x2D))
    text = "".join(_write(low) if low == high else f"{_write(low)}-{_write(high)}" for low, high in parts)
    return text if len(ranges) == 1 and ranges[0][0] == ranges[0][1] and text.isalnum() else f"[{text}]"


def _write(point: int) -> str:
    letter = chr(point)
    return letter if letter.isprintable() and letter != "`" else f"U+{point:04X}"


def _write_count(least: int, most: int | None) -> str:
    usual = {(1, 1): "", (0, 1): "?", (0, None): "*", (1, None): "+"}
    if (least, most) in usual:
        return usual[least, most]
    return f"{{{least}}}" if least == most else f"{{{least},{'' if most is None else most}}}"
