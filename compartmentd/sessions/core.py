"""The state that the parts of the hub share: the snapshot, the registry, the clocks, the way to a decision."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Literal

from compartmentd.configuration.snapshot import Snapshot
from compartmentd.policy.codes import Code
from compartmentd.policy.decide import build_rate_refusal, decide
from compartmentd.policy.decision import (
    NO_ANSWERS,
    Administer,
    Answers,
    Decision,
    Facts,
    Join,
    Pending,
    Publish,
    RateName,
)
from compartmentd.policy.principal import Principal
from compartmentd.policy.reconcile import (
    ReconciledMemberships,
    Reconciliation,
    reconcile_dependents,
    reconcile_session,
    reconcile_unchanged,
)
from compartmentd.sessions import replies
from compartmentd.sessions.agenda import Agenda
from compartmentd.sessions.arrival import Arrival, accept_data, list_memberships
from compartmentd.sessions.audit import Occasion
from compartmentd.sessions.buckets import SessionBuckets
from compartmentd.sessions.census import Census
from compartmentd.sessions.counters import ADMINISTRATION, Counters
from compartmentd.sessions.environment import Environment
from compartmentd.sessions.fanout import Fanout
from compartmentd.sessions.observed import ObservedLimits
from compartmentd.sessions.pending import PendingEvents
from compartmentd.sessions.rates import FloodGuard
from compartmentd.sessions.recorder import DecisionRecorder
from compartmentd.sessions.registry import Registry
from compartmentd.sessions.revocations import Revocations
from compartmentd.sessions.room_store import MemoryRoomStore
from compartmentd.sessions.session import Session
from compartmentd.sessions.skipped import record_skipped


class Core:
    """The state behind the hub.

    INVARIANT: `snapshot` is replaced in one place (`hub.swap`), and every event reads it once.
    """

    def __init__(self, snapshot: Snapshot, environment: Environment) -> None:
        clock = environment.clock
        self.snapshot = snapshot
        self.clock = clock
        self.census = Census()
        self.observed = ObservedLimits(environment.report_observed)
        self.buckets = SessionBuckets(clock.monotonic, environment.find_network, self.observed)
        self.registry = Registry(MemoryRoomStore(clock.monotonic), [self.census, self.buckets])
        self.agenda = Agenda()
        self.counters = Counters()
        self.recorder = DecisionRecorder(clock, self.counters, environment.audit_log, self.observed)
        self.pending: PendingEvents
        self.fanout = Fanout(self.counters)
        self.revocations = Revocations()
        self.unjudged: deque[Session] = deque()
        """Sessions that the current snapshot has not judged yet; empty except during a reload."""
        self.flood_guard = FloodGuard(clock.monotonic, self.counters)

    # --- deciding --------------------------------------------------------------------------------------------

    def decide(
        self,
        request: Join | Publish,
        snapshot: Snapshot,
        session: Session,
        arrival: Arrival,
        payload_holds: Callable[[], bool] = accept_data,
        *,
        answers: Answers = NO_ANSWERS,
        explain_payload: Callable[[], str] | None = None,
    ) -> tuple[Decision, str]:
        """Decide a session's request: gather the facts of this moment, decide, count, write the audit record.

        `decide`, `decide_access` and the three ways to judge a session as a whole below are all the ways from a
        session to the decision core. The snapshot is an argument, so that nothing that waits keeps one: it reads
        the current snapshot again and passes that.

        Args:
            request: The question.
            snapshot: The current snapshot, which each event reads once.
            session: The session that asks.
            arrival: The facts that were established when the request arrived.
            payload_holds: Returns whether the data fits the event's schema; called where all earlier checks passed.
            answers: The answers to the questions of an earlier decision that was pending.
            explain_payload: Says what of the data does not fit the schema; called only for development mode.

        Returns:
            The decision, and the reference that a refusal's answer carries. A decision that is pending is neither
            counted nor recorded: the one that follows is.
        """
        if type(request) is Join:
            occasion: Occasion = "join"
            event, occupancy = None, self.registry.store.count(request.namespace, request.room)
        else:
            occasion, event, occupancy = "publish", request.event, 0
        facts = Facts(
            well_formed=arrival.well_formed,
            within_rate=arrival.within_rate,
            within_room_rate=arrival.within_room_rate,
            rate=arrival.rate,
            memberships=session.memberships.keys(),
            size=arrival.size,
            payload_holds=payload_holds,
            occupancy=occupancy,
            answers=answers,
        )
        decision = decide(snapshot.rules, session.principal, request, facts, self.clock.wall())
        if type(decision.outcome) is Pending:
            return decision, ""
        ref = self.recorder.record(
            occasion,
            snapshot,
            request.namespace,
            session=session,
            room=request.room if arrival.well_formed else None,
            event=event,
            decision=decision,
            since=arrival.since,
            explain_payload=explain_payload,
        )
        return decision, ref

    def decide_access(self, request: Administer, snapshot: Snapshot, principal: Principal) -> Decision:
        """Decide a request that no session makes: that of the bearer of a token at the admin API.

        Args:
            request: The request.
            snapshot: The snapshot that decides.
            principal: The holder of the token.

        Returns:
            The decision, which has been counted and recorded.
        """
        decision = decide(snapshot.rules, principal, request, Facts(), self.clock.wall())
        self.recorder.record(
            "administer", snapshot, ADMINISTRATION, subject=principal.subject, decision=decision
        )
        return decision

    def judge_session(
        self,
        session: Session,
        snapshot: Snapshot,
        occasion: Literal["connect", "refresh", "judge"],
        *,
        principal: Principal | None = None,
        answers: Answers = NO_ANSWERS,
        address: str | None = None,
        since: float | None = None,
        explain_missing: Callable[[], str] | None = None,
    ) -> tuple[Reconciliation, str]:
        """Judge a session as a whole: connect rule, memberships, auto-join; nothing of it takes effect here.

        Args:
            session: The session; of `connect` one that is not registered yet.
            snapshot: The current snapshot.
            occasion: Why it is judged; that a live session may stay is no news, so `judge` records only losses.
            principal: Its holder by a newer token, if not the one that it has.
            answers: The answers to the questions of an earlier judgement.
            address: The client's address, for the record of a CONNECT.
            since: The monotonic time (seconds) at which deciding began.
            explain_missing: Says where a token lies that is not read; called only where one was needed.

        Returns:
            The judgement, and the reference that a refusal's answer carries. A judgement with open questions is
            neither counted nor recorded: the one that follows is.
        """
        namespace = session.namespace
        # Limits bind the next connect and evict nobody: a session that exists is not counted against its user.
        others = namespace.count_sessions(session.user) if occasion == "connect" else 0
        judgement = reconcile_session(
            snapshot.rules,
            namespace.name,
            principal or session.principal,
            list_memberships(session),
            declined=session.declined or frozenset(),
            occupancy=partial(self.registry.store.count, namespace.name),
            sessions=others,
            now=self.clock.wall(),
            answers=answers,
        )
        ref = ""
        if judgement.questions:
            return judgement, ref
        if occasion != "judge" or not judgement.connect.allowed:
            ref = self.recorder.record(
                occasion,
                snapshot,
                namespace.name,
                session=session,
                decision=judgement.connect,
                detail=explain_missing()
                if explain_missing is not None and judgement.connect.code is Code.TOKEN_MISSING
                else "",
                address=address,
                since=since,
                principal=principal,
            )
        self._record_rooms(session, snapshot, judgement)
        if occasion != "judge" and (judgement.skipped or judgement.surplus):
            record_skipped(self.recorder, self.counters, session, snapshot, judgement)
        return judgement, ref

    def judge_unchanged(self, session: Session, snapshot: Snapshot) -> Reconciliation:
        """Judge a session for which a reload changed nothing that was decided before: only auto-join is asked.

        Args:
            session: A live session.
            snapshot: The current snapshot.

        Returns:
            The judgement: no loss, and the rooms that the session is to be put into.
        """
        namespace = session.namespace
        judgement = reconcile_unchanged(
            snapshot.rules,
            namespace.name,
            session.principal,
            [membership.room.name for membership in session.memberships.values()],
            declined=session.declined or frozenset(),
            occupancy=partial(self.registry.store.count, namespace.name),
            valid_until=session.valid_until,
            now=self.clock.wall(),
        )
        self._record_rooms(session, snapshot, judgement)
        return judgement

    def judge_dependents(self, session: Session, snapshot: Snapshot) -> ReconciledMemberships:
        """Judge the memberships that depend on others (`member_of`), after one was lost.

        Args:
            session: The session, from whose memberships the lost one has gone.
            snapshot: The current snapshot.

        Returns:
            The memberships that are kept and lost. Losses have been recorded, and take effect with the caller.
        """
        name = session.namespace.name
        left = reconcile_dependents(
            snapshot.rules,
            name,
            session.principal,
            list_memberships(session),
            now=self.clock.wall(),
        )
        for room, decision in left.lost:
            self.recorder.record("judge", snapshot, name, session=session, room=room, decision=decision)
        return left

    def _record_rooms(self, session: Session, snapshot: Snapshot, judgement: Reconciliation) -> None:
        self.counters.auto_join_skipped += len(judgement.skipped) + judgement.surplus_count
        if not (judgement.lost or judgement.joined):
            return
        name = session.namespace.name
        for room, decision in judgement.lost:
            self.recorder.record("judge", snapshot, name, session=session, room=room, decision=decision)
        for room, decision in judgement.joined:
            self.recorder.record("auto_join", snapshot, name, session=session, room=room, decision=decision)

    # --- answering -------------------------------------------------------------------------------------------

    def answer(self, session: Session, ack: bytes | None, body: bytes) -> None:
        """Answer a request, if it asked for an answer.

        Args:
            session: The session that made it.
            ack: The digits of the ack id, `None` where no answer is wanted.
            body: The answer as JSON.
        """
        if ack is not None:
            session.send(replies.build_ack(session.namespace.prefix, ack, body))

    def refuse(
        self, session: Session, ack: bytes | None, code: Code, after: float | None = None, ref: str = ""
    ) -> None:
        """Refuse a request: by its ack, or by dropping it.

        Args:
            session: The session that made it.
            ack: The digits of the ack id, `None` where no answer is wanted.
            code: The code of the refusal.
            after: In how many seconds it may be repeated, where that is known.
            ref: The reference by which the operator finds it in the log; empty where there is none.
        """
        self.counters.refused[code] += 1
        if ack is None:
            self.counters.unanswered += 1
        else:
            session.send(
                replies.build_ack(session.namespace.prefix, ack, replies.build_refusal(code, after, ref))
            )

    def turn_down(
        self,
        occasion: Occasion,
        snapshot: Snapshot,
        session: Session,
        ack: bytes | None,
        code: Code,
        *,
        after: float | None = None,
        room: str | None = None,
        event: str | None = None,
        rate: RateName | None = None,
    ) -> None:
        """Refuse a request about which no rule was asked: for its form, for its rate.

        Args:
            occasion: What was asked for.
            snapshot: The current snapshot.
            session: The session that made it.
            ack: The digits of the ack id, `None` where no answer is wanted.
            code: The code of the refusal.
            after: In how many seconds it may be repeated, where that is known.
            room: The room's name as the client wrote it.
            event: The event's name as the client wrote it.
            rate: The session's rate that it is over, if that is why.
        """
        name = session.namespace.name
        decision = None
        if rate is not None:
            namespace = snapshot.configuration.policy.namespaces[name]
            decision = build_rate_refusal(namespace, rate, session.principal)
        ref = self.recorder.record(
            occasion, snapshot, name, session=session, room=room, event=event, code=code, decision=decision
        )
        self.refuse(session, ack, code, after, ref)

    # --- ending ----------------------------------------------------------------------------------------------

    def end(self, session: Session, snapshot: Snapshot, code: Code) -> None:
        """End a session from the server's side: `closing`, then DISCONNECT, and nothing after it.

        What is queued for one that may hear nothing any more is dropped: its client may take minutes for it.

        Args:
            session: The session; one that has ended already is left alone.
            snapshot: The current snapshot, for the record.
            code: Why it ends.
        """
        if session.ended:
            return
        self.counters.ended[code] += 1
        self.recorder.record("end", snapshot, session.namespace.name, session=session, code=code)
        self.forget(session, code)
        if code in _ENDS_AT_ONCE:
            session.peer.discard(session.namespace.name)
        session.send(replies.build_closing(session.namespace.prefix, code))
        session.peer.end(session.namespace.name)

    def forget(self, session: Session, code: Code | None = None) -> None:
        """Take a session out of everything; what waited for it is dropped.

        Args:
            session: The session, live or parked.
            code: Why it ends, `None` where its client or its connection ended it.
        """
        session.ended = True
        session.unjudged = None
        self.agenda.move(session, None)
        self.pending.forget(session)
        self.registry.remove(session, code)

    def schedule(self, session: Session) -> None:
        """File the session under the next moment at which time alone concerns it.

        Args:
            session: The session; called again when its principal, `valid_until` or `warning` has changed.
        """
        moment = session.principal.ends_at
        if moment is not None and not session.expiring_told:
            moment -= session.warning
        if session.valid_until is not None and (moment is None or session.valid_until < moment):
            moment = session.valid_until
        self.agenda.move(session, moment)


_ENDS_AT_ONCE = frozenset({Code.TOKEN_EXPIRED, Code.REVOKED, Code.LOGGED_OUT, Code.POLICY_CHANGED})
"""Codes of sessions that may hear nothing any more, not even what was queued for them while they might."""
