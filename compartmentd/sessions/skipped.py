"""Records the rooms that a session was not auto-joined to, though its claims name them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import msgspec

from compartmentd.configuration.snapshot import Snapshot
from compartmentd.policy.autojoin import SHOWN, SkippedValue, SkipReason
from compartmentd.policy.codes import Code
from compartmentd.policy.decision import Decision
from compartmentd.policy.reconcile import Reconciliation
from compartmentd.sessions.counters import Counters
from compartmentd.sessions.recorder import DecisionRecorder
from compartmentd.sessions.session import Session

_RECORDED = {
    SkipReason.NOT_MATCHING: Code.UNKNOWN_ROOM,
    SkipReason.DENIED: Code.RULE_DENIED,
    SkipReason.FULL: Code.ROOM_FULL,
    SkipReason.SURPLUS: Code.TOO_MANY,
}
"""The codes of the reasons that are recorded: a room that the session left is no news, others are decided later."""

_LONGEST_NAME = 64
"""Characters of a room's name that are shown in a summary."""


class _Summary(msgspec.Struct):
    """The values of one template that gave no room for one reason; `rooms` names a few of them."""

    template: str
    why: SkipReason
    count: int
    rooms: tuple[str, ...]
    decision: Decision | None = None

    @property
    def detail(self) -> str:
        """The words for the log."""
        values = "1 value" if self.count == 1 else f"{self.count} values"
        names = ", ".join(room[:_LONGEST_NAME] for room in self.rooms)
        more = ", …" if names and len(self.rooms) < self.count else ""
        about = f" ({names}{more})" if names else ""
        return f"{self.why.value}: {values} for `{self.template}`{about}"


def record_skipped(
    recorder: DecisionRecorder,
    counters: Counters,
    session: Session,
    snapshot: Snapshot,
    judgement: Reconciliation,
) -> None:
    """Write one record for each template and reason: a claim may have thousands of values.

    Args:
        recorder: Takes the records.
        counters: Takes the number of values, each as a decision.
        session: The session that was judged.
        snapshot: The snapshot that decided.
        judgement: The judgement, whose `skipped` and `surplus` are recorded.
    """
    name = session.namespace.name
    for each in _summarize(judgement):
        code = _RECORDED[each.why] if each.decision is None else each.decision.code
        room = each.rooms[0] if each.count == 1 and each.rooms else None
        recorder.record(
            "auto_join",
            snapshot,
            name,
            session=session,
            room=room,
            code=code,
            decision=each.decision,
            detail=each.detail,
        )
        counters.decided["auto_join", name, code] += each.count - 1


def _summarize(judgement: Reconciliation) -> Iterator[_Summary]:
    known = [each for each in judgement.skipped if each.why in _RECORDED]
    for (template, _), group in groupby(sorted(known, key=_get_kind), _get_kind):
        some = list(group)
        first = some[0]
        # A value that does not fit is no room's name, and claims are in the log only where it asks for them.
        rooms = (
            () if first.why is SkipReason.NOT_MATCHING else [each.room for each in some[:SHOWN] if each.room]
        )
        yield _Summary(template, first.why, len(some), tuple(rooms), first.decision)
    for surplus in judgement.surplus:
        yield _Summary(surplus.template, SkipReason.SURPLUS, surplus.count, surplus.first)


def _get_kind(value: SkippedValue) -> tuple[str, str]:
    """Return what is summarized together: template and reason, with the code of the decision."""
    code = None if value.decision is None else value.decision.code
    return value.template, f"{value.why.value} {code}"
