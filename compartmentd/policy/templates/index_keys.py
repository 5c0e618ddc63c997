"""Views of rooms: what literals alone say about which templates a room can belong to.

A room has a *key* in each view, and a template has one: how the key of each of its rooms must begin. Two templates
whose keys in some view contradict each other share no room; and a room is described only by templates whose key
is the beginning of the room's own. The same views serve the search for conflicts and dispatch.
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
"""The key of a template that says nothing in a view: the beginning of every key."""

CLOSED = "\n"
"""The end of a key that says all of a room's own: no room holds this character."""

_PRESENT = "+"
"""How a key begins where the field is there."""

_ABSENT = "-" + CLOSED
"""The key where there is no such field."""

_MAX_DELIMITERS = 4
_MAX_FIELDS = 8
_MAX_ALPHABETS = 2


class View(Protocol):
    """A way to look at rooms and templates."""

    def compile_room_key(self) -> Callable[[str], str]:
        """Return what gives the key of a room."""

    def get_shape_key(self, shape: Shape) -> str:
        """Return the key of a template: how the keys of all its rooms begin."""


class Field(NamedTuple):
    """Field `number` between occurrences of `delimiter`, or all of the room where that is empty.

    Mirrored, rooms are read from right to left, and fields counted from there.
    """

    delimiter: str
    number: int
    mirrored: bool

    def compile_room_key(self) -> Callable[[str], str]:
        """Return what gives the key of a room: the whole field, closed."""
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
        """Return the key of a template: how the field begins in every room of the template."""
        at, start, literal = 0, "", True
        directed = shape.mirror() if self.mirrored else shape
        for index, part in enumerate(directed.literals):
            if index:
                before = directed.alphabets[index - 1]
                if not self.delimiter or contains(before, ord(self.delimiter)):
                    # From here on nobody knows how the fields are counted; the one at hand has begun, though.
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
    """What is left of a room without the characters of an alphabet.

    Where a template's parameters hold no others, that is what its literals leave.
    """

    alphabet: Ranges

    def compile_room_key(self) -> Callable[[str], str]:
        """Return what gives the key of a room."""
        without = _compile_remover(self.alphabet)
        return lambda room: f"{_PRESENT}{without.sub('', room)}{CLOSED}"

    def get_shape_key(self, shape: Shape) -> str:
        """Return the key of a template: known where every parameter is within the alphabet."""
        for each in shape.alphabets:
            if each != self.alphabet and intersection(each, self.alphabet) != each:
                return ANY
        return self.compile_room_key()("".join(shape.literals))


@lru_cache(maxsize=64)
def _compile_remover(alphabet: Ranges) -> re.Pattern[str]:
    ranges = (f"{re.escape(chr(low))}-{re.escape(chr(high))}" for low, high in alphabet)
    return re.compile(f"[{''.join(ranges)}]+")


def find_useful_views(shapes: Sequence[Shape]) -> tuple[View, ...]:
    """Return the views that may tell the shapes apart: both ends, fields between common delimiters, the rest."""
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
