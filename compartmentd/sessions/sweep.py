"""Ending the live sessions whose tokens were revoked: one walk over them all, in slices.

A walk and no index by `sid` and subject: a look at a session costs a microsecond, one walk does for every
revocation that came in before it began, and there is nothing that a refreshed token could leave out of date.
"""

from __future__ import annotations

from collections import deque
from itertools import chain

from compartmentd.sessions.core import Core
from compartmentd.sessions.registry import Session
from compartmentd.tokens.rejected import Rejected

LOOKS = 64
"""Sessions looked at between two looks at the clock."""


class Sweep:
    """Looks at every session that is live when a revocation comes in; who connects later is asked at the door."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._wanted = False
        self._left: deque[Session] = deque()

    @property
    def pending(self) -> bool:
        """Whether some revocation has not reached every session yet."""
        return self._wanted or bool(self._left)

    def want(self) -> None:
        """Look at all sessions once more: a revocation came in."""
        self._wanted = True

    def run(self, budget: float) -> bool:
        """Go on for about `budget` seconds; tell whether every revocation has reached every session."""
        clock = self._core.clock
        until = clock.monotonic() + budget
        while self.pending:
            if not self._left:
                self._wanted = False
                compartments = self._core.registry.compartments.values()
                self._left = deque(chain.from_iterable(place.sessions for place in compartments))
            for _ in range(min(LOOKS, len(self._left))):
                self.look_at(self._left.popleft())
            if clock.monotonic() >= until:
                break
        return not self.pending

    def look_at(self, session: Session) -> None:
        """End the session if its token was revoked."""
        if session.ended or session.verified is None:
            return
        rejected = self._core.unrevoked(session.verified)
        if isinstance(rejected, Rejected):
            self._core.end(session, rejected.code)
