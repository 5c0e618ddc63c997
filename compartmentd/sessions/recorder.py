"""Counts every decision, and writes its record to the audit log."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from compartmentd.configuration.snapshot import Snapshot
from compartmentd.names import NamespaceName, RoomName, Subject
from compartmentd.policy.codes import Code
from compartmentd.policy.decision import Decision
from compartmentd.policy.principal import Principal
from compartmentd.policy.seen import Seen, find_seen_values
from compartmentd.sessions.audit import AuditLog, Occasion, Record, select_claims
from compartmentd.sessions.clock import Clock
from compartmentd.sessions.counters import Counters
from compartmentd.sessions.observed import ObservedLimits
from compartmentd.sessions.session import Session


class DecisionRecorder:
    """Takes each decision from the part that has made it."""

    def __init__(
        self, clock: Clock, counters: Counters, audit_log: AuditLog, observed: ObservedLimits
    ) -> None:
        self._clock = clock
        self._counters = counters
        self._audit_log = audit_log
        self._observed = observed

    def record(
        self,
        occasion: Occasion,
        snapshot: Snapshot,
        namespace: NamespaceName,
        *,
        session: Session | None = None,
        subject: Subject | None = None,
        room: str | None = None,
        event: str | None = None,
        code: Code | None = None,
        decision: Decision | None = None,
        detail: str = "",
        address: str | None = None,
        since: float | None = None,
        principal: Principal | None = None,
        explain_payload: Callable[[], str] | None = None,
    ) -> str:
        """Count a decision or an end, and write the audit record, if anybody reads it.

        Args:
            occasion: What was decided.
            snapshot: The snapshot that decided.
            namespace: The namespace's name, or what stands for it (`counters`).
            session: The session that it is about.
            subject: The user that it is about, where there is no session.
            room: The room's name as the client wrote it.
            event: The event's name as the client wrote it.
            code: The code of a refusal or an end; that of the decision, where there is one.
            decision: The decision.
            detail: What a token lacks, for the operator.
            address: The client's address, of a CONNECT.
            since: The monotonic time at which deciding began, in seconds.
            principal: The holder of the token that was judged, if it is not the session's present one.
            explain_payload: Says what of a payload does not fit; called only where values may be shown.

        Returns:
            The reference for the client's answer; empty where no line was written.
        """
        if decision is not None:
            code = decision.code
            if decision.observed:
                user = subject if session is None else session.user
                self._observed.note(namespace, decision.observed, user)
        if occasion != "end":
            self._counters.decided[occasion, namespace, code] += 1
        if not self._audit_log.wants(code):
            return ""
        claims = snapshot.configuration.log.claims
        seen: Sequence[Seen] = ()
        if session is not None and decision is not None and code and self._audit_log.shows_values:
            seen = find_seen_values(
                snapshot.rules,
                principal or session.principal,
                decision,
                namespace=namespace,
                room=room,
                event=event,
                memberships=session.memberships.keys(),
            )
            if code is Code.INVALID_PAYLOAD and explain_payload is not None:
                what = explain_payload()
                seen = [*seen, *(Seen(reason.span, what) for reason in decision.reasons if reason.span)]
        return self._audit_log.write(
            Record(
                at=self._clock.wall(),
                generation=snapshot.generation,
                digest=snapshot.digest,
                occasion=occasion,
                namespace=namespace,
                session=None if session is None else session.sid,
                subject=subject if session is None else session.user,
                claims={} if session is None else select_claims(session.principal, claims),
                address=address,
                room=None if room is None else RoomName(room),
                event=event,
                code=code,
                decision=decision,
                detail=detail,
                took=None if since is None else self._clock.monotonic() - since,
                seen=tuple(seen),
            ),
        )
