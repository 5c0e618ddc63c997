"""Lines of a log that strangers can cause, held to a rate: what is left out is counted, and told later.

Each kind of line has a bucket of its own, so that a flood of one does not hide the others. Kinds come from fixed
lists, so there are never many.
"""

from __future__ import annotations

import msgspec

from compartmentd.util.ratelimit import TokenBucket

RATE = 5.0
"""Lines of a kind a second: a few hundred at the very most, where every kind is flooded at once."""

BURST = 50.0
"""Lines of a kind at once: an incident's beginning is told whole."""

TOLD_EVERY = 10.0
"""Seconds between two lines that tell how many were left out."""


class _Kind(msgspec.Struct):
    bucket: TokenBucket
    left_out: int = 0
    since: float = 0.0


class Throttle:
    """Says which lines are written; times are monotonic, in seconds."""

    def __init__(self, rate: float = RATE, burst: float = BURST) -> None:
        self._rate = rate
        self._burst = burst
        self._kinds: dict[str, _Kind] = {}
        self.left_out = 0
        """Lines that were not written since the start."""

    def admits(self, kind: str, now: float, times: float = 1.0) -> bool:
        """Tell whether a line of this kind may be written now; if not, it is counted.

        `times` is how many times the usual rate a kind has that was asked for.
        """
        found = self._kinds.get(kind)
        if found is None:
            found = self._kinds[kind] = _Kind(TokenBucket(self._rate * times, now, self._burst * times))
        if found.bucket.take(now):
            return True
        if not found.left_out:
            found.since = now
        found.left_out += 1
        self.left_out += 1
        return False

    def collect_left_out(self, now: float, *, all_of_them: bool = False) -> list[tuple[str, int]]:
        """Return how many lines of which kind were left out and not told yet, once that is some time ago."""
        due = [
            (name, kind)
            for name, kind in self._kinds.items()
            if kind.left_out and (all_of_them or now - kind.since >= TOLD_EVERY)
        ]
        told = [(name, kind.left_out) for name, kind in due]
        for _, kind in due:
            kind.left_out = 0
        return told
