"""How late the loop is: the time between when something was due and when it ran, counted in buckets."""

from __future__ import annotations

from bisect import bisect_left
from math import inf

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, inf)
"""Upper bounds of the buckets in seconds, each included in its bucket."""


class LoopLag:
    """A histogram in plain numbers; `counts` are of each bucket alone, `total` is in seconds."""

    def __init__(self) -> None:
        self.counts = [0] * len(BOUNDS)
        self.total = 0.0

    def note(self, seconds: float) -> None:
        """Count one delay; a timer that rang a little early was not late."""
        late = max(0.0, seconds)
        self.counts[bisect_left(BOUNDS, late)] += 1
        self.total += late
