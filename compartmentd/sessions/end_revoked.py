"""Ending the live sessions whose tokens were revoked.

Sessions are found by what the revocation names: the provider's session, or the subject. One by `jti` looks at every
session, in slices: operators make them by hand, and an index by a claim that every token has would take 100 bytes a
session. So does one that reaches every token of an issuer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain

from compartmentd.configuration.snapshot import Snapshot
from compartmentd.names import Subject
from compartmentd.sessions.core import Core
from compartmentd.sessions.revocations import Revocation
from compartmentd.sessions.session import Session

LOOKS = 16
"""Sessions looked at between two looks at the clock."""


class RevocationSweep:
    """Looks at the sessions that a revocation may concern; those that connect later are checked then."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._everyone = False
        self.pending = False
        """Whether some revocation has not reached every session yet; an attribute, since every event reads it."""
        self._left: deque[Session] = deque()
        self._counted: dict[Revocation, int] = {}

    def add(self, revocation: Revocation, snapshot: Snapshot, *, everyone: bool = False) -> None:
        """Look at the sessions that a revocation names, at all of them if it is `everyone`."""
        named = None if everyone else self._find(revocation, snapshot)
        if named is None:
            self._everyone = True
        else:
            self._left.extend(named)
        self.pending = self._everyone or bool(self._left)

    def _find(self, revocation: Revocation, snapshot: Snapshot) -> Iterator[Session] | None:
        """Return the sessions that may hold a token which the revocation names; `None` where no index tells."""
        registry, value = self._core.registry, revocation.value
        if revocation.kind == "sid":
            return iter(registry.by_token_sid.find(value))
        if revocation.kind not in {"sub", "sub_without_sid"}:
            return None
        entries = [name for name, entry in snapshot.keys.entries.items() if entry.issuer == revocation.issuer]
        by_subject = [registry.find_by_subject(Subject(entry, value)) for entry in entries]
        return chain(registry.by_sub.find(value), *by_subject)

    def run(self, budget: float) -> bool:
        """Go on for about `budget` seconds; return whether every revocation has reached every session."""
        clock, snapshot = self._core.clock, self._core.snapshot
        until = clock.monotonic() + budget
        while self.pending:
            if not self._left:
                self._everyone = False
                self._left = deque(self._core.registry)
            for _ in range(min(LOOKS, len(self._left))):
                self.end_if_revoked(self._left.popleft(), snapshot)
            self.pending = self._everyone or bool(self._left)
            if clock.monotonic() >= until:
                break
        return not self.pending

    def end_if_revoked(self, session: Session, snapshot: Snapshot) -> None:
        """End the session if its token was revoked."""
        if session.ended or session.verified is None:
            return
        revocation = self._core.revocations.find_for(session.verified, snapshot.keys)
        if revocation is not None:
            self._core.end(session, snapshot, revocation.code)
            if revocation in self._counted:
                self._counted[revocation] += 1

    @contextmanager
    def count_ended(self, revocation: Revocation) -> Iterator[Callable[[], int]]:
        """Count the sessions that a revocation ends; gives how to ask for the number so far."""
        self._counted[revocation] = 0
        try:
            yield lambda: self._counted.get(revocation, 0)
        finally:
            self._counted.pop(revocation, None)
