"""Index keys: what literals alone say about the templates that a room can belong to.

In each *view*, a room has a key, and so has a template: the prefix of the keys of all its rooms. Two templates
share no room if in some view neither key is a prefix of the other; a room can match only templates whose key is a
prefix of its own. Dispatch and the search for conflicts use the same views.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

from compartmentd.policy.templates.charset import Ranges, contains, intersection, union
from compartmentd.policy.templates.shape import Shape

ANY = ""
"""The key of a template that is unknown in a view: a prefix of every key."""

CLOSED = "\n"
"""Ends a key that determines the whole key of the room; no room name contains this character."""

_PRESENT = "+"
"""Begins a key of a field that is present."""

_ABSENT = "-" + CLOSED
"""The key of a field that is absent."""

_MAX_DELIMITERS = 4
_MAX_FIELDS = 8
_MAX_ALPHABETS = 2


class View(Protocol):
    """One way to derive a key from a room or template."""

    def compile_room_key(self) -> Callable[[str], str]:
        """Return a function that computes the key of a room."""

    def get_shape_key(self, shape: Shape) -> str:
        """Return the key of a template: the prefix of the keys of all its rooms."""


class Field(NamedTuple):
    """A view of field `number` between occurrences of `delimiter`, or of the whole room if that is empty.

    If `mirrored`, rooms are read from right to left, and fields are counted from there.
    """

    delimiter: str
    number: int
    mirrored: bool

    def compile_room_key(self) -> Callable[[str], str]:
        """Return a function that computes the key of a room: the whole field, closed."""
        delimiter, number, mirrored = self
        if not delimiter:
            return lambda room: f"{_PRESENT}{room[::-1] if mirrored else room}{CLOSED}"
        if not number and not mirrored:
            return lambda room: f"{_PRESENT}{room.partition(delimiter)[0]}{CLOSED}"

        def key(room: str) -> str:
            fields = (room[::-1] if mirrored else room).split(delimiter, number + 1)
            return f"{_PRESENT}{fields[number]}{CLOSED}" if number < len(fields) else _ABSENT

        return key

    def get_shape_key(self, shape: Shape) -> str:
        """Return the key of a template: the prefix that the field has in all of its rooms."""
        at, start, literal = 0, "", True
        directed = shape.mirror() if self.mirrored else shape
        for index, part in enumerate(directed.literals):
            if index:
                before = directed.alphabets[index - 1]
                if not self.delimiter or contains(before, ord(self.delimiter)):
                    # From here on the number of fields is unknown, but the current field has begun.
                    return _PRESENT + start if at == self.number else ANY
                literal = False
            closed, *fields = part.split(self.delimiter) if self.delimiter else (part,)
            start += closed if literal else ""
            for field in fields:
                if at == self.number:
                    return _PRESENT + start + (CLOSED if literal else "")
                at, start, literal = at + 1, field, True
        if at < self.number:
            return _ABSENT
        return _PRESENT + start + (CLOSED if literal else "")


class Rest(NamedTuple):
    """A view of what is left of a room without the characters of an alphabet.

    If the parameters of a template contain no other characters, its literals alone determine the key.
    """

    alphabet: Ranges

    def compile_room_key(self) -> Callable[[str], str]:
        """Return a function that computes the key of a room."""
        without = _compile_remover(self.alphabet)
        return lambda room: f"{_PRESENT}{without.sub('', room)}{CLOSED}"

    def get_shape_key(self, shape: Shape) -> str:
        """Return the key of a template: known if every parameter stays within the alphabet."""
        for each in shape.alphabets:
            if each != self.alphabet and intersection(each, self.alphabet) != each:
                return ANY
        return self.compile_room_key()("".join(shape.literals))


@lru_cache(maxsize=64)
def _compile_remover(alphabet: Ranges) -> re.Pattern[str]:
    ranges = (f"{re.escape(chr(low))}-{re.escape(chr(high))}" for low, high in alphabet)
    return re.compile(f"[{''.join(ranges)}]+")


def find_useful_views(shapes: Sequence[Shape]) -> tuple[View, ...]:
    """Return the views that may distinguish the shapes: both ends, fields between common delimiters, and rests."""
    fields: dict[str, int] = {}
    common: Counter[str] = Counter()
    for each in shapes:
        for character, count in Counter("".join(each.literals)).items():
            if not character.isalnum():
                common[character] += 1
                fields[character] = max(fields.get(character, 0), count + 1)
    views: list[View] = [Field("", 0, from_right) for from_right in (False, True)]
    for delimiter, _ in common.most_common(_MAX_DELIMITERS):
        for index in range(min(fields[delimiter], _MAX_FIELDS)):
            views += [Field(delimiter, index, from_right) for from_right in (False, True)]
    alphabets = Counter(each.alphabets for each in shapes)
    together = dict.fromkeys(
        union(pair for each in some for pair in each) for some, _ in alphabets.most_common()
    )
    return (*views, *(Rest(alphabet) for alphabet in list(together)[:_MAX_ALPHABETS] if alphabet))
