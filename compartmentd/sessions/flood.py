"""A client that keeps sending what its rate does not allow."""

from __future__ import annotations


class Flood:
    """A connection's unbroken run of refused requests.

    A connection of which every request was refused for its rate for `PATIENCE` seconds, at least one in each
    second, is not a busy client but a broken or hostile one.
    """

    __slots__ = ("last", "since")

    PATIENCE = 10.0
    GAP = 1.0

    def __init__(self, now: float) -> None:
        self.since = now
        self.last = now

    def refused(self, now: float) -> bool:
        """Note a refusal at the monotonic time `now`; return whether the connection should be closed."""
        if now - self.last > self.GAP:
            self.since = now
        self.last = now
        return now - self.since >= self.PATIENCE
