"""The lag of the event loop: the time between when a callback was due and when it ran, counted in buckets."""

from __future__ import annotations

from bisect import bisect_left
from math import inf

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, inf)
"""Upper bounds of the buckets in seconds, each included in its bucket."""


class LoopLag:
    """A histogram of lags; `counts` are those of each bucket alone (not cumulative), `total` is in seconds."""

    def __init__(self) -> None:
        self.counts = [0] * len(BOUNDS)
        self.total = 0.0

    def note(self, seconds: float) -> None:
        """Count one lag; a timer that ran a little early counts as punctual."""
        late = max(0.0, seconds)
        self.counts[bisect_left(BOUNDS, late)] += 1
        self.total += late
