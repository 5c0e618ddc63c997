"""Finds the template of a room by its literal parts, so that a hundred thousand templates cost no more than ten.

Templates without parameters are looked up by name. The others form a small tree: each branch computes the room's
key in one view (see `index_keys`) and continues with the templates whose key is a prefix of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias, TypeVar

from compartmentd.policy.model import RoomTemplate
from compartmentd.policy.templates.charset import is_valid_room_name
from compartmentd.policy.templates.index_keys import ANY, CLOSED, View, find_useful_views
from compartmentd.policy.templates.matching import Match, Reader, ReaderFactory
from compartmentd.policy.templates.shape import Shape, build_template_shape

_SLICE = 100
"""Templates processed between two pauses: about a millisecond of work."""

_SAMPLE = 300
"""A view is chosen by how well it divides a sample of this many templates."""

_SCATTER = 7919
"""A prime that scatters the sample: among generated templates, every nth can have the same form."""

_FEW = 4
"""A branch for fewer templates than this would cost more than it saves."""

_LENGTH_COST = 0.3
"""The cost of looking up one more length of key, relative to the cost of comparing with one template."""

_BEGINNING = 3
"""Characters of a key by which its length is looked up: the marker at the start of every key, and two of the
room."""

_Shaped: TypeAlias = tuple[RoomTemplate, Shape]
_Built = TypeVar("_Built")


class _Node(Protocol):
    def find(self, room: str) -> Match | None: ...


class _Leaf:
    """Templates that literals cannot distinguish; at most one of them matches a room, since none overlap."""

    __slots__ = ("readers",)

    def __init__(self, readers: Sequence[Reader]) -> None:
        self.readers = readers

    def find(self, room: str) -> Match | None:
        for reader in self.readers:
            match = reader.find(room)
            if match is not None:
                return match
        return None


class _Branch:
    """Templates by their key in one view.

    `lengths` maps the first characters of open keys (those without `CLOSED`) to their lengths, longest first;
    `short` are the lengths of keys that are shorter than that prefix. So a room is not looked up with lengths
    that only other rooms' keys have, at 0.1 µs each.
    """

    __slots__ = ("by_key", "key_of", "lengths", "short")

    def __init__(
        self, key_of: Callable[[str], str], by_key: dict[str, _Node], lengths: Mapping[str, set[int]]
    ) -> None:
        self.key_of = key_of
        self.by_key = by_key
        short = {len(beginning) for beginning in lengths if len(beginning) < _BEGINNING}
        self.short = tuple(sorted(short, reverse=True))
        self.lengths = {
            beginning: tuple(sorted(some | short, reverse=True)) for beginning, some in lengths.items()
        }

    def find(self, room: str) -> Match | None:
        key = self.key_of(room)
        closed = self.by_key.get(key)
        if closed is not None:
            match = closed.find(room)
            if match is not None:
                return match
        for length in self.lengths.get(key[:_BEGINNING], self.short):
            node = self.by_key.get(key[:length])
            if node is not None:
                match = node.find(room)
                if match is not None:
                    return match
        return None


class Dispatch:
    """Finds the template of a room in one namespace. Immutable once built; made by `build` or `build_in_slices`."""

    __slots__ = ("_by_name", "_tree")

    def __init__(self, by_name: dict[str, Match], tree: _Node) -> None:
        self._by_name = by_name
        self._tree = tree

    @classmethod
    def build_in_slices(cls, templates: Sequence[RoomTemplate]) -> Generator[None, None, Dispatch]:
        """Build a dispatch in slices: yields about every millisecond, and returns the dispatch."""
        return (yield from _Builder().build(templates))

    @classmethod
    def build(cls, templates: Sequence[RoomTemplate]) -> Dispatch:
        """Build a dispatch at once, where nothing else waits for the loop."""
        return run_to_end(cls.build_in_slices(templates))

    def iter_parts(self) -> Iterator[object]:
        """Yield the parts that can be numerous, so that they can be freed a few at a time."""
        yield from self._by_name.items()
        waiting = [self._tree]
        while waiting:
            node = waiting.pop()
            yield node
            if isinstance(node, _Branch):
                waiting += node.by_key.values()
                yield from node.by_key

    def find(self, room: str) -> Match | None:
        """Return the template that matches the room, with the values of its parameters, or `None`."""
        if not is_valid_room_name(room):
            return None
        # A template without parameters takes precedence.
        return self._by_name.get(room) or self._tree.find(room)


def run_to_end(building: Generator[None, None, _Built]) -> _Built:
    """Run a build in slices to its end without pausing, and return what it built."""
    while True:
        try:
            next(building)
        except StopIteration as done:
            built: _Built = done.value
            return built


class _Builder:
    """Divides templates by the view that distinguishes most of them, then each part in the same way."""

    def __init__(self) -> None:
        self._readers = ReaderFactory()
        self._keys: dict[View, Callable[[str], str]] = {}
        self._done = 0

    def build(self, templates: Sequence[RoomTemplate]) -> Generator[None, None, Dispatch]:
        by_name: dict[str, Match] = {}
        group: list[_Shaped] = []
        for template in templates:
            if template.params:
                group.append((template, build_template_shape(template)))
            else:
                by_name[template.pattern[0]] = Match(template, ())
            if self._is_slice_over():
                yield
        return Dispatch(by_name, (yield from self._build_node(group)))

    def _build_node(self, group: list[_Shaped]) -> Generator[None, None, _Node]:
        view = (yield from self._choose_view(group)) if len(group) > _FEW else None
        if view is None:
            return (yield from self._build_leaf(group))
        parts: dict[str, list[_Shaped]] = {}
        for each in group:
            parts.setdefault(view.get_shape_key(each[1]), []).append(each)
            if self._is_slice_over():
                yield
        by_key: dict[str, _Node] = {}
        lengths: dict[str, set[int]] = {}
        for key, part in parts.items():
            by_key[key] = yield from self._build_node(part)
            if not key.endswith(CLOSED):
                lengths.setdefault(key[:_BEGINNING], set()).add(len(key))
        key_of = self._keys.get(view)
        if key_of is None:
            key_of = self._keys[view] = view.compile_room_key()
        return _Branch(key_of, by_key, lengths)

    def _build_leaf(self, group: list[_Shaped]) -> Generator[None, None, _Node]:
        readers = []
        for template, form in group:
            readers.append(self._readers.build_reader(template, form))
            if self._is_slice_over():
                yield
        return readers[0] if len(readers) == 1 else _Leaf(tuple(readers))

    def _choose_view(self, group: list[_Shaped]) -> Generator[None, None, View | None]:
        """Return the view that leaves the fewest templates to compare with, or `None` if no view leaves fewer."""
        stride = -(-len(group) // _SAMPLE)
        sample = [
            group[at + at // stride * _SCATTER % stride][1]
            for at in range(0, len(group) - stride + 1, stride)
        ]
        best, least = None, len(sample) - 1.0
        for view in find_useful_views(sample):
            cost = _estimate_cost(view, sample)
            yield
            if cost < least:
                best, least = view, cost
            if cost <= 1:  # every room leads to one template at once
                break
        return best

    def _is_slice_over(self) -> bool:
        self._done += 1
        return self._done % _SLICE == 0


def _estimate_cost(view: View, sample: Sequence[Shape]) -> float:
    """Return how many templates of the sample a room is compared with, on average, after one view."""
    counts = Counter(view.get_shape_key(each) for each in sample)
    always = counts.pop(ANY, 0)
    lengths = len({len(key) for key in counts if not key.endswith(CLOSED)})
    return always + sum(count * count for count in counts.values()) / len(sample) + _LENGTH_COST * lengths
