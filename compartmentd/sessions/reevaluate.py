"""A session's standing: judged at connect, at a reload, and when time alone could change it.

Token against the current entry and keys; connect rule; memberships in order of dependence; auto-join. What holds
is decided by `policy.reconcile.judge`; here it takes effect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from compartmentd.policy.codes import Code
from compartmentd.policy.model import Namespace, RoomTemplate
from compartmentd.policy.principal import Principal
from compartmentd.policy.reconcile import Judgement, judge, judge_unchanged
from compartmentd.sessions import replies
from compartmentd.sessions.core import Core
from compartmentd.sessions.join import Joiner, bucket_size, held_rooms
from compartmentd.sessions.registry import Session
from compartmentd.sessions.reload_diff import ReloadDiff
from compartmentd.tokens.rejected import Rejected
from compartmentd.tokens.verify import Verified, judge_again, principal_of
from compartmentd.util.ratelimit import retune_bucket


class Evictions(msgspec.Struct, frozen=True):
    """What a judgement took away."""

    sessions: int = 0
    memberships: int = 0

    def __add__(self, other: Evictions) -> Evictions:
        """Return the sum."""
        return Evictions(self.sessions + other.sessions, self.memberships + other.memberships)


class Reevaluation:
    """Judges sessions as a whole, and lets the judgement take effect."""

    def __init__(
        self,
        core: Core,
        joiner: Joiner,
        failed: Callable[[Exception], None],
    ) -> None:
        self._core = core
        self._joiner = joiner
        self._failed = failed
        self.unchanged: ReloadDiff | None = None
        self.judged = 0
        self.evicted = Evictions()

    def start_over(self, unchanged: ReloadDiff) -> None:
        """Count judgements and evictions anew: a reload has begun, which left this as it was."""
        self.unchanged = unchanged
        self.judged = 0
        self.evicted = Evictions()

    def principal(self, verified: Verified) -> Principal:
        """Return the token's holder by the entries of now."""
        return principal_of(verified, self._core.snapshot.keys.entries[verified.subject.entry])

    def remind(self, session: Session) -> None:
        """Tell a session that it will end soon, once."""
        ends_at = session.principal.ends_at
        if ends_at is None or session.expiring_told:
            return
        remaining = ends_at - self._core.clock.wall()
        if remaining <= session.warning:
            session.expiring_told = True
            session.send(replies.expiring(session.namespace.prefix, remaining))

    # --- judging ---------------------------------------------------------------------------------------------

    def judge(self, session: Session, *, new: bool = False, principal: Principal | None = None) -> Judgement:
        """Judge a session by the current snapshot, as its holder or as another `principal`; changes nothing."""
        core = self._core
        namespace = session.namespace
        # Limits bind the next connect and evict nobody: a session that exists is not counted against its user.
        others = namespace.users.get(session.user, 0) if new and session.user is not None else 0
        return judge(
            core.snapshot.rules,
            namespace.name,
            principal or session.principal,
            held_rooms(session),
            declined=session.declined or frozenset(),
            occupancy=namespace.occupancy,
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
        counts = self._counts_as_before(session)
        templates = self.unchanged.templates(session) if counts and self.unchanged is not None else None
        session.generation = core.snapshot.generation
        namespace = core.snapshot.configuration.policy.namespaces.get(session.namespace.name)
        if namespace is None:
            return self._end(session, Code.POLICY_CHANGED)
        if templates is not None:
            return self.settle(session, namespace, self._as_before(session), lost_code, templates)
        if session.verified is not None and not counts:
            again = core.unrevoked(
                judge_again(session.verified, core.snapshot.keys, "connect", core.clock.wall())
            )
            if isinstance(again, Rejected):
                return self._end(session, again.code)
            session.verified = again
            session.principal = self.principal(again)
        judgement = self.judge(session)
        if not judgement.connect.allowed:
            core.record("judge", session.namespace, session=session, decision=judgement.connect)
            return self._end(session, Code.POLICY_CHANGED)
        return self.settle(session, namespace, judgement, lost_code)

    def _counts_as_before(self, session: Session) -> bool:
        """Tell whether the last reload left the session's token as good as it was."""
        core = self._core
        if self.unchanged is None or not self.unchanged.token(session, core.clock.wall()):
            return False
        return session.verified is None or core.revocation_of(session.verified) is None

    def _as_before(self, session: Session) -> Judgement:
        namespace = session.namespace
        return judge_unchanged(
            self._core.snapshot.rules,
            namespace.name,
            session.principal,
            [membership.room.name for membership in session.memberships.values()],
            declined=session.declined or frozenset(),
            occupancy=namespace.occupancy,
            valid_until=session.valid_until,
            now=self._core.clock.wall(),
        )

    def _end(self, session: Session, code: Code) -> Evictions:
        memberships = len(session.memberships)
        self._core.end(session, code)
        return Evictions(1, memberships)

    def settle(
        self,
        session: Session,
        namespace: Namespace,
        judgement: Judgement,
        lost_code: Code,
        templates: Sequence[RoomTemplate] | None = None,
    ) -> Evictions:
        """Let a judgement that lets the session stay take effect on its memberships.

        `templates` are those of its rooms, where they have been looked up already.
        """
        core = self._core
        for room, decision in judgement.lost:
            core.record("judge", session.namespace, session=session, room=room, decision=decision)
            core.registry.leave(session, session.memberships[room])
        self.apply_limits(session, namespace)
        self._rebind(session, templates)
        core.release(session)
        for room, _ in judgement.lost:
            session.send(replies.left(session.namespace.prefix, room, lost_code))
        self.auto_join(session, judgement)
        session.valid_until = judgement.valid_until
        self.remind(session)
        core.schedule(session)
        return Evictions(0, len(judgement.lost))

    def _rebind(self, session: Session, templates: Sequence[RoomTemplate] | None) -> None:
        """Point the memberships that stay at the current templates; what was granted before is forgotten."""
        memberships = session.memberships.values()
        if templates is None:
            find, name = self._core.snapshot.rules.find, session.namespace.name
            matches = [find(name, membership.room.name) for membership in memberships]
            # What stays was just allowed, hence has a template.
            templates = [match.template for match in matches if match is not None]
        for membership, template in zip(memberships, templates, strict=True):
            self._core.registry.move(session, membership, template)
            membership.forget_grants()
            self._joiner.retune(membership)

    def apply_limits(self, session: Session, namespace: Namespace) -> None:
        """Give a session the limits of its namespace; what it has taken of its rates stays taken."""
        now = self._core.clock.monotonic()
        limits = session.limits = namespace.limits
        session.messages = retune_bucket(session.messages, limits.message_rate, now)
        session.bytes = retune_bucket(session.bytes, limits.byte_rate, now)
        session.joins = retune_bucket(
            session.joins, limits.join_rate, now, bucket_size(limits.rooms_per_session)
        )
        if session.own_joins is not None:
            # A full one is as good as none; so nothing stays of templates that are gone.
            session.own_joins = {
                name: bucket for name, bucket in session.own_joins.items() if not bucket.is_full(now)
            } or None

    def auto_join(self, session: Session, judgement: Judgement) -> None:
        """Put a session into the rooms that a judgement found for it."""
        core = self._core
        core.counters.auto_join_skipped += len(judgement.skipped)
        for room, decision in judgement.joined:
            found = core.snapshot.rules.find(session.namespace.name, room)
            if found is None or not decision.allowed:
                continue
            core.record("auto_join", session.namespace, session=session, room=room, decision=decision)
            self._joiner.enter(session, room, found.template, by_server=True)
            session.send(replies.joined(session.namespace.prefix, room))
