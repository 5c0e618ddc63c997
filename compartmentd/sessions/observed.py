"""Limits that are observed instead of enforced (`limits.mode`): what they would refuse is counted and reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TypeAlias

from compartmentd.names import NamespaceName, Subject

ReportObserved: TypeAlias = Callable[[NamespaceName, str, Subject | None], None]
"""Reports what a limit would have refused: the namespace, the limit's key, and the user, if there is one."""


def report_nothing(_namespace: NamespaceName, _limit: str, _user: Subject | None) -> None:
    """Report nothing."""


class ObservedLimits:
    """Whether limits are observed, and how often each would have refused."""

    def __init__(self, report: ReportObserved) -> None:
        """Begin by enforcing."""
        self.is_observing = False
        self.counts: Counter[tuple[NamespaceName, str]] = Counter()
        """By namespace (a declared one) and key of `limits`."""
        self._report = report

    def note(self, namespace: NamespaceName, limit: str, user: Subject | None) -> None:
        """Take note of a request that is let through though a limit is reached.

        Args:
            namespace: The namespace of the request.
            limit: The limit's key, as in the configuration.
            user: The subject that made it, `None` for a session without one.
        """
        self.counts[namespace, limit] += 1
        self._report(namespace, limit, user)
