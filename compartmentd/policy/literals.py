"""What a template's literals say about its rooms, so that most templates and pairs need no closer look.

A *view* looks at one field of a room: the whole room, or what stands between two delimiters, counted from the
left or (mirrored) from the right. A template has a *key* in each view: how that field of each of its rooms
must begin. Two templates whose keys in some view contradict each other share no room; and a room is described
only by templates whose key is the beginning of the room's own. The same views serve the search for conflicts
and dispatch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import combinations, product
from typing import NamedTuple

from compartmentd.policy.charset import Ranges, contains, of_text, union
from compartmentd.policy.model import CharClass, IntegerParam, Param, PatternParam, RoomTemplate, Text

ANY = ""
"""The key of a template that says nothing in a view: the beginning of every key."""

_PRESENT, _ABSENT = "+", "-"
"""How a key begins where the field is there, and the whole key where no room of the template has it."""

_MAX_DELIMITERS = 4
_MAX_FIELDS = 8
_FEW = 8
"""Groups of at most this many templates are not worth dividing further."""


class Shape(NamedTuple):
    """A template's pattern with the alphabets of its parameters, which stand between the literals."""

    literals: tuple[str, ...]
    alphabets: tuple[Ranges, ...]

    def mirrored(self) -> Shape:
        """Return the shape as it is read from right to left."""
        return Shape(tuple(each[::-1] for each in reversed(self.literals)), self.alphabets[::-1])

    def can_be_cut(self) -> bool:
        """Tell whether every parameter but the last is followed by a literal that its values cannot run into.

        What can be cut is read in one way only: each value ends where the literal behind it first occurs.
        """
        pairs = zip(self.alphabets, self.literals[1:-1], strict=False)  # the last one ends with the string
        return all(literal and not contains(alphabet, ord(literal[0])) for alphabet, literal in pairs)


class View(NamedTuple):
    """Field `number` between occurrences of `delimiter`, or all of the room where that is empty."""

    delimiter: str
    number: int
    mirrored: bool

    def of_room(self, room: str) -> str:
        """Return the key of a room: the whole field, closed."""
        text = room[::-1] if self.mirrored else room
        if not self.delimiter:
            return _PRESENT + text
        fields = text.split(self.delimiter, self.number + 1)
        return _PRESENT + fields[self.number] + self.delimiter if self.number < len(fields) else _ABSENT

    def of_shape(self, shape: Shape) -> str:
        """Return the key of a template: how the field begins in every room of the template."""
        at, start, literal = 0, "", True
        directed = shape.mirrored() if self.mirrored else shape
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
                    return _PRESENT + start + (self.delimiter if literal else "")
                at, start, literal = at + 1, field, True
        if at < self.number:
            return _ABSENT
        return _PRESENT + start + (self.delimiter if literal else "")


def alphabet(param: Param) -> Ranges:
    """Return every character that a value of the parameter can hold."""
    if isinstance(param, PatternParam):
        return _alphabet(param.items)
    if isinstance(param, IntegerParam):
        return of_text("-0123456789") if param.low < 0 else of_text("0123456789")
    return of_text("".join(param.values))


@lru_cache(maxsize=1024)
def _alphabet(items: tuple[CharClass, ...]) -> Ranges:
    return union(pair for item in items for pair in item.ranges)


def shape(template: RoomTemplate) -> Shape:
    """Return the shape of a template."""
    return shape_of(template.pattern, {param.name: param for param in template.params})


def shape_of(pattern: Text, params: Mapping[str, Param]) -> Shape:
    """Return the shape of a text."""
    return Shape(pattern[::2], tuple(alphabet(params[name]) for name in pattern[1::2]))


def useful_views(shapes: Sequence[Shape]) -> tuple[View, ...]:
    """Return the views that may tell the shapes apart: both ends, and fields between common delimiters."""
    fields: dict[str, int] = {}
    common: Counter[str] = Counter()
    for each in shapes:
        for character, count in Counter("".join(each.literals)).items():
            if not character.isalnum():
                common[character] += 1
                fields[character] = max(fields.get(character, 0), count + 1)
    views = [View("", 0, from_right) for from_right in (False, True)]
    for delimiter, _ in common.most_common(_MAX_DELIMITERS):
        for index in range(min(fields[delimiter], _MAX_FIELDS)):
            views += [View(delimiter, index, from_right) for from_right in (False, True)]
    return tuple(views)


def compatible_pairs(templates: Sequence[RoomTemplate]) -> Iterator[tuple[int, int]]:
    """Yield, by their numbers and once each, the pairs of templates that their literals do not tell apart."""
    shapes = [shape(template) for template in templates]
    views = useful_views(shapes)
    keys = [tuple(view.of_shape(each) for view in views) for each in shapes]
    yield from _Pairs(keys).within(list(range(len(templates))), range(len(views)))


class _Pairs:
    """Divides groups of templates by one view after the other; `keys[template][view]` are their keys."""

    def __init__(self, keys: Sequence[tuple[str, ...]]) -> None:
        self.keys = keys

    def within(self, group: list[int], views: Iterable[int]) -> Iterator[tuple[int, int]]:
        view, rest = self._best(group, views)
        if view is None:
            yield from (pair for pair in combinations(group, 2) if self._compatible(*pair))
            return
        buckets = self._divided(group, view)
        for key, bucket in buckets.items():
            yield from self.within(bucket, rest)
            for length in range(len(key)):
                if key[:length] in buckets:
                    yield from self._between(buckets[key[:length]], bucket, rest)

    def _between(self, left: list[int], right: list[int], views: Iterable[int]) -> Iterator[tuple[int, int]]:
        view, rest = self._best(left + right, views)
        if view is None:
            yield from (pair for pair in product(left, right) if self._compatible(*pair))
            return
        ours, theirs = self._divided(left, view), self._divided(right, view)
        for key, bucket in ours.items():
            for length in range(len(key) + 1):
                if key[:length] in theirs:
                    yield from self._between(bucket, theirs[key[:length]], rest)
        for key, bucket in theirs.items():
            for length in range(len(key)):
                if key[:length] in ours:
                    yield from self._between(ours[key[:length]], bucket, rest)

    def _best(self, group: list[int], views: Iterable[int]) -> tuple[int | None, list[int]]:
        """Return the view that divides the group into the smallest parts, if any does, and the others."""
        views = list(views)
        if len(group) <= _FEW or not views:
            return None, views
        weights = {view: self._weight(group, view) for view in views}
        best = min(views, key=weights.__getitem__)
        if weights[best] == len(group) ** 2:
            return None, views
        return best, [view for view in views if view != best]

    def _weight(self, group: list[int], view: int) -> int:
        return sum(count * count for count in Counter(self.keys[index][view] for index in group).values())

    def _divided(self, group: list[int], view: int) -> dict[str, list[int]]:
        buckets: dict[str, list[int]] = {}
        for index in group:
            buckets.setdefault(self.keys[index][view], []).append(index)
        return buckets

    def _compatible(self, left: int, right: int) -> bool:
        return all(
            a.startswith(b) or b.startswith(a) for a, b in zip(self.keys[left], self.keys[right], strict=True)
        )
