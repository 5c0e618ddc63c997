"""Bounds the time that validating a client's data may take, before it is validated.

`Budget` follows the data through the schema: a state is what is applied to a value, and how many times; the name or
the index of a child leads to the child's state. Each value adds what its state costs. All states are made with the
budget, so a value takes a dictionary's look-up.

Most data needs none of it: for each schema the most that a byte of data can cost is known, and what is shorter
than the budget allows at that price is within it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, product, repeat
from typing import Any, NamedTuple

from compartmentd.configuration.payloads.keywords import is_simple_number
from compartmentd.configuration.payloads.load import (
    Child,
    Evaluated,
    Load,
    compute_container_load,
    compute_scalar_load,
    find_deciding_texts,
)

NANOSECONDS = 2_500_000.0
"""What validating a message may take; with reading it, a message of 64 KiB takes 5 ms at most."""

BYTES = 64 << 10
"""Data beyond this size has more time, in proportion: who allows larger messages pays for reading them, too."""

REMEMBERED = 64
"""Evaluations after which a result is surely remembered: the library does it after about 40."""

UNIQUE_VALUE, UNIQUE_NUMBER = 150.0, 25_000.0
"""A value anywhere in a list of unique items, and a fraction: up to 15 items are compared each with each."""

_STEP, _CONTAINER = 120.0, 650.0
"""Following one value in this module, in nanoseconds, and an array or object in addition."""

_MOST_STATES = 1_000

_DIGITS = 300.0
"""Digits for which the figures of numbers that are not simple are meant; they have at most 4,300."""

_BITS = 1000.0
"""The same in bits."""

_UNUSUAL_NUMBER = re.compile(rb"[0-9][eE][-+]?[0-9]|[0-9]{16}|0\.000000")
"""What numbers contain that are not simple; so do some texts."""

MAX_DEPTH = 32
"""How deep a message may be nested (`protocol.jsontext` refuses others)."""


class IntricateError(Exception):
    """A schema leads to more states than can be looked through."""


class _State:
    """What is applied to a value, and what each kind of value costs in it.

    `lists` and `objects` are what arrays and objects cost, where it is known and no property decides it.
    """

    __slots__ = (
        *("_budget", "_counts", "_decide", "_known", "character", "extreme", "lists", "number", "objects"),
        "value",
    )

    def __init__(self, budget: Budget, counts: Mapping[Evaluated, int]) -> None:
        self._budget = budget
        self._counts = counts
        load = Load()
        for schema, times in counts.items():
            load.add_figures(compute_scalar_load(schema), times)
        self.value, self.number, self.extreme = load.value, load.number, load.extreme
        self.character = load.character
        self._decide = find_deciding_texts(counts)
        self._known: dict[Any, _Container] = {}
        self.lists: _Container | None = None
        self.objects: _Container | None = None

    def container(self, value: list[Any] | dict[str, Any]) -> _Container:
        """Return what an array or object costs, and the states of its children."""
        key: Any = type(value)
        if isinstance(value, dict) and self._decide:
            key = tuple(
                text if isinstance(text := value.get(name), str) and text in texts else None
                for name, texts in self._decide.items()
            )
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = _Container(
                self._budget, compute_container_load(self._counts, value, self._budget.most)
            )
            if isinstance(value, list):
                self.lists = known
            elif not self._decide:
                self.objects = known
        return known

    def containers(self) -> Iterator[_Container]:
        """Yield what each kind of array and object costs."""
        yield self.container([])
        for texts in product(*((None, *sorted(texts)) for texts in self._decide.values())):
            yield self.container(dict(zip(self._decide, texts, strict=True)))


class _Container:
    """What an array or object costs, and its children's states: members by name, items by index."""

    __slots__ = ("items", "load", "members", "other")

    def __init__(self, budget: Budget, load: Load) -> None:
        budget.count()
        self.load = load
        named: dict[str, Counter[Evaluated]] = {}
        others: list[tuple[Child, int]] = []
        indexed: dict[int, Counter[Evaluated]] = {}
        rest: list[tuple[Child, int]] = []
        for child, times in load.children.items():
            if child.name is not None:
                named.setdefault(child.name, Counter())[child.schema] += times
            elif child.at is not None:
                indexed.setdefault(child.at, Counter())[child.schema] += times
            else:
                (rest if child.items else others).append((child, times))
        for name, counts in named.items():
            for child, times in others:
                if name not in child.excluded:
                    counts[child.schema] += times
        self.members = {name: budget.get_state(counts) for name, counts in named.items()}
        counts = Counter()
        for child, times in others:
            counts[child.schema] += times
        self.other = budget.get_state(counts)
        last = max([*indexed, *(child.first - 1 for child, _ in rest)], default=-1)
        self.items: list[_State] = []
        for index in range(last + 2):
            counts = indexed.get(index, Counter())
            for child, times in rest:
                if index >= child.first:
                    counts[child.schema] += times
            self.items.append(budget.get_state(counts))


class Price(NamedTuple):
    """The most that the parts of data can cost, in nanoseconds: an array or object, another value, a character."""

    container: float
    scalar: float
    character: float

    @property
    def value(self) -> float:
        """The most that any value can cost."""
        return max(self.container, self.scalar)


class Budget:
    """The budget of one schema.

    `worst` is the price whatever the data holds, `usual` that without numbers of unusual size, and `plain` also
    without fractions and without comparing unique items.

    Raises:
        IntricateError: the schema is too intricate to say it.
    """

    def __init__(self, schema: Evaluated, references_back: int) -> None:
        self.most = REMEMBERED * max(1, references_back)
        self._states: dict[frozenset[tuple[Evaluated, int]], _State] = {}
        self._count = 0
        self._root = self.get_state(Counter([schema]))
        self.worst, self.usual, self.plain = self._find_prices()

    def count(self) -> None:
        """Count a state or container that is made.

        Raises:
            IntricateError: there are too many.
        """
        self._count += 1
        if self._count > _MOST_STATES:
            raise IntricateError

    def get_state(self, counts: Mapping[Evaluated, int]) -> _State:
        """Return the state in which these schemas are applied so many times."""
        key = frozenset((schema, min(times, self.most)) for schema, times in counts.items())
        known = self._states.get(key)
        if known is None:
            self.count()
            known = self._states[key] = _State(self, dict(key))
        return known

    def _find_prices(self) -> tuple[Price, Price, Price]:
        seen: set[_State] = set()
        waiting = [self._root]
        worst = usual = plain = container = child = character = digit = unique = 0.0
        while waiting:
            state = waiting.pop()
            if state in seen:
                continue
            seen.add(state)
            worst = max(worst, state.value + state.number + state.extreme)
            usual = max(usual, state.value + state.number)
            plain = max(plain, state.value)
            character = max(character, state.character)
            digit = max(digit, state.extreme / _DIGITS)
            for each in state.containers():
                load = each.load
                container = max(container, load.value)
                child = max(child, load.member, load.item)
                character = max(character, load.name_character)
                unique = max(unique, load.unique)
                waiting += (*each.members.values(), each.other, *each.items)
        # Lists of unique items may stand in each other.
        comparing = unique * MAX_DEPTH * (UNIQUE_VALUE + UNIQUE_NUMBER)
        # A value has its part in its parent's cost.
        apart, container = child + comparing, container + child
        return (
            Price(container + comparing, worst + apart, max(character, digit, comparing / _DIGITS)),
            Price(container + comparing, usual + apart, character),
            Price(container, plain + child, character),
        )

    def covers(self, data: bytes, value: Any) -> bool:
        """Return whether validating data takes no longer than is allowed.

        Args:
            data: the JSON text.
            value: the same, decoded.
        """
        size = len(data)
        allowed = NANOSECONDS if size <= BYTES else NANOSECONDS * size / BYTES
        # The shortest list of so many values, as [0,0,0], takes two bytes for each.
        if self.worst.value * (1 + size / 2) + self.worst.character * size <= allowed:
            return True
        # Each value but the first stands behind a comma or an opening bracket.
        containers = data.count(b"[") + data.count(b"{")
        scalars = 1 + data.count(b",")
        price = self.worst if _UNUSUAL_NUMBER.search(data) else self.usual
        if price.container * containers + price.scalar * scalars + price.character * size <= allowed:
            return True
        return self.follow(value, allowed)

    def follow(self, root: Any, allowed: float) -> bool:
        """Return whether validating a value takes no more than so many nanoseconds."""
        # A list around the value, so that it is looked at like any other.
        waiting: list[tuple[Any, Iterable[_State]]] = [([root], (self._root,))]
        while waiting:
            values, states = waiting.pop()
            allowed -= _STEP * len(values)
            if allowed < 0:
                return False
            for value, state in zip(values, states, strict=False):
                kind = type(value)
                if kind is str:
                    allowed -= state.value + state.character * len(value)
                elif kind is dict:
                    container = state.objects or state.container(value)
                    load, members, other = container.load, container.members, container.other
                    allowed -= _CONTAINER + load.value + load.member * len(value)
                    if load.name_character:
                        allowed -= load.name_character * sum(map(len, value))
                    if allowed < 0:
                        return False
                    if value:
                        waiting.append((value.values(), [members.get(name, other) for name in value]))
                elif kind is list:
                    container = state.lists or state.container(value)
                    load, items = container.load, container.items
                    allowed -= _CONTAINER + load.value + load.item * len(value)
                    if load.unique:
                        allowed -= load.unique * _comparing(value, allowed)
                    if allowed < 0:
                        return False
                    if value:
                        waiting.append((value, chain(items, repeat(items[-1]))))
                else:
                    allowed -= state.value
                    if kind is float:
                        allowed -= state.number
                    if kind is not bool and value is not None and not is_simple_number(value):
                        allowed -= state.extreme * _length(value)
        return allowed >= 0


def _length(number: float) -> float:
    """Return how many times as dear a number is as one of few digits."""
    return 1 + number.bit_length() / _BITS if isinstance(number, int) else 1


def _comparing(items: list[Any], allowed: float) -> float:
    """Return what it takes to see that items differ, in nanoseconds, once; more than `allowed` where it is more.

    More than 15 items are looked up by a hash, which is the same for all numbers that are not simple.
    """
    cost = 0.0
    waiting: list[Any] = [items]
    while waiting and cost <= allowed:
        value = waiting.pop()
        cost += UNIQUE_VALUE
        kind = type(value)
        if kind is dict:
            waiting += value.values()
        elif kind is list:
            waiting += value
        elif kind is float or kind is int:
            if not is_simple_number(value):
                cost += UNIQUE_NUMBER * len(items) * _length(value)
            elif kind is float:
                cost += UNIQUE_NUMBER
    return cost
