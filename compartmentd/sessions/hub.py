"""The application that the Socket.IO server serves: sessions, and the policy that is enforced on them.

The server hands over packets; the hub decides by the one current snapshot and answers through the peers. A
session that the snapshot has not judged yet is judged before its next event is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from compartmentd.configuration.snapshot import Snapshot
from compartmentd.names import NamespaceName
from compartmentd.policy.codes import Code
from compartmentd.policy.decision import Administer, Decision
from compartmentd.policy.principal import Principal
from compartmentd.protocol.application import Peer
from compartmentd.sessions import replies
from compartmentd.sessions.census import Census
from compartmentd.sessions.connect import Connector
from compartmentd.sessions.core import Core
from compartmentd.sessions.counters import Counters
from compartmentd.sessions.deadlines import Deadlines
from compartmentd.sessions.end_revoked import RevocationSweep
from compartmentd.sessions.environment import Environment
from compartmentd.sessions.join import Joiner
from compartmentd.sessions.pending import PendingEvents
from compartmentd.sessions.publish import Publisher
from compartmentd.sessions.reevaluate import Evictions, Reevaluation
from compartmentd.sessions.registry import Registry
from compartmentd.sessions.reload_diff import ReloadDiff
from compartmentd.sessions.requests import Requests
from compartmentd.sessions.revocations import Revocation, Revocations
from compartmentd.sessions.session import Session
from compartmentd.sessions.spent import SpentRates
from compartmentd.tokens.cache import TokenCache
from compartmentd.tokens.rejected import Rejected
from compartmentd.tokens.verify import Verified


class Hub:
    """Implements `protocol.application.Application`, and what the daemon asks of it."""

    def __init__(self, snapshot: Snapshot, environment: Environment, *, parking: float = 0.0) -> None:
        """Make a hub without sessions.

        Args:
            snapshot: The first snapshot.
            environment: The services that the hub uses.
            parking: Seconds for which a session outlives its connection; 0 ends it with its connection.
        """
        clock = environment.clock
        self._core = core = Core(snapshot, environment)
        self._joiner = Joiner(core)
        self._publisher = Publisher(core)
        self._reevaluation = Reevaluation(core, self._joiner, environment.report_error)
        self._connector = Connector(core, self._reevaluation, environment)
        self._sweep = RevocationSweep(core)
        self._deadlines = Deadlines(core, self._reevaluation)
        self._requests = requests = Requests(
            core,
            self._publisher,
            self._reevaluation,
            self._sweep,
            {"join": self._joiner.join, "leave": self._joiner.leave, "refresh": self._connector.refresh},
        )
        # The server calls it for each message: a method that passes it on would take 60 ns.
        self.handle_event = requests.handle
        core.pending = PendingEvents(
            environment.asker, clock.monotonic, lambda: core.snapshot, requests.admit
        )
        self._take_up_policy()
        self._is_ending = False
        self._parking = parking

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot by which everything is decided now."""
        return self._core.snapshot

    @property
    def registry(self) -> Registry:
        """The sessions, rooms and memberships; to be read, not changed."""
        return self._core.registry

    @property
    def census(self) -> Census:
        """How many rooms and members each template has."""
        return self._core.census

    @property
    def counters(self) -> Counters:
        """The counts of events since the start of the process."""
        return self._core.counters

    @property
    def spent_rates(self) -> SpentRates:
        """The part of their rates that sessions which have ended took; to be read, not changed."""
        return self._core.buckets.spent

    @property
    def observed_limits(self) -> Mapping[tuple[NamespaceName, str], int]:
        """How often each limit would have refused, by namespace and key, while limits were only observed."""
        return self._core.observed.counts

    @property
    def refused_waiting(self) -> int:
        """How many requests were refused since too many of their session waited for answers."""
        return self._core.pending.refused

    @property
    def memory(self) -> TokenCache:
        """The tokens that were verified a moment ago; to be read, not changed."""
        return self._connector.token_check.memory

    @property
    def unseen_tokens(self) -> int:
        """How many tokens were refused without a look, since too many of their address had failed."""
        return self._connector.token_check.unseen

    # --- the server's callbacks ------------------------------------------------------------------------------

    def connect(self, peer: Peer, namespace: str, auth: bytes | None) -> None:
        """Answer a CONNECT, at once or when the keys or answers that it needs have come.

        Args:
            peer: The connection.
            namespace: The namespace's name as the client wrote it.
            auth: The JSON of the auth payload, `None` where there is none.
        """
        if self._is_ending:
            peer.refuse(namespace, *replies.build_connect_error(Code.UNAVAILABLE))
            return
        self._connector.connect(peer, NamespaceName(namespace), auth)

    def handle_leave(self, session: Session) -> None:
        """Forget a session that its client ended.

        Args:
            session: The session; one that has ended already is left alone.
        """
        if not session.ended:
            self._core.forget(session)

    def handle_close(self, peer: Peer, sessions: Sequence[Any], reason: str) -> None:
        """Forget the sessions of a connection that has ended, or park them.

        Args:
            peer: The connection.
            sessions: Its sessions, ended ones among them.
            reason: Why it ended, in Socket.IO's words; after `slow` no session is parked.
        """
        self._core.flood_guard.forget(peer)
        self._connector.forget(peer)
        code = Code.SLOW if reason == "slow" else None
        if code is not None:
            self._core.counters.ended[code] += len(sessions)
        peer.memo = None
        parks = self._parking > 0.0 and code is None and not self._is_ending
        until = self._core.clock.monotonic() + self._parking if parks else 0.0
        for session in sessions:
            if session.ended:
                continue
            if parks:
                self._core.pending.forget(session)
                self._core.registry.park(session, until)
            else:
                self._core.forget(session, code)

    # --- reload ----------------------------------------------------------------------------------------------

    @property
    def judged(self) -> int:
        """How many sessions the current snapshot has judged since it was swapped in."""
        return self._reevaluation.judged

    @property
    def evicted(self) -> Evictions:
        """The sessions and memberships that those judgements took away."""
        return self._reevaluation.evicted

    def swap(self, snapshot: Snapshot) -> None:
        """Let everything from now on be decided by another snapshot; the only place that replaces it.

        The live sessions are then judged by `judge_some`, or before their own next event, whichever is first;
        what is published meanwhile waits on those that are not judged yet.

        Args:
            snapshot: The new snapshot, whose generation is another one.
        """
        core = self._core
        diff = ReloadDiff.compare(core.snapshot, snapshot)
        core.snapshot = snapshot
        self._take_up_policy()
        core.unjudged = deque(core.registry)
        core.fanout.judging = snapshot.generation if core.unjudged else None
        self._reevaluation.start_over(diff)

    def judge_some(self, budget: float) -> bool:
        """Judge sessions by the snapshot in force.

        INVARIANT: a session leaves `unjudged` only once it is judged or ended, so messages to it wait
        until then.

        Args:
            budget: Seconds for which to go on; one session at least is judged.

        Returns:
            Whether all are judged. Where not, `compute_judging_wait` says whether there is work to do now.
        """
        core = self._core
        snapshot = core.snapshot
        until = core.clock.monotonic() + budget
        core.pending.expire()
        while core.unjudged:
            session = core.unjudged[0]
            if not session.ended and session.generation != snapshot.generation:
                self._reevaluation.rejudge(session, snapshot, Code.POLICY_CHANGED)
            core.unjudged.popleft()
            if core.clock.monotonic() >= until:
                break
        if core.unjudged or core.pending.judging:
            return False
        core.fanout.judging = None
        return True

    def compute_judging_wait(self) -> float:
        """Return for how long `judge_some` may have nothing to do, since what is left waits for answers.

        Returns:
            Seconds until the last of these judgements ends without answers; 0 if there is work to do now.
        """
        return 0.0 if self._core.unjudged else self._core.pending.compute_judging_wait()

    def call_when_judged(self, callback: Callable[[], None]) -> None:
        """Call back, once, when no judgement waits for answers any longer.

        Args:
            callback: Wakes the caller of `judge_some`; it is called in the middle of other work, so it must not
                use the hub.
        """
        self._core.pending.call_when_judged(callback)

    # --- the end of the server -------------------------------------------------------------------------------

    def refuse_newcomers(self) -> None:
        """Refuse every CONNECT and join from now on, and those that wait: the server is about to end."""
        self._is_ending = True
        self._connector.refuse_all_waiting()
        self._core.pending.refuse_all(self._core.snapshot)
        self._requests.refuse_joins()

    def announce_end(self, sessions: Iterable[Session]) -> None:
        """Tell the sessions of a connection that the server goes away; closing the transport is the server's part.

        No DISCONNECT is sent: a stock client that is only cut off comes back by itself.

        Args:
            sessions: The sessions of one connection.
        """
        for session in sessions:
            session.send(replies.build_closing(session.namespace.prefix, Code.UNAVAILABLE))

    # --- revocation ------------------------------------------------------------------------------------------

    @property
    def revocations(self) -> Revocations:
        """The revocations; `revoke` adds to them."""
        return self._core.revocations

    def revoke(self, *revocations: Revocation) -> None:
        """Refuse the tokens that they name from now on; `sweep` ends the sessions that came in by them.

        Args:
            revocations: The revocations.
        """
        core = self._core
        core.revocations.expire(core.clock.wall())
        for revocation in revocations:
            reaches_more = core.revocations.add(revocation)
            self._sweep.add(revocation, core.snapshot, everyone=reaches_more)

    def restore(self, revocations: Iterable[Revocation], max_age: float) -> None:
        """Add revocations of before a restart; called before any CONNECT.

        Args:
            revocations: The revocations, in the order of `Revocations.list_all`.
            max_age: The longest life of a token that they were kept for, in seconds.
        """
        known = self._core.revocations
        known.keep_for(max_age)
        known.restore(revocations)
        known.expire(self._core.clock.wall())

    def sweep(self, budget: float) -> bool:
        """End sessions whose tokens were revoked.

        Args:
            budget: Seconds for which to go on, about.

        Returns:
            Whether no session is left to look at.
        """
        return self._sweep.run(budget)

    def count_ended(self, revocation: Revocation) -> AbstractContextManager[Callable[[], int]]:
        """Count, inside the context, the sessions that a revocation ends.

        Args:
            revocation: One that is not counted already.

        Returns:
            A context manager, which gives a function that returns the number so far.
        """
        return self._sweep.count_ended(revocation)

    def refuse_revoked(self, verified: Verified | Rejected, snapshot: Snapshot) -> Verified | Rejected:
        """Refuse a verified token that was revoked.

        Args:
            verified: The token as it was verified, or rejected.
            snapshot: The snapshot by which it was verified.

        Returns:
            What was given, or the rejection of a revoked token.
        """
        return self._core.revocations.refuse_revoked(verified, snapshot.keys)

    def decide(self, request: Administer, snapshot: Snapshot, principal: Principal) -> Decision:
        """Decide a request that no session makes.

        Args:
            request: The request.
            snapshot: The snapshot that decides.
            principal: The holder of a verified token.

        Returns:
            The decision; it is counted and recorded.
        """
        return self._core.decide_access(request, snapshot, principal)

    def _take_up_policy(self) -> None:
        """Take over from the snapshot in force what is asked more often than it changes."""
        configuration = self._core.snapshot.configuration
        self._core.observed.is_observing = configuration.policy.observes_limits
        for entry in configuration.issuers:
            self._core.revocations.keep_for(entry.longest_life)

    # --- time ------------------------------------------------------------------------------------------------

    def tick(self, budget: float) -> bool:
        """Do what is due: end sessions with their tokens, judge again at `valid_until`, end waits and parking.

        Args:
            budget: Seconds for which to go on; one session at least is handled.

        Returns:
            Whether something is left that is due now.
        """
        core = self._core
        core.fanout.drop_batch()
        core.pending.expire()
        core.registry.store.expire()
        core.buckets.spent.expire(core.clock.monotonic())
        self._publisher.drop_acks()
        self._connector.token_check.memory.expire(core.snapshot.keys, core.clock.wall())
        return self._deadlines.meet_due(core.clock.monotonic() + budget)
