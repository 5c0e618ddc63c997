"""Recognizes a choice among subschemas that exclude each other by sight, and rewrites it so that one is evaluated.

A rich text is usually declared as `oneOf` kinds of nodes, each with a `type` of its own, which hold such nodes
again. Evaluating all kinds for every node multiplies the work at each level of the data. Where each branch of a
`oneOf` or `anyOf` demands another type of JSON value, or an object in which one property has other values, looking
at these decides which branch alone can hold; `if` and `then` say the same, and evaluate it alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from compartmentd.configuration.payloads import parts
from compartmentd.configuration.payloads.parts import Part, UnresolvedError

_MOST_STEPS = 16
"""References and `allOf` that are followed to find what a branch demands."""


class Branch(NamedTuple):
    """A branch of a choice: the types of values that it can hold for, and the values of the property that decides.

    `values` is `None` for a branch that is told from the others by its types alone.
    """

    part: Part
    types: frozenset[str]
    values: frozenset[str] | None


class Choice(NamedTuple):
    """Branches of which at most one can hold; `name` is the property that decides among those for objects."""

    name: str | None
    branches: tuple[Branch, ...]


class _Demands(NamedTuple):
    types: frozenset[str] | None
    required: frozenset[str]
    values: Mapping[str, frozenset[str]]


def find_choice(part: Part, keyword: str) -> Choice | None:
    """Return what tells the branches of a `oneOf` or `anyOf` apart, or `None` where nothing simple does."""
    assert isinstance(part.schema, Mapping)  # noqa: S101 - only an object has keywords
    members = [parts.find_child(part, keyword, index) for index in range(len(part.schema[keyword]))]
    demands = [_collect_demands(member, _MOST_STEPS) for member in members]
    if len(members) < 2 or not all(demand.types for demand in demands):
        return None
    types = [demand.types or frozenset() for demand in demands]
    objects = [index for index, each in enumerate(types) if each == {"object"}]
    others = [each for index, each in enumerate(types) if index not in objects]
    if not _are_disjoint([*others, frozenset({"object"})]):
        return None
    name = None if len(objects) < 2 else _find_deciding_property([demands[index] for index in objects])
    if len(objects) > 1 and name is None:
        return None
    values = [
        demand.values[name] if name is not None and index in objects else None
        for index, demand in enumerate(demands)
    ]
    return Choice(name, tuple(map(Branch, members, types, values)))


def _find_deciding_property(demands: Sequence[_Demands]) -> str | None:
    names = set.intersection(*({*demand.required} & demand.values.keys() for demand in demands))
    return next((n for n in sorted(names) if _are_disjoint(demand.values[n] for demand in demands)), None)


def _are_disjoint(sets: Iterable[frozenset[str]]) -> bool:
    seen: set[str] = set()
    for each in sets:
        if seen & each:
            return False
        seen |= each
    return True


def _collect_demands(part: Part, steps: int) -> _Demands:
    """Return what a schema surely demands, of itself and of what it applies to the same value in any case."""
    if not isinstance(part.schema, Mapping) or steps == 0:
        return _Demands(None, frozenset(), {})
    schema = part.schema
    found = _Demands(
        _list_types(schema.get("type")), frozenset(schema.get("required", ())), _list_texts(schema)
    )
    try:
        inside = [parts.resolve_target(part, "$ref")] if "$ref" in schema else []
    except UnresolvedError:
        inside = []
    inside += [parts.find_child(part, "allOf", index) for index in range(len(schema.get("allOf", ())))]
    for other in inside:
        more = _collect_demands(other, steps - 1)
        types = _intersect(found.types, more.types)
        found = _Demands(types, found.required | more.required, {**more.values, **found.values})
    return found


def _intersect(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return one if other is None else other
    return one & other


def _list_types(value: Any) -> frozenset[str] | None:
    if value is None:
        return None
    names = frozenset([value] if isinstance(value, str) else value)
    return frozenset("number" if name == "integer" else name for name in names)


def _list_texts(schema: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Return the properties that can have certain texts only."""
    found: dict[str, frozenset[str]] = {}
    for name, part in schema.get("properties", {}).items():
        values = () if not isinstance(part, Mapping) else part.get("enum", [part.get("const")])
        if values and all(isinstance(value, str) for value in values):
            found[name] = frozenset(values)
    return found


# --- rewriting ----------------------------------------------------------------------------------------------


def rewrite(part: Part, *, choices: bool) -> Any:
    """Return a schema that accepts the same, with its keywords in the order in which `payloads.cost` reads them.

    Args:
        part: the schema.
        choices: whether choices are written as `if` and `then` (see `are_rewritable`).
    """
    schema = part.schema
    if not isinstance(schema, Mapping):
        return schema
    made: dict[str, Any] = {}
    chosen: list[Any] = []
    for keyword in sorted(schema):
        value = schema[keyword]
        choice = find_choice(part, keyword) if choices and keyword in ("anyOf", "oneOf") else None
        if choice is not None:
            chosen.append(_build_conditions(choice))
        elif keyword in parts.SINGLE:
            made[keyword] = rewrite(parts.find_child(part, keyword), choices=choices)
        elif keyword in parts.LISTS:
            made[keyword] = [
                rewrite(parts.find_child(part, keyword, index), choices=choices)
                for index in range(len(value))
            ]
        elif keyword in parts.MAPPINGS:
            made[keyword] = {
                name: rewrite(parts.find_child(part, keyword, name), choices=choices)
                for name in sorted(value)
            }
        else:
            made[keyword] = value
    if chosen:
        made["allOf"] = [*made.get("allOf", ()), *chosen]
    return {keyword: made[keyword] for keyword in sorted(made)}


def _build_conditions(choice: Choice) -> Any:
    made: Any = False
    for branch in reversed(choice.branches):
        condition: dict[str, Any] = {"type": sorted(branch.types)}
        if branch.values is not None:
            condition["properties"] = {choice.name: {"enum": sorted(branch.values)}}
            condition["required"] = [choice.name]
        made = {"else": made, "if": condition, "then": rewrite(branch.part, choices=True)}
    return made


def are_rewritable(part: Part) -> bool:
    """Return whether no reference leads into a choice, whose branches stand elsewhere after it is rewritten."""
    return not any(
        "/anyOf/" in reference or "/oneOf/" in reference
        for inside in parts.walk(part)
        if isinstance(inside.schema, Mapping)
        for reference in (str(inside.schema.get(keyword, "")) for keyword in parts.REFERENCES)
    )
