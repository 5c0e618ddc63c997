"""Ending the live sessions whose tokens were revoked: one walk over them all, in slices.

A walk and no index by `sid` and subject: a look at a session costs a microsecond, one walk does for every
revocation that came in before it began, and there is nothing that a refreshed token could leave out of date.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain

from compartmentd.configuration.snapshot import Snapshot
from compartmentd.sessions.core import Core
from compartmentd.sessions.registry import Session
from compartmentd.sessions.revocations import Revocation

LOOKS = 16
"""Sessions looked at between two looks at the clock."""


class Sweep:
    """Looks at every session that is live when a revocation comes in; who connects later is asked at the door."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._wanted = False
        self.pending = False
        """Whether some revocation has not reached every session yet; an attribute, since every event asks."""
        self._left: deque[Session] = deque()
        self._counted: dict[Revocation, int] = {}

    def want(self) -> None:
        """Look at all sessions once more: a revocation came in."""
        self._wanted = self.pending = True

    def run(self, budget: float) -> bool:
        """Go on for about `budget` seconds; tell whether every revocation has reached every session."""
        clock, snapshot = self._core.clock, self._core.snapshot
        until = clock.monotonic() + budget
        while self.pending:
            if not self._left:
                self._wanted = False
                namespaces = self._core.registry.namespaces.values()
                self._left = deque(chain.from_iterable(place.sessions for place in namespaces))
            for _ in range(min(LOOKS, len(self._left))):
                self.look_at(self._left.popleft(), snapshot)
            self.pending = self._wanted or bool(self._left)
            if clock.monotonic() >= until:
                break
        return not self.pending

    def look_at(self, session: Session, snapshot: Snapshot) -> None:
        """End the session if its token was revoked."""
        if session.ended or session.verified is None:
            return
        revocation = self._core.find_revocation(session.verified, snapshot)
        if revocation is not None:
            self._core.end(session, snapshot, revocation.code)
            if revocation in self._counted:
                self._counted[revocation] += 1

    @contextmanager
    def counting(self, revocation: Revocation) -> Iterator[Callable[[], int]]:
        """Count the sessions that a revocation ends; gives how to ask for the number so far."""
        self._counted[revocation] = 0
        try:
            yield lambda: self._counted.get(revocation, 0)
        finally:
            self._counted.pop(revocation, None)
