"""The spelling of integer parameters, `0|-?[1-9][0-9]{0,15}` within bounds, as sequences of digit ranges.

Overlap of templates is decided on the numbers that a room name can contain, so the bounds are spelled out digit by
digit: 7 to 120 is `[7-9]`, `[1-9][0-9]`, `1[0-1][0-9]`, `120`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from compartmentd.policy.model import IntegerParam

Spelling: TypeAlias = tuple[tuple[str, str], ...]
"""An inclusive range of characters for each position of the spelling."""

_Range: TypeAlias = tuple[int, int]
"""The smallest and the largest integer, both inclusive."""

MAX_DIGITS = 16
LARGEST = 10**MAX_DIGITS - 1

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,15}", re.ASCII)
_ANY_DIGIT = ("0", "9")


def spell_integers(param: IntegerParam) -> Iterator[Spelling]:
    """Yield the disjoint sequences of digit ranges that together spell exactly the parameter's integers."""
    low = max(param.low, -LARGEST)
    high = LARGEST if param.high is None else min(param.high, LARGEST)
    if low <= 0 <= high:
        yield (("0", "0"),)
    yield from _spell_positive(max(low, 1), high)
    for digits in _spell_positive(max(-high, 1), -low):
        yield (("-", "-"), *digits)


def read_integer(text: str, param: IntegerParam) -> int | None:
    """Return the integer that the text spells, or `None` if it spells none that the parameter allows."""
    if not _INTEGER.fullmatch(text):
        return None
    number = int(text)
    return number if param.low <= number and (param.high is None or number <= param.high) else None


def find_overlapping(several: Sequence[tuple[IntegerParam, ...]]) -> Iterator[tuple[int, int]]:
    """Yield the pairs of entries, by index, whose integer parameters share an integer at every position.

    For n entries that all differ at one position this takes n log n steps: they are swept in the order of the
    starts of their ranges, at the position where the fewest ranges overlap.
    """
    ranges = [[_get_range(param) for param in params] for params in several]
    order, ends = min((_sweep(place) for place in zip(*ranges, strict=True)), key=lambda swept: sum(swept[1]))
    for at, one in enumerate(order):
        for other in order[at + 1 : ends[at]]:
            if all(map(_overlap, ranges[one], ranges[other])):
                yield one, other


def _get_range(param: IntegerParam) -> _Range:
    return param.low, LARGEST if param.high is None else param.high


def _overlap(one: _Range, other: _Range) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _sweep(ranges: Sequence[_Range]) -> tuple[list[int], list[int]]:
    """Return the indexes of the ranges by start, and for each the end of those after it that it overlaps."""
    order = sorted(range(len(ranges)), key=ranges.__getitem__)
    begin = [ranges[each][0] for each in order]
    return order, [bisect_right(begin, ranges[each][1], at + 1) for at, each in enumerate(order)]


def _spell_positive(low: int, high: int) -> Iterator[Spelling]:
    for digits in range(1, MAX_DIGITS + 1):
        first, last = max(low, 10 ** (digits - 1)), min(high, 10**digits - 1)
        if first <= last:
            yield from _spell_same_length(str(first), str(last))


def _spell_same_length(low: str, high: str) -> Iterator[Spelling]:
    """Spell the numbers from `low` to `high`, which have equally many digits, leading zeros included."""
    rest = len(low) - 1
    if rest < 0:
        yield ()
        return
    first, last = int(low[0]), int(high[0])
    if first == last:
        for tail in _spell_same_length(low[1:], high[1:]):
            yield ((low[0], low[0]), *tail)
        return
    if low[1:] != "0" * rest:
        for tail in _spell_same_length(low[1:], "9" * rest):
            yield ((low[0], low[0]), *tail)
        first += 1
    whole_last = high[1:] == "9" * rest
    if first <= last - (not whole_last):
        yield ((str(first), str(last - (not whole_last))), *([_ANY_DIGIT] * rest))
    if not whole_last:
        for tail in _spell_same_length("0" * rest, high[1:]):
            yield ((high[0], high[0]), *tail)
