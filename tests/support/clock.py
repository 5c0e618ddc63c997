"""A clock that tests move by hand."""

from __future__ import annotations


class FakeClock:
    """Stands for `time.time` or `time.monotonic` (calling it tells the time); it moves only when told to."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> float:
        """Let time pass, and return the new time."""
        self.now += seconds
        return self.now
