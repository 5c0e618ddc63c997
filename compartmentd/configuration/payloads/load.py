"""What an evaluation of a schema costs, and what it applies to the children of a value.

`payloads.cost` makes these from a schema; `payloads.budget` follows data through them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec


class Child(NamedTuple):
    """Which children a schema is applied to.

    Members: the one called `name`, or, where that is `None`, all but `excluded`. Items: the one at `at`, or,
    where that is `None`, all from `first` on.
    """

    schema: Evaluated
    items: bool = False
    name: str | None = None
    excluded: frozenset[str] = frozenset()
    at: int | None = None
    first: int = 0


class Load(msgspec.Struct, eq=False):
    """What an evaluation costs, and what it applies to children, how many times.

    The figures are nanoseconds: for each evaluation (`value`), and in addition where the value is a fraction
    (`number`) or a number that is dear (`extreme`), for each `member` and `item`, each `character` of a text and
    of the names of members. `unique` counts how many times the items of a list must differ.

    `again` are schemas whose result is remembered, applied to the same value; `collected` are schemas of whose
    evaluation an `unevaluated...` keyword must know more than the result, which is not remembered.
    """

    value: float = 0
    number: float = 0
    extreme: float = 0
    member: float = 0
    item: float = 0
    character: float = 0
    name_character: float = 0
    unique: float = 0
    children: Counter[Child] = msgspec.field(default_factory=Counter)
    choices: Counter[Alternatives] = msgspec.field(default_factory=Counter)
    again: Counter[Evaluated] = msgspec.field(default_factory=Counter)
    collected: Counter[Evaluated] = msgspec.field(default_factory=Counter)

    def add(self, other: Load, times: int = 1) -> None:
        """Add evaluations of the same value."""
        self.add_figures(other, times)
        for child, count in other.children.items():
            self.children[child] += times * count
        for choice, count in other.choices.items():
            self.choices[choice] += times * count
        for schema, count in other.again.items():
            self.again[schema] += times * count
        for schema, count in other.collected.items():
            self.collected[schema] += times * count

    def figures(self) -> tuple[float, ...]:
        """Return the nanoseconds alone."""
        return tuple(getattr(self, name) for name in _FIGURES)

    def add_figures(self, other: Load, times: int = 1) -> None:
        """Add the nanoseconds alone."""
        for name in _FIGURES:
            setattr(self, name, getattr(self, name) + times * getattr(other, name))


_FIGURES = ("value", "number", "extreme", "member", "item", "character", "name_character", "unique")


class Alternatives(NamedTuple):
    """Schemas of which at most one is evaluated, by the value of the property `name` or by the value's type.

    `collects` says that it is what an `unevaluated...` keyword must know of it.
    """

    name: str | None
    by_value: Mapping[str, Evaluated]
    by_type: Mapping[str, Evaluated]
    collects: bool

    def __hash__(self) -> int:
        return hash((id(self.by_value), self.collects))

    def pick(self, value: Any) -> Load | None:
        """Return what is evaluated for an array or object, if anything is."""
        if not isinstance(value, dict):
            chosen = self.by_type.get("array")
        elif self.name is None:
            chosen = self.by_type.get("object")
        else:
            decides = value.get(self.name)
            chosen = self.by_value.get(decides) if isinstance(decides, str) else None
        return None if chosen is None else chosen.collect if self.collects else chosen.load


class Evaluated:
    """A schema as the library compiles it: its own keywords, and what it applies to the same value.

    `load` is one evaluation with all that it applies in place; `collect` is what an `unevaluated...` keyword that
    stands beside it costs in addition.
    """

    __slots__ = ("collect", "in_progress", "load")

    def __init__(self) -> None:
        self.in_progress = True
        self.load = Load()
        self.collect = Load()


def compute_scalar_load(schema: Evaluated) -> Load:
    """Return the load of a text, number, boolean or null: nothing is remembered for them."""
    load = Load()
    waiting = [(schema.load, 1)]
    while waiting:
        more, times = waiting.pop()
        load.add_figures(more, times)
        waiting += ((other.load, times * count) for other, count in more.again.items())
        waiting += ((other.collect, times * count) for other, count in more.collected.items())
        for choice, count in more.choices.items():
            for kind, other in choice.by_type.items():
                if kind not in ("array", "object"):
                    waiting.append((other.collect if choice.collects else other.load, times * count))
    return load


def compute_container_load(schemas: Mapping[Evaluated, int], value: Any, most: int) -> Load:
    """Return the load of an array or object to which these schemas are applied so many times.

    Args:
        schemas: what is applied, how many times.
        value: the array or object; of its members only those that decide choices are looked at.
        most: how many times a remembered schema is evaluated at most.
    """
    load, remembered = Load(), Counter[Evaluated]()
    waiting: list[tuple[Load, int]] = [(schema.load, times) for schema, times in schemas.items()]
    while waiting:
        more, times = waiting.pop()
        load.add_figures(more, times)
        for child, count in more.children.items():
            load.children[child] += times * count
        for choice, count in more.choices.items():
            picked = choice.pick(value)
            if picked is not None:
                waiting.append((picked, times * count))
        waiting += ((other.collect, times * count) for other, count in more.collected.items())
        for other, count in more.again.items():
            allowed = min(times * count, most - remembered[other])
            if allowed > 0:
                remembered[other] += allowed
                waiting.append((other.load, allowed))
    return load


def find_deciding_texts(schemas: Iterable[Evaluated]) -> dict[str, frozenset[str]]:
    """Return the properties that may decide a choice for a value to which these are applied, with their values."""
    found: dict[str, frozenset[str]] = {}
    seen: set[int] = set()
    waiting = [load for schema in schemas for load in (schema.load, schema.collect)]
    while waiting:
        load = waiting.pop()
        if id(load) in seen:
            continue
        seen.add(id(load))
        for choice in load.choices:
            if choice.name is not None:
                found[choice.name] = found.get(choice.name, frozenset()) | choice.by_value.keys()
            for other in (*choice.by_type.values(), *choice.by_value.values()):
                waiting += (other.load, other.collect)
        for other in (*load.again, *load.collected):
            waiting += (other.load, other.collect)
    return found
