"""Plain counts of what happened; metrics read them, nothing decides by them."""

from __future__ import annotations

from collections import Counter

from compartmentd.names import NamespaceName
from compartmentd.policy.codes import Code
from compartmentd.sessions.audit import Occasion

UNDECLARED = NamespaceName("(undeclared)")
"""Stands for every namespace that is not declared, and can be the name of none: what clients make up must not make
counts, or series of metrics, without end."""

ADMINISTRATION = NamespaceName("(admin)")
"""Stands in the place of a namespace for decisions about the admin API."""


class Counters:
    """Counts since the start of the process."""

    def __init__(self) -> None:
        self.decided: Counter[tuple[Occasion, NamespaceName, Code | None]] = Counter()
        """Decisions by what was asked, namespace (a declared one, or `UNDECLARED`), and code; `None` where it was
        allowed. A message under a remembered permission is no new decision."""
        self.refused: Counter[Code] = Counter()
        self.ended: Counter[Code] = Counter()
        self.unanswered = 0
        """Refused requests that asked for no ack, and were dropped."""
        self.published = 0
        self.delivered = 0
        self.volatile_dropped = 0
        self.auto_join_skipped = 0
        self.floods_closed = 0
        self.payloads_too_costly = 0
        """Messages refused since validating their data could have taken too long."""
