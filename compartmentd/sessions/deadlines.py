"""Meets what time asks of sessions: their end, another judgement, a reminder, the end of parking."""

from __future__ import annotations

from math import inf

from compartmentd.configuration.snapshot import Snapshot
from compartmentd.policy.codes import Code
from compartmentd.sessions.core import Core
from compartmentd.sessions.reevaluate import Reevaluation
from compartmentd.sessions.session import Session


class Deadlines:
    """Meets the deadlines that sessions are filed under."""

    def __init__(self, core: Core, reevaluation: Reevaluation) -> None:
        self._core = core
        self._reevaluation = reevaluation

    def meet_due(self, until: float) -> bool:
        """Handle the sessions whose deadline has come, one at least.

        Args:
            until: The monotonic time, in seconds, until which to go on.

        Returns:
            Whether some may be left.
        """
        core = self._core
        snapshot, now = core.snapshot, core.clock.wall()
        for session in core.agenda.find_due(now):
            self._meet(session, snapshot, now)
            if core.clock.monotonic() >= until:
                return True
        return self._forget_parked(until)

    def _meet(self, session: Session, snapshot: Snapshot, now: float) -> None:
        core = self._core
        ends_at = session.principal.ends_at
        if ends_at is not None and ends_at <= now:
            core.end(session, snapshot, Code.TOKEN_EXPIRED)
        elif session.valid_until is not None and session.valid_until <= now:
            self._reevaluation.rejudge(session, snapshot, Code.RULE_DENIED)
        else:
            self._reevaluation.remind(session)
            core.schedule(session)

    def _forget_parked(self, until: float) -> bool:
        """Forget what was parked for long enough; return whether some is left."""
        core = self._core
        now = core.clock.monotonic()
        if core.registry.parked:
            for session in [each for each in core.registry if (each.parked_until or inf) <= now]:
                core.forget(session)
                if core.clock.monotonic() >= until:
                    return True
        return False
