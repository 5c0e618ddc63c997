"""Sessions filed by the second of their next deadline, without a timer for each.

A heap would keep ended sessions until their token's end; a session leaves this agenda when it ends.
"""

from __future__ import annotations

from collections.abc import Iterator

from compartmentd.sessions.session import Session


class Agenda:
    """Sessions by the whole second of `session.deadline` (wall time)."""

    def __init__(self) -> None:
        self._seconds: dict[int, dict[Session, None]] = {}
        # INVARIANT: no filed second is earlier, so a tick before it looks at nothing.
        self._earliest = 0

    def __len__(self) -> int:
        """Return how many sessions are filed."""
        return sum(map(len, self._seconds.values()))

    def move(self, session: Session, deadline: float | None) -> None:
        """File the session under a new deadline, or take it out (`None`)."""
        if session.deadline is not None:
            second = int(session.deadline)
            filed = self._seconds.get(second)
            if filed is not None:
                filed.pop(session, None)
                if not filed:
                    del self._seconds[second]
        session.deadline = deadline
        if deadline is not None:
            second = int(deadline)
            self._seconds.setdefault(second, {})[session] = None
            self._earliest = min(self._earliest, second)

    def find_due(self, now: float) -> Iterator[Session]:
        """Yield the sessions whose deadline has come; the caller moves each before it asks for the next.

        Looks at the seconds that are filed, not at those that passed: a wall clock that jumps by a year costs
        no more than one that ticks.
        """
        if now < self._earliest:
            return
        for second in sorted(second for second in self._seconds if second <= now):
            for session in list(self._seconds.get(second, ())):
                if session.deadline is not None and session.deadline <= now:
                    yield session
        self._earliest = min(self._seconds, default=int(now))
