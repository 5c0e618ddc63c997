"""Time as the sessions see it: handed in by the edge, so that tests own it."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Two clocks, never mixed: a jump of the wall clock must move tokens and nothing else."""

    def wall(self) -> float:
        """Return the time of day in seconds since the epoch: for tokens and for rules about time."""

    def monotonic(self) -> float:
        """Return seconds since an arbitrary moment, never going back: for rates and periods."""
