"""The values that the conditions of a refusal saw: the token's claims and scopes, and the room's parameters.

A reason never holds a claim's value, since it is logged. For a developer the value is the answer: `projects` is
`["apollo"]`. So it is found again here, after the decision, where it may be shown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec

from compartmentd.names import NamespaceName
from compartmentd.policy.decision import Decision, Reason, Truth
from compartmentd.policy.model import (
    Bound,
    Claim,
    Contains,
    Equals,
    Matches,
    MemberOf,
    Moment,
    Parameter,
    Rule,
    Scopes,
    Test,
    Text,
)
from compartmentd.policy.principal import Principal
from compartmentd.policy.rules.traverse import walk_rule
from compartmentd.policy.ruleset import Ruleset
from compartmentd.problems import Span

LONGEST = 200
"""Characters of a value that are shown."""

_MOST_SCOPES = 12
"""Scopes and rooms that are shown of a list."""


class Seen(msgspec.Struct, frozen=True):
    """What the condition at `span` saw, in a sentence."""

    span: Span
    text: str


def find_seen_values(
    ruleset: Ruleset,
    who: Principal,
    decision: Decision,
    *,
    namespace: NamespaceName,
    room: str | None,
    event: str | None,
    memberships: Collection[str] = (),
) -> tuple[Seen, ...]:
    """Return what each condition saw that is not true in the reasons of a decision.

    Args:
        ruleset: The policy that decided.
        who: The principal that was judged.
        decision: The decision.
        namespace: The namespace of the request.
        room: The room of the request, as the client wrote it.
        event: The event of the request, as the client wrote it.
        memberships: The rooms that the session is in.
    """
    blamed = {span for reason in decision.reasons for span in _find_blamed(reason)}
    values = _read_parameters(ruleset, namespace, room)
    found = {}
    for rule in _list_conditions(ruleset, namespace, room, event):
        if rule.span in blamed and rule.span not in found:
            text = _describe(rule, who, values, memberships)
            if text:
                found[rule.span] = Seen(rule.span, text)
    return tuple(found.values())


def _find_blamed(reason: Reason) -> Iterator[Span]:
    if reason.truth is not Truth.TRUE and reason.span is not None:
        yield reason.span
    for part in reason.parts:
        yield from _find_blamed(part)


def _list_conditions(
    ruleset: Ruleset, name: NamespaceName, room: str | None, event: str | None
) -> Iterator[Rule]:
    """Yield every condition of the rules that such a request can meet."""
    policy = ruleset.policy
    namespace = policy.namespaces.get(name)
    if namespace is None:
        return
    match = None if room is None else ruleset.find(name, room)
    place = namespace if match is None else match.template
    rules = [namespace.connect, place.publish, *policy.rules.values()]
    if match is not None:
        rules.append(match.template.join)
    declared = None if event is None else place.events.get(event)
    if declared is not None and declared.publish is not None:
        rules.append(declared.publish)
    for rule in rules:
        yield from walk_rule(rule)


def _read_parameters(ruleset: Ruleset, namespace: NamespaceName, room: str | None) -> Mapping[str, str]:
    match = None if room is None else ruleset.find(namespace, room)
    return {} if match is None else dict(zip(match.signature.names, match.values, strict=True))


def _describe(
    rule: Rule, who: Principal, values: Mapping[str, str], memberships: Collection[str]
) -> str | None:
    match rule:
        case Claim(path=path, test=test):
            return _describe_claim([_fill(item, values) for item in path], who.claims, test)
        case Scopes() if who.subject is not None:
            return f"the token's scopes are {_list(who.scopes)}" if who.scopes else "the token has no scopes"
        case Parameter(name=name) if name in values:
            return f"`{name}` is {_show(values[name])}"
        case MemberOf(room=room):
            wanted = _fill(room, values)
            here = f"the session is in {_list(memberships)}" if memberships else "the session is in no room"
            return f"`{wanted}` is needed, and {here}"
    return None


def _describe_claim(path: list[str], claims: Mapping[str, Any], test: Test) -> str | None:
    """Return the value at a path, or the value on the way at which it ends; `None` for an absent claim."""
    value: Any = claims
    for depth, name in enumerate(path):
        if not isinstance(value, Mapping):
            return f"{_show_path(path[:depth])} is {_show(value)}"
        value = value.get(name)
        if value is None:
            return None  # the reason says what is missing
    return f"{_show_path(path)} is {_show(value)}{_advise(test, value)}"


def _advise(test: Test, value: object) -> str:
    """Return which test takes a value of this type, where this one does not."""
    kind = _KINDS.get(type(value))
    match test:
        case Contains(values=wanted) if kind in {"text", "a number", "a boolean"}:
            return (
                f", {kind}: use `{'equals' if len(wanted) == 1 else 'one_of'}`, `contains` looks into a list"
            )
        case Equals(values=wanted) if kind in {"a list", "an object"}:
            return f", {kind}: use `{'contains' if len(wanted) == 1 else 'contains_any'}`"
        case Matches() | Bound() | Moment() if kind in {"a list", "an object"} or (
            kind == "text" and not isinstance(test, Matches)
        ):
            return f", {kind}: this test cannot compare it"
    return ""


_KINDS: Mapping[type, str] = {
    str: "text",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    list: "a list",
    dict: "an object",
}


def _fill(text: Text, values: Mapping[str, str]) -> str:
    return "".join(values.get(part, f"{{{part}}}") if index % 2 else part for index, part in enumerate(text))


def _show_path(path: list[str]) -> str:
    return f"`{path[0]}`" if len(path) == 1 else f"`[{', '.join(path)}]`"


def _show(value: Any) -> str:
    text = msgspec.json.encode(value).decode().replace("`", "'")
    return f"`{text}`" if len(text) <= LONGEST else f"`{text[:LONGEST]}…`"


def _list(names: Collection[str]) -> str:
    shown = ", ".join(f"`{name[:LONGEST]}`" for name in sorted(names)[:_MOST_SCOPES])
    rest = len(names) - _MOST_SCOPES
    return f"{shown} and {rest} more" if rest > 0 else shown
