"""Rules out most pairs of templates by their literals and integers, so that few need a search for a shared room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, product
from typing import NamedTuple

from compartmentd.policy.model import IntegerParam, RoomTemplate
from compartmentd.policy.templates.index_keys import find_useful_views
from compartmentd.policy.templates.integers import find_overlapping
from compartmentd.policy.templates.shape import Shape, build_template_shape

_FEW = 8
"""Groups of at most this many templates are not worth dividing further."""


class _Form(NamedTuple):
    """The common form of templates that differ at most in the values of each parameter.

    `integers` are the positions of the integer parameters.
    """

    shape: Shape
    integers: tuple[int, ...]


def find_compatible_pairs(templates: Sequence[RoomTemplate]) -> Iterator[tuple[int, int]]:
    """Yield the pairs, by index and each once, that neither literals nor ranges of integers distinguish."""
    by_form: dict[_Form, list[int]] = {}
    for index, template in enumerate(templates):
        by_form.setdefault(_get_form(template), []).append(index)
    for form, group in by_form.items():
        if len(group) > 1:
            yield from _find_pairs_of_form(form, group, templates)
    shapes, groups = [form.shape for form in by_form], list(by_form.values())
    views = find_useful_views(shapes)
    keys = [tuple(view.get_shape_key(each) for view in views) for each in shapes]
    for left, right in _Pairs(keys).find_within(list(range(len(groups))), range(len(views))):
        yield from product(groups[left], groups[right])


def _get_form(template: RoomTemplate) -> _Form:
    names = [param.name for param in template.params if isinstance(param, IntegerParam)]
    integers = tuple([place for place, name in enumerate(template.pattern[1::2]) if name in names])
    return _Form(build_template_shape(template), integers)


def _find_pairs_of_form(
    form: _Form, group: list[int], templates: Sequence[RoomTemplate]
) -> Iterator[tuple[int, int]]:
    """Yield the pairs of templates of one form that can share a room.

    If rooms can be cut, all templates of the form cut a room at the same positions, so a shared room has a shared
    value at each position.
    """
    pairs: Iterable[tuple[int, int]] = combinations(range(len(group)), 2)
    if form.integers and (form.shape.can_be_cut() or form.shape.mirror().can_be_cut()):
        pairs = find_overlapping([_get_integers(templates[each]) for each in group])
    yield from ((group[left], group[right]) for left, right in pairs)


def _get_integers(template: RoomTemplate) -> tuple[IntegerParam, ...]:
    """Return the integer parameters in the order of their positions."""
    params = {param.name: param for param in template.params}
    placed = [params[name] for name in template.pattern[1::2]]
    return tuple([param for param in placed if isinstance(param, IntegerParam)])


class _Pairs:
    """Divides groups of templates by one view after another; `keys[template][view]` are their keys."""

    def __init__(self, keys: Sequence[tuple[str, ...]]) -> None:
        self.keys = keys

    def find_within(self, group: list[int], views: Iterable[int]) -> Iterator[tuple[int, int]]:
        view, rest = self._choose_view(group, views)
        if view is None:
            yield from (pair for pair in combinations(group, 2) if self._is_compatible(*pair))
            return
        buckets = self._divide(group, view)
        for key, bucket in buckets.items():
            yield from self.find_within(bucket, rest)
            for length in range(len(key)):
                if key[:length] in buckets:
                    yield from self._find_between(buckets[key[:length]], bucket, rest)

    def _find_between(
        self, left: list[int], right: list[int], views: Iterable[int]
    ) -> Iterator[tuple[int, int]]:
        view, rest = self._choose_view(left + right, views)
        if view is None:
            yield from (pair for pair in product(left, right) if self._is_compatible(*pair))
            return
        ours, theirs = self._divide(left, view), self._divide(right, view)
        for key, bucket in ours.items():
            for length in range(len(key) + 1):
                if key[:length] in theirs:
                    yield from self._find_between(bucket, theirs[key[:length]], rest)
        for key, bucket in theirs.items():
            for length in range(len(key)):
                if key[:length] in ours:
                    yield from self._find_between(ours[key[:length]], bucket, rest)

    def _choose_view(self, group: list[int], views: Iterable[int]) -> tuple[int | None, list[int]]:
        """Return the view that divides the group into the smallest parts (`None` if none does), and the others."""
        views = list(views)
        if len(group) <= _FEW or not views:
            return None, views
        weights = {view: self._weigh(group, view) for view in views}
        best = min(views, key=weights.__getitem__)
        if weights[best] == len(group) ** 2:
            return None, views
        return best, [view for view in views if view != best]

    def _weigh(self, group: list[int], view: int) -> int:
        return sum(count * count for count in Counter(self.keys[index][view] for index in group).values())

    def _divide(self, group: list[int], view: int) -> dict[str, list[int]]:
        buckets: dict[str, list[int]] = {}
        for index in group:
            buckets.setdefault(self.keys[index][view], []).append(index)
        return buckets

    def _is_compatible(self, left: int, right: int) -> bool:
        return all(
            a.startswith(b) or b.startswith(a) for a, b in zip(self.keys[left], self.keys[right], strict=True)
        )
