"""A client that keeps sending what its rate does not allow."""

from __future__ import annotations


class Flood:
    """A connection's run of refusals, and what was let through beside them.

    A connection of which for `PATIENCE` seconds, with at least one refusal in each, `SHARE` times as many requests
    were refused for their rate as were let through is not a busy client but a broken or hostile one. Its rate lets
    some through however many it sends, so these alone do not end the run.
    """

    __slots__ = ("_accepted", "_last", "_refused", "_since")

    PATIENCE = 10.0
    GAP = 1.0
    SHARE = 4

    def __init__(self, now: float) -> None:
        """Begin with one refusal, at the monotonic time `now`."""
        self._since = self._last = now
        self._refused = 1
        self._accepted = 0

    def is_over(self, now: float) -> bool:
        """Return whether the last refusal lies so far back that the run has ended."""
        return now - self._last > self.GAP

    def note_accepted(self) -> None:
        """Note a request that was let through."""
        self._accepted += 1

    def note_refused(self, now: float) -> bool:
        """Note a refusal; return whether the connection should be closed."""
        self._last = now
        self._refused += 1
        return now - self._since >= self.PATIENCE and self._refused >= self.SHARE * self._accepted
