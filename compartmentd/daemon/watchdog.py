"""The sign of life that the service manager waits for, sent after a self-check.

It is sent from the event loop and never from a thread: a thread would go on beating while the loop hangs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from compartmentd.daemon.systemd import Notifier
from compartmentd.daemon.ticker import Ticker
from compartmentd.names import NamespaceName
from compartmentd.policy.codes import Code
from compartmentd.policy.decide import decide
from compartmentd.policy.decision import Connect, Facts, Truth
from compartmentd.policy.principal import ANONYMOUS
from compartmentd.policy.ruleset import Ruleset
from compartmentd.sessions.hub import Hub
from compartmentd.telemetry.logs import log

LONGEST_PAUSE = 10.0
"""Seconds between two beats where no watchdog needs them sooner; the status is at most so old."""

LATE = 5.0
"""Seconds without a tick after which the check fails: sessions would outlive their tokens unnoticed."""

_UNDECLARED = NamespaceName("")
"""The name of a namespace that no configuration can declare."""


class Heartbeat:
    """Beats while `find_fault` finds nothing; `status` returns the line that the manager shows of the daemon."""

    def __init__(
        self, notifier: Notifier, status: Callable[[], str], find_fault: Callable[[], str | None]
    ) -> None:
        self._notifier = notifier
        self._status = status
        self._find_fault = find_fault

    @property
    def pause(self) -> float:
        """Seconds between two beats: three of them fit into the watchdog's time, so that one may be late."""
        watchdog = self._notifier.watchdog
        return LONGEST_PAUSE if watchdog is None else min(watchdog / 3, LONGEST_PAUSE)

    def beat(self) -> None:
        """Check once; say that all is well, or keep silent and log the fault."""
        fault = self._find_fault()
        if fault is None:
            self._notifier.report_alive()
        else:
            log(logging.CRITICAL, "self_check_failed", f"the self-check failed: {fault}")
        self._notifier.tell(self._status())

    async def run(self) -> None:
        """Beat for ever."""
        while True:
            self.beat()
            await asyncio.sleep(self.pause)


class SelfCheck:
    """Checks what must always hold: time goes on for the sessions, and the rules refuse what is not declared."""

    def __init__(self, hub: Hub, ticker: Ticker) -> None:
        self._hub = hub
        self._ticker = ticker

    def find_fault(self) -> str | None:
        """Return what is wrong now, if anything."""
        return find_fault(self._ticker.age, self._hub.snapshot.rules, time.time())


def find_fault(since_tick: float, rules: Ruleset, now: float) -> str | None:
    """Return what is wrong, if anything.

    Args:
        since_tick: seconds since time last passed for the sessions.
        rules: the rules in force.
        now: wall time in seconds.
    """
    if since_tick > LATE:
        return "time stands still for the sessions"
    if not is_refusing_undeclared(rules, now):
        return "the rules in force do not refuse what is not declared"
    return None


def is_refusing_undeclared(rules: Ruleset, now: float) -> bool:
    """Return whether the rules in force still refuse what is not declared, by a decision and not by a failure."""
    decision = decide(rules, ANONYMOUS, Connect(_UNDECLARED), Facts(), now)
    # An error while deciding is refused with the same code, but then nothing is known to be false.
    return decision.code is Code.RULE_DENIED and any(r.truth is Truth.FALSE for r in decision.reasons)
