"""A session's standing: judged at connect, at a reload, and when time alone could change it.

Token against the current entry and keys; connect rule; memberships in order of dependence; auto-join. What holds
is decided by `policy.reconcile.judge`; here it takes effect.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from compartmentd.names import NamespaceName, SessionId
from compartmentd.policy.codes import Code
from compartmentd.policy.model import Namespace
from compartmentd.policy.principal import ANONYMOUS, Principal
from compartmentd.policy.reconcile import Judgement, judge
from compartmentd.protocol.application import Peer
from compartmentd.sessions import wire
from compartmentd.sessions.core import EXPIRING, Core
from compartmentd.sessions.credentials import Credential, credential
from compartmentd.sessions.limits import tuned
from compartmentd.sessions.membership import Joiner, bucket_size, held_rooms
from compartmentd.sessions.registry import Compartment, Session
from compartmentd.tokens.memory import TokenMemory
from compartmentd.tokens.rejected import Reason, Rejected, invalid
from compartmentd.tokens.verify import Verified, judge_again, principal_of

REMEMBERED_TOKENS = 50_000
"""How many verified tokens are remembered: a signature check costs 100 µs and more, so a crowd that reconnects
after a network fault would otherwise cost seconds of CPU. Bounded by count; a token is 16 KiB at most."""


class Evictions(msgspec.Struct, frozen=True):
    """What a judgement took away."""

    sessions: int = 0
    memberships: int = 0

    def __add__(self, other: Evictions) -> Evictions:
        """Return the sum."""
        return Evictions(self.sessions + other.sessions, self.memberships + other.memberships)


class Standing:
    """Connects sessions and judges them as a whole."""

    def __init__(
        self,
        core: Core,
        joiner: Joiner,
        new_sid: Callable[[], str],
        failed: Callable[[Exception], None],
    ) -> None:
        self._core = core
        self._joiner = joiner
        self._new_sid = new_sid
        self._failed = failed
        self._memory = TokenMemory(REMEMBERED_TOKENS)
        self.judged = 0
        self.evicted = Evictions()

    def start_over(self) -> None:
        """Count judgements and evictions anew: a reload has begun."""
        self.judged = 0
        self.evicted = Evictions()

    # --- connect ---------------------------------------------------------------------------------------------

    def connect(self, peer: Peer, name: NamespaceName, auth: bytes | None) -> None:
        """Answer a CONNECT."""
        core = self._core
        namespace = core.snapshot.configuration.policy.namespaces.get(name)
        if namespace is None:
            # Exactly Socket.IO's own answer, so that what is not declared looks like what does not exist.
            peer.refuse(name, "Invalid namespace")
            return
        places = core.snapshot.configuration.server.token_from
        verified = self._verified(credential(places, auth, peer.handshake), namespace)
        compartment = core.registry.compartments.get(name) or Compartment(name)
        if isinstance(verified, Rejected):
            core.record(
                "connect", compartment, code=verified.code, detail=f"{verified.reason}: {verified.detail}"
            )
            self._refuse(peer, name, verified.code)
            return
        principal = ANONYMOUS if verified is None else self._principal(verified)
        session = Session(SessionId(self._new_sid()), peer, compartment, principal, verified)
        judgement = self._judge(session, new=True)
        core.record("connect", compartment, session=session, decision=judgement.connect)
        if not judgement.connect.allowed:
            self._refuse(peer, name, judgement.connect.code or Code.UNAVAILABLE)
            return
        session.namespace = core.registry.compartment(name)
        session.generation = core.snapshot.generation
        core.registry.add(session)
        self._apply_limits(session, namespace)
        peer.accept(name, session.sid, session)
        self._auto_join(session, judgement)
        self.remind(session)
        session.valid_until = judgement.valid_until
        core.schedule(session)

    def _verified(self, found: Credential, namespace: Namespace) -> Verified | Rejected | None:
        if found.malformed:
            return invalid(Reason.NOT_A_JWT, found.malformed)
        if found.token is None:
            return None
        core = self._core
        return self._memory.verify(
            found.token,
            core.snapshot.keys,
            "connect",
            core.clock.wall(),
            accept=namespace.issuers,
        )

    def _principal(self, verified: Verified) -> Principal:
        return principal_of(verified, self._core.snapshot.keys.entries[verified.subject.entry])

    def _refuse(self, peer: Peer, name: NamespaceName, code: Code) -> None:
        self._core.counters.refused[code] += 1
        message, data = wire.refused_connect(code)
        peer.refuse(name, message, data)

    def remind(self, session: Session) -> None:
        """Tell a session that it will end soon, once."""
        ends_at = session.principal.ends_at
        if ends_at is None or session.expiring_told:
            return
        remaining = ends_at - self._core.clock.wall()
        if remaining <= EXPIRING:
            session.expiring_told = True
            session.send(wire.expiring(session.namespace.prefix, remaining))

    # --- judging ---------------------------------------------------------------------------------------------

    def _judge(self, session: Session, *, new: bool) -> Judgement:
        core = self._core
        compartment = session.namespace
        # Limits bind the next connect and evict nobody: a session that exists is not counted against its user.
        others = compartment.users.get(session.user, 0) if new and session.user is not None else 0
        return judge(
            core.snapshot.rules,
            compartment.name,
            session.principal,
            held_rooms(session),
            declined=session.declined or frozenset(),
            occupancy=compartment.occupancy,
            sessions=others,
            now=core.clock.wall(),
        )

    def rejudge(self, session: Session, lost_code: Code) -> None:
        """Judge a live session as a whole by the current snapshot and let the judgement take effect.

        `lost_code` is what `left` carries for a membership that no longer holds. A session that cannot be
        judged is ended: an error while deciding must not leave it in (P1).
        """
        self.judged += 1
        try:
            self.evicted += self._take_effect(session, lost_code)
        except Exception as error:  # noqa: BLE001 - whatever it is, one session must not keep the others waiting
            self._failed(error)
            self.evicted += self._end(session, Code.UNAVAILABLE)

    def _take_effect(self, session: Session, lost_code: Code) -> Evictions:
        core = self._core
        session.generation = core.snapshot.generation
        namespace = core.snapshot.configuration.policy.namespaces.get(session.namespace.name)
        if namespace is None:
            return self._end(session, Code.POLICY_CHANGED)
        if session.verified is not None:
            again = judge_again(session.verified, core.snapshot.keys, "connect", core.clock.wall())
            if isinstance(again, Rejected):
                return self._end(session, again.code)
            session.verified = again
            session.principal = self._principal(again)
        judgement = self._judge(session, new=False)
        if not judgement.connect.allowed:
            core.record("judge", session.namespace, session=session, decision=judgement.connect)
            return self._end(session, Code.POLICY_CHANGED)
        return self._settle(session, namespace, judgement, lost_code)

    def _end(self, session: Session, code: Code) -> Evictions:
        memberships = len(session.memberships)
        self._core.end(session, code)
        return Evictions(1, memberships)

    def _settle(
        self,
        session: Session,
        namespace: Namespace,
        judgement: Judgement,
        lost_code: Code,
    ) -> Evictions:
        core = self._core
        for room, decision in judgement.lost:
            core.record("judge", session.namespace, session=session, room=room, decision=decision)
            core.registry.leave(session, session.memberships[room])
        self._apply_limits(session, namespace)
        self._rebind(session)
        core.release(session)
        for room, _ in judgement.lost:
            session.send(wire.left(session.namespace.prefix, room, lost_code))
        self._auto_join(session, judgement)
        session.valid_until = judgement.valid_until
        self.remind(session)
        core.schedule(session)
        return Evictions(0, len(judgement.lost))

    def _rebind(self, session: Session) -> None:
        """Point the memberships that stay at the current templates; what was granted before is forgotten."""
        session.grants.clear()
        for membership in session.memberships.values():
            found = self._core.snapshot.rules.find(session.namespace.name, membership.room.name)
            if found is not None:
                membership.template = found.template
            membership.grants.clear()
            self._joiner.retune(membership)

    def _apply_limits(self, session: Session, namespace: Namespace) -> None:
        now = self._core.clock.monotonic()
        limits = session.limits = namespace.limits
        session.messages = tuned(session.messages, limits.message_rate, now)
        session.bytes = tuned(session.bytes, limits.byte_rate, now)
        session.joins = tuned(session.joins, limits.join_rate, now, bucket_size(limits.rooms_per_session))
        session.own_joins = None

    def _auto_join(self, session: Session, judgement: Judgement) -> None:
        core = self._core
        core.counters.auto_join_skipped += len(judgement.skipped)
        for room, decision in judgement.joined:
            found = core.snapshot.rules.find(session.namespace.name, room)
            if found is None or not decision.allowed:
                continue
            core.record("auto_join", session.namespace, session=session, room=room, decision=decision)
            self._joiner.enter(session, room, found.template, by_server=True)
            session.send(wire.joined(session.namespace.prefix, room))
