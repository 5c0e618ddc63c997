"""The statistics of an A/B run: what the ratios of paired rounds say about two trees.

Both trees are measured in every round, one right after the other, so that what else the machine does hits both,
and every round has new processes: where the kernel and the hash seed put a process's objects makes it faster or
slower by some per cent for as long as it lives, and rounds of the same two processes would agree about that. The
median of the rounds' ratios is the estimate. Its interval needs no assumption about how the ratios are
distributed: each ratio lies above the true median with probability one half, so the number of those above it is
binomial, and two of the sorted ratios enclose the median with a known probability (a sign test, inverted).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from tests.bench.rows import Row, Spread, median, row

CONFIDENCE = 0.95
FEWEST_ROUNDS = 6
"""With 5, the lowest and the highest ratio enclose the median with 1 - 2/2^5, which is 93.75 %."""

TOLERANCE = 0.03
"""How far the interval may lie from 1 on the bad side. Layout of code and data alone moves a ratio by 1 or 2 %."""

Verdict = Literal["worse", "better", "same"]


class Comparison(NamedTuple):
    """One row of an A/B run. `ratio` is this tree's value by the base's; `interval` is None with too few rounds."""

    row: Row
    ratio: float
    interval: Spread | None
    verdict: Verdict


def find_interval(ratios: Sequence[float]) -> Spread | None:
    """Return the narrowest pair of sorted ratios that encloses the true median with 95 %, or None if none does.

    Args:
        ratios: One ratio a round, in any order.
    """
    count = len(ratios)
    outside = 0.0  # the probability that at most `rank` - 1 ratios lie below the median
    rank = 0
    while rank < count / 2:
        outside += math.comb(count, rank) / 2**count
        if outside > (1 - CONFIDENCE) / 2:
            break
        rank += 1
    if not rank:
        return None
    ordered = sorted(ratios)
    return Spread(ordered[rank - 1], ordered[-rank])


def judge(interval: Spread | None, *, more_is_better: bool) -> Verdict:
    """Return "worse" or "better" if the whole interval lies beyond the tolerance on that side, else "same"."""
    if interval is None:
        return "same"
    if interval.low > 1 + TOLERANCE:
        return "better" if more_is_better else "worse"
    if interval.high < 1 - TOLERANCE:
        return "worse" if more_is_better else "better"
    return "same"


def join_rounds(rows: Iterable[Row]) -> list[Row]:
    """Return one row for each work, with the values of all its rounds in their order."""
    rounds: dict[str, list[Row]] = {}
    for each in rows:
        rounds.setdefault(each.work, []).append(each)
    return [
        row(
            work,
            found[0].unit,
            [each.ours for each in found],
            found[0].peer,
            [each.peer_value or 0.0 for each in found],
        )
        for work, found in rounds.items()
    ]


def compare(measured: Row) -> Comparison:
    """Judge a row whose peer is the base tree."""
    interval = find_interval(measured.ratios)
    verdict = judge(interval, more_is_better=measured.more_is_better)
    return Comparison(measured, median(measured.ratios), interval, verdict)
