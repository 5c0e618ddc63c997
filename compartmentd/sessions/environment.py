"""The services outside the sessions that the hub uses, as one value."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from compartmentd.sessions.audit import AuditLog, NullAuditLog
from compartmentd.sessions.clock import Clock
from compartmentd.sessions.key_wait import KeyFinder
from compartmentd.sessions.observed import ReportObserved, report_nothing
from compartmentd.sessions.pending import Asker

_NO_AUDIT_LOG = NullAuditLog()


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """The services that the hub is given once, when the daemon or a test builds it.

    Attributes:
        clock: Tells the time.
        new_sid: Returns an unguessable session id, another one each time.
        report_error: Is called with an error of the daemon's own that ended a session.
        audit_log: Takes the records of decisions; by default none is kept.
        keys: Finds keys at providers; without it every key is local, and a missing one is not waited for.
        find_network: Returns the network of an address; by default each address is a network of its own.
        report_observed: Is told of each request that a limit would have refused, where limits are observed.
        asker: Gets the answers that rules ask for; without it every question is asked in vain.
    """

    clock: Clock
    new_sid: Callable[[], str]
    report_error: Callable[[Exception], None]
    audit_log: AuditLog = _NO_AUDIT_LOG
    keys: KeyFinder | None = None
    asker: Asker | None = None
    find_network: Callable[[str], str] = str
    report_observed: ReportObserved = report_nothing
