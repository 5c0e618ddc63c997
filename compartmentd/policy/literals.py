"""Telling templates apart by their literals, so that of many pairs hardly any needs a closer look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, product

from compartmentd.policy.model import RoomTemplate
from compartmentd.policy.shapes import shape_of_template
from compartmentd.policy.views import useful_views

_FEW = 8
"""Groups of at most this many templates are not worth dividing further."""


def compatible_pairs(templates: Sequence[RoomTemplate]) -> Iterator[tuple[int, int]]:
    """Yield, by their numbers and once each, the pairs of templates that their literals do not tell apart."""
    shapes = [shape_of_template(template) for template in templates]
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
