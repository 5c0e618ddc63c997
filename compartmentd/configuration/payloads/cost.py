"""What one evaluation of a JSON Schema costs at most, in nanoseconds, for each kind of value.

`configuration.payloads.budget` multiplies these figures with the values of a client's data before anything is
validated, so that no data can hold the server. The figures are upper bounds for `jsonschema-rs`, measured on the
machine of `tests/bench` and rounded up; they follow how that library evaluates:

- A keyword that applies subschemas to the same value (`anyOf`, `$ref`, ...) evaluates each of them, once.
- `unevaluatedProperties` and `unevaluatedItems` evaluate what stands beside them a second time, and at every
  depth of such keywords again.
- Of a reference back to a schema that is being entered, the result for an array or object is remembered, but only
  where it took `REMEMBERED` evaluations: less may be evaluated again each time. Nothing else is remembered.
- Numbers are cheap where they are 64-bit integers, or fractions of ordinary size; exact arithmetic makes others
  up to a thousand times dearer. `uniqueItems` compares dear numbers each with each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from compartmentd.configuration.payloads import parts
from compartmentd.configuration.payloads.choices import Choice, are_rewritable, find_choice
from compartmentd.configuration.payloads.keywords import KEYWORD, LOOKUP, OWN
from compartmentd.configuration.payloads.load import Alternatives, Child, Evaluated, compute_scalar_load
from compartmentd.configuration.payloads.parts import Part, Pointer
from compartmentd.configuration.payloads.patterns import estimate_character_cost

_EVALUATION = 8.0
"""Entering a schema, in nanoseconds."""
_CONDITION = 20.0
"""Seeing whether a branch of a choice is the one."""
_MEMBER = 25.0
"""Looking at the name of a member; `unevaluatedProperties` also keeps it in a set."""


class InPlaceCycleError(Exception):
    """A schema applies itself to the same value, so that it would have to be evaluated without end."""

    def __init__(self, pointer: Pointer) -> None:
        super().__init__(pointer)
        self.pointer = pointer


def evaluate(root: Part) -> tuple[Evaluated, int]:
    """Return what evaluating a schema costs, and how many references lead back to a schema that is being entered.

    The schema must have the form of one, and its patterns must be those of RE2.

    Raises:
        InPlaceCycleError: the schema applies itself to the same value.
        UnresolvedError: a reference leads to nothing.
    """
    compiler = _Compiler(root)
    return compiler.compile(root), compiler.references_back


class _Compiler:
    """Compiles parts in the order in which the library does, so that the same references are remembered."""

    def __init__(self, root: Part) -> None:
        self.by_reference: dict[tuple[int, str], Evaluated] = {}
        self.in_place: list[Evaluated] = []
        self.dynamic: dict[str, list[Part]] = {}
        self.references_back = 0
        self.alike: dict[object, Evaluated] = {}
        self.rewritten = are_rewritable(root)
        for part in parts.walk(root):
            anchor = part.schema.get("$dynamicAnchor") if isinstance(part.schema, Mapping) else None
            if isinstance(anchor, str):
                self.dynamic.setdefault(anchor, []).append(part)

    def compile(self, part: Part) -> Evaluated:
        """Return a part as it is evaluated, with everything below it; the same for parts that cost the same."""
        made = self._into(Evaluated(), part)
        loads = made.load, made.collect
        if any(load.again or load.collected or load.choices for load in loads):
            return made
        key = tuple((load.figures(), frozenset(load.children.items())) for load in loads)
        return self.alike.setdefault(key, made)

    def _into(self, made: Evaluated, part: Part) -> Evaluated:
        self.in_place.append(made)
        made.load.value = _EVALUATION
        if isinstance(part.schema, Mapping):
            choices = {
                keyword: choice
                for keyword in ("anyOf", "oneOf")
                if self.rewritten
                and keyword in part.schema
                and (choice := find_choice(part, keyword)) is not None
            }
            for keyword in sorted({*part.schema, *(["allOf"] if choices else [])} - choices.keys()):
                if keyword in part.schema:
                    self._keyword(made, part, keyword)
                if keyword == "allOf":
                    for choice in choices.values():
                        self._choose(made, choice)
        self.in_place.pop()
        made.in_progress = False
        return made

    def _keyword(self, made: Evaluated, part: Part, keyword: str) -> None:
        assert isinstance(part.schema, Mapping)  # noqa: S101 - only an object has keywords
        value, load = part.schema[keyword], made.load
        if keyword in OWN:
            OWN[keyword](load, value)
        elif keyword in parts.REFERENCES:
            for target in self._targets(part, keyword):
                self._refer(made, target, (*part.pointer, keyword), value)
        elif keyword in parts.IN_PLACE_LISTS:
            for index in range(len(value)):
                self._apply(made, self.compile(parts.find_child(part, keyword, index)))
        elif keyword in parts.IN_PLACE_MAPPINGS:
            for name in sorted(value):
                load.value += LOOKUP
                self._apply(made, self.compile(parts.find_child(part, keyword, name)))
        elif keyword in parts.IN_PLACE:
            self._apply(made, self.compile(parts.find_child(part, keyword)))
        else:
            self._children(made, part, keyword, value)

    def _apply(self, made: Evaluated, applied: Evaluated) -> None:
        made.load.add(applied.load)
        # To know what it looked at, the library asks first whether it holds.
        made.collect.add(applied.load)
        made.collect.add(applied.collect)

    def _choose(self, made: Evaluated, choice: Choice) -> None:
        by_value: dict[str, Evaluated] = {}
        by_type: dict[str, Evaluated] = {}
        for branch in choice.branches:
            applied = self.compile(branch.part)
            by_type.update(dict.fromkeys(branch.types, applied))
            by_value.update(dict.fromkeys(branch.values or (), applied))
        made.load.value += _CONDITION * len(choice.branches)
        made.load.choices[Alternatives(choice.name, by_value, by_type, collects=False)] += 1
        made.collect.value += _CONDITION * len(choice.branches)
        made.collect.choices[Alternatives(choice.name, by_value, by_type, collects=True)] += 1

    def _targets(self, part: Part, keyword: str) -> Iterator[Part]:
        first = parts.resolve_target(part, keyword)
        yield first
        if keyword == "$dynamicRef" and isinstance(first.schema, Mapping):
            anchored = self.dynamic.get(str(first.schema.get("$dynamicAnchor")), ())
            yield from (other for other in anchored if other.schema is not first.schema)

    def _refer(self, made: Evaluated, target: Part, pointer: Pointer, reference: str) -> None:
        key = id(target.schema), reference
        known = self.by_reference.get(key)
        if known is not None and known.in_progress:
            if known in self.in_place:
                raise InPlaceCycleError(pointer)
            self.references_back += 1
            made.load.again[known] += 1
            made.collect.again[known] += 1
            made.collect.collected[known] += 1
            return
        if known is None:
            known = self.by_reference[key] = Evaluated()
            self._into(known, target)
        self._apply(made, known)

    def _child(self, part: Part, *steps: str | int) -> Evaluated:
        """Compile what is applied to a child: no schema that is being entered applies to the same value there."""
        outside, self.in_place = self.in_place, []
        made = self.compile(parts.find_child(part, *steps))
        self.in_place = outside
        return made

    def _children(self, made: Evaluated, part: Part, keyword: str, value: Any) -> None:
        load = made.load
        if keyword == "properties":
            few = min(len(value), 64)
            load.value += KEYWORD + LOOKUP * few
            load.member += _MEMBER + 4 * few
            made.collect.member += _MEMBER
            load.children.update(Child(self._child(part, keyword, name), name=name) for name in sorted(value))
        elif keyword == "patternProperties":
            self._pattern_properties(made, part, value)
        elif keyword in ("additionalProperties", "unevaluatedProperties"):
            self._other_properties(made, part, keyword)
        elif keyword == "propertyNames":
            names = compute_scalar_load(self._child(part, keyword))
            load.member += _MEMBER + names.value
            load.name_character += names.character
        elif keyword == "prefixItems":
            load.value += KEYWORD
            load.children.update(
                Child(self._child(part, keyword, index), items=True, at=index) for index in range(len(value))
            )
        elif keyword in ("items", "contains", "unevaluatedItems"):
            self._items(made, part, keyword)

    def _pattern_properties(self, made: Evaluated, part: Part, value: Mapping[str, Any]) -> None:
        each = sum(estimate_character_cost(pattern) for pattern in value)
        for load in (made.load, made.collect):
            load.member += _MEMBER * (1 + len(value))
            load.name_character += each
        made.load.children.update(
            Child(self._child(part, "patternProperties", pattern)) for pattern in sorted(value)
        )

    def _other_properties(self, made: Evaluated, part: Part, keyword: str) -> None:
        assert isinstance(part.schema, Mapping)  # noqa: S101 - only an object has keywords
        declared = part.schema.get("properties", {})
        patterns = part.schema.get("patternProperties", {})
        child = Child(self._child(part, keyword), excluded=frozenset(declared))
        made.load.value += KEYWORD
        made.load.children[child] += 1
        if keyword == "additionalProperties":
            made.load.member += _MEMBER * (1 + len(patterns))
            made.load.name_character += sum(estimate_character_cost(pattern) for pattern in patterns)
            made.collect.member += _MEMBER
            return
        made.load.member += 2 * _MEMBER
        made.load.add(made.collect)
        made.load.children[child] += 1
        made.collect.member += _MEMBER
        made.collect.children[child] += 1

    def _items(self, made: Evaluated, part: Part, keyword: str) -> None:
        assert isinstance(part.schema, Mapping)  # noqa: S101 - only an object has keywords
        first = len(part.schema.get("prefixItems", ())) if keyword == "items" else 0
        child = Child(self._child(part, keyword), items=True, first=first)
        made.load.value += KEYWORD
        made.load.item += KEYWORD
        made.load.children[child] += 1
        if keyword == "unevaluatedItems":
            made.load.item += _MEMBER
            made.load.add(made.collect)
            made.load.children[child] += 1
        if keyword != "items":
            made.collect.children[child] += 1
        made.collect.item += KEYWORD
