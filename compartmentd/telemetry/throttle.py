"""Limits the rate of log lines that anyone can cause: omitted lines are counted and reported later.

Each kind of line has its own token bucket, so that a flood of one kind does not hide the others. The kinds come
from fixed lists, so there are never many.
"""

from __future__ import annotations

import msgspec

from compartmentd.util.ratelimit import TokenBucket

RATE = 5.0
"""Lines per second of one kind: a few hundred in total, even if every kind is flooded at once."""

BURST = 50.0
"""Lines of one kind at once: the beginning of an incident is logged in full."""

TOLD_EVERY = 10.0
"""Seconds between two reports of how many lines were omitted."""


class _OmittedLines(msgspec.Struct):
    bucket: TokenBucket
    left_out: int = 0
    since: float = 0.0


class Throttle:
    """Decides which lines are written; times are monotonic seconds."""

    def __init__(self, rate: float = RATE, burst: float = BURST) -> None:
        self._rate = rate
        self._burst = burst
        self._kinds: dict[str, _OmittedLines] = {}
        self.left_out = 0
        """Lines omitted since the start."""

    def admits(self, kind: str, now: float, times: float = 1.0) -> bool:
        """Return whether a line may be written now; if not, it is counted.

        Args:
            kind: The kind of line.
            now: Monotonic seconds.
            times: The rate of this kind, as a multiple of the usual one.
        """
        found = self._kinds.get(kind)
        if found is None:
            found = self._kinds[kind] = _OmittedLines(
                TokenBucket(self._rate * times, now, self._burst * times)
            )
        if found.bucket.take(now):
            return True
        if not found.left_out:
            found.since = now
        found.left_out += 1
        self.left_out += 1
        return False

    def collect_left_out(self, now: float, *, all_of_them: bool = False) -> list[tuple[str, int]]:
        """Return the kinds with omitted lines that are due for a report, with their counts, and reset these.

        Args:
            now: Monotonic seconds.
            all_of_them: Whether to report also those whose first line was omitted less than `TOLD_EVERY` ago.
        """
        due = [
            (name, kind)
            for name, kind in self._kinds.items()
            if kind.left_out and (all_of_them or now - kind.since >= TOLD_EVERY)
        ]
        told = [(name, kind.left_out) for name, kind in due]
        for _, kind in due:
            kind.left_out = 0
        return told
