"""The outline of a YAML text: its keys and values with their positions. `block_reader` reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple, TypeAlias

KeyStep: TypeAlias = str | int
KeyPath: TypeAlias = tuple[KeyStep, ...]


MARK = "\ue000"
"""Stands in a text at the cursor, where it becomes part of a key or scalar; a private character."""


class Position(NamedTuple):
    """A place in a text: line and code point, from 0."""

    line: int
    column: int


class Range(NamedTuple):
    """From a position to the one after its last character."""

    start: Position
    end: Position


class OutlinePart:
    """A value of the outline: a mapping, a sequence, a scalar, or nothing yet.

    A part of a mapping has a `key` and its range; `colon` says whether the `:` behind it is written. `text` is the
    content of a scalar without quotes, and `range` of the value includes the quotes. `flow` says that the part
    stands inside brackets, `quoted` that a scalar, or a key that is still being typed, begins with a quote, and
    `own_line` that a value does not stand beside its key.
    """

    __slots__ = (
        "children",
        "colon",
        "flow",
        "index",
        "key",
        "key_range",
        "kind",
        "own_line",
        "parent",
        "quoted",
        "range",
        "text",
    )

    def __init__(self, parent: OutlinePart | None, start: Position, *, flow: bool = False) -> None:
        self.parent = parent
        self.kind: Literal["mapping", "sequence", "scalar", "nothing"] = "nothing"
        self.key: str | None = None
        self.key_range = Range(start, start)
        self.colon = True
        self.index = 0
        self.text = ""
        self.range = Range(start, start)
        self.flow = flow
        self.quoted = False
        self.own_line = False
        self.children: list[OutlinePart] = []

    @property
    def step(self) -> KeyStep:
        """The key, or the index in a sequence."""
        return self.index if self.key is None else self.key

    @property
    def path(self) -> KeyPath:
        """The keys and indices that lead here from the root."""
        steps: list[KeyStep] = []
        part = self
        while part.parent is not None:
            steps.append(part.step)
            part = part.parent
        return tuple(reversed(steps))

    def get(self, key: str) -> OutlinePart | None:
        """Return the value under a key of a mapping."""
        return next((child for child in self.children if child.key == key), None)

    def at(self, *path: str) -> OutlinePart | None:
        """Return the value at a path of keys, if there is one."""
        part: OutlinePart | None = self
        for key in path:
            part = None if part is None else part.get(key)
        return part

    def walk(self) -> Iterator[OutlinePart]:
        """Yield this part and all parts below it, in the order of the text."""
        waiting = [self]
        while waiting:
            part = waiting.pop()
            yield part
            waiting.extend(reversed(part.children))
