"""Reevaluates a session: judged at connect, at a reload, and when time alone could change the result.

Token against the current entry and keys; connect rule; memberships in order of dependence; auto-join. What holds
is decided by `policy.reconcile.judge`; here it takes effect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from compartmentd.configuration.snapshot import Snapshot
from compartmentd.policy.codes import Code
from compartmentd.policy.decision import NO_ANSWERS, Answers, Decision, Question
from compartmentd.policy.model import RoomTemplate
from compartmentd.policy.principal import Principal
from compartmentd.policy.reconcile import Reconciliation
from compartmentd.sessions import replies
from compartmentd.sessions.core import Core
from compartmentd.sessions.join import Joiner
from compartmentd.sessions.reload_diff import ReloadDiff
from compartmentd.sessions.session import Session
from compartmentd.tokens.kept_claims import keep_named
from compartmentd.tokens.rejected import Rejected
from compartmentd.tokens.verify import Verified, build_principal, reverify


class Evictions(msgspec.Struct, frozen=True):
    """The sessions and memberships that a judgement took away."""

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
        report_error: Callable[[Exception], None],
    ) -> None:
        self._core = core
        self._joiner = joiner
        self._report_error = report_error
        self.diff: ReloadDiff | None = None
        self.judged = 0
        self.evicted = Evictions()

    def start_over(self, diff: ReloadDiff) -> None:
        """Count judgements and evictions anew: a reload has begun."""
        self.diff = diff
        self.judged = 0
        self.evicted = Evictions()

    def remind(self, session: Session) -> None:
        """Tell a session that it will end soon, once."""
        ends_at = session.principal.ends_at
        if ends_at is None or session.expiring_told:
            return
        remaining = ends_at - self._core.clock.wall()
        if remaining <= session.warning:
            session.expiring_told = True
            session.send(replies.build_expiring(session.namespace.prefix, remaining))

    # --- judging ---------------------------------------------------------------------------------------------

    def rejudge(self, session: Session, snapshot: Snapshot, lost_code: Code) -> None:
        """Judge a live session as a whole by the current snapshot and let the judgement take effect.

        `lost_code` is what `left` carries for a membership that no longer holds. A session that cannot be
        judged is ended: an error while deciding must not leave it in (P1). One that needs answers keeps all that it
        has, and counts as not judged, until they are there: it loses nothing for a question on the way.
        """
        if self._core.pending.is_judging(session):
            return
        questions = self.attempt(session, snapshot, lost_code, NO_ANSWERS)
        if questions:
            self._core.pending.wait(_JudgementEvent(self, session, lost_code), questions, snapshot)

    def attempt(
        self, session: Session, snapshot: Snapshot, lost_code: Code, answers: Answers
    ) -> Sequence[Question]:
        """Judge a session with the answers that there are; return the open questions, if there are any."""
        try:
            result = self._take_effect(session, snapshot, lost_code, answers)
        except Exception as error:  # noqa: BLE001 - whatever it is, one session must not keep the others waiting
            self._report_error(error)
            result = self._end(session, snapshot, Code.UNAVAILABLE)
        if not isinstance(result, Evictions):
            return result
        self.judged += 1
        self.evicted += result
        return ()

    def end_undecided(self, session: Session, snapshot: Snapshot) -> None:
        """End a session whose judgement will not come any more."""
        self.judged += 1
        self.evicted += self._end(session, snapshot, Code.UNAVAILABLE)

    def _take_effect(
        self, session: Session, snapshot: Snapshot, lost_code: Code, answers: Answers
    ) -> Evictions | Sequence[Question]:
        core = self._core
        _keep_named(session, snapshot)
        counts = self._is_token_as_before(session, snapshot)
        templates = self.diff.find_templates(session) if counts and self.diff is not None else None
        if session.namespace.name not in snapshot.configuration.policy.namespaces:
            return self._end(session, snapshot, Code.POLICY_CHANGED)
        if templates is not None:
            session.generation = snapshot.generation
            judgement = core.judge_unchanged(session, snapshot)
            return self.settle(session, snapshot, judgement, lost_code, templates)
        if session.verified is not None and not counts:
            again = core.revocations.refuse_revoked(
                reverify(session.verified, snapshot.keys, "connect", core.clock.wall()), snapshot.keys
            )
            if isinstance(again, Rejected):
                return self._end(session, snapshot, again.code)
            core.registry.replace_token(session, again, find_principal(again, snapshot))
        judgement, _ = core.judge_session(session, snapshot, "judge", answers=answers)
        if judgement.questions:
            return judgement.questions
        session.generation = snapshot.generation
        if not judgement.connect.allowed:
            in_vain = judgement.connect.code is Code.UNAVAILABLE
            return self._end(session, snapshot, Code.UNAVAILABLE if in_vain else Code.POLICY_CHANGED)
        return self.settle(session, snapshot, judgement, lost_code)

    def _is_token_as_before(self, session: Session, snapshot: Snapshot) -> bool:
        """Return whether the last reload left the session's token as good as it was."""
        core = self._core
        if self.diff is None or not self.diff.has_same_token(session, core.clock.wall()):
            return False
        return session.verified is None or core.revocations.find_for(session.verified, snapshot.keys) is None

    def _end(self, session: Session, snapshot: Snapshot, code: Code) -> Evictions:
        memberships = len(session.memberships)
        self._core.end(session, snapshot, code)
        return Evictions(1, memberships)

    def settle(
        self,
        session: Session,
        snapshot: Snapshot,
        judgement: Reconciliation,
        lost_code: Code,
        templates: Sequence[RoomTemplate] | None = None,
    ) -> Evictions:
        """Let a judgement that lets the session stay take effect on its memberships.

        `templates` are those of its rooms, where they have been looked up already.
        """
        core = self._core
        lost = [(room, _code_of_loss(decision, lost_code)) for room, decision in judgement.lost]
        for room, code in lost:
            core.registry.leave(session, session.memberships[room], code)
        namespace = snapshot.configuration.policy.namespaces[session.namespace.name]
        core.buckets.fit_session(session, namespace.limits)
        self._rebind(session, snapshot, templates)
        core.fanout.release(session)
        for room, code in lost:
            session.send(replies.build_left(session.namespace.prefix, room, code))
        self.auto_join(session, snapshot, judgement)
        session.valid_until = judgement.valid_until
        self.remind(session)
        core.schedule(session)
        return Evictions(0, len(judgement.lost))

    def _rebind(self, session: Session, snapshot: Snapshot, templates: Sequence[RoomTemplate] | None) -> None:
        """Point the memberships that stay at the current templates; what was granted before is forgotten."""
        memberships = session.memberships.values()
        if templates is None:
            find, name = snapshot.rules.find, session.namespace.name
            matches = [find(name, membership.room.name) for membership in memberships]
            # What stays was just allowed, hence has a template.
            templates = [match.template for match in matches if match is not None]
        for membership, template in zip(memberships, templates, strict=True):
            self._core.registry.move(session, membership, template)
            membership.forget_grants()
            self._core.buckets.fit_membership(session, membership)

    def auto_join(self, session: Session, snapshot: Snapshot, judgement: Reconciliation) -> None:
        """Put a session into the rooms that a judgement found for it."""
        for room, decision in judgement.joined:
            found = snapshot.rules.find(session.namespace.name, room)
            if found is None or not decision.allowed:
                continue
            self._joiner.enter(session, room, found.template, by_server=True)
            session.send(replies.build_joined(session.namespace.prefix, room))


def _code_of_loss(decision: Decision, code: Code) -> Code:
    """Return what a lost membership is told: `unavailable` where its question was asked in vain, else the code."""
    return Code.UNAVAILABLE if decision.code is Code.UNAVAILABLE else code


class _JudgementEvent(msgspec.Struct, frozen=True, eq=False):
    """A judgement of a whole session that waits for answers, before all that its client asks."""

    reevaluation: Reevaluation
    session: Session
    lost_code: Code
    rooms: None = None
    size: int = 0

    def attempt(self, snapshot: Snapshot, answers: Answers) -> Sequence[Question]:
        """Judge the session."""
        return self.reevaluation.attempt(self.session, snapshot, self.lost_code, answers)

    def refuse(self, snapshot: Snapshot, _code: Code) -> None:
        """End the session."""
        self.reevaluation.end_undecided(self.session, snapshot)


def _keep_named(session: Session, snapshot: Snapshot) -> None:
    """Have at hand what a snapshot names of a session's claims: a reload may read others than the one before."""
    verified = session.verified
    if verified is None or type(verified.claims) is dict:  # all of them are
        return
    claims = keep_named(verified.claims, snapshot.named_claims)
    if claims is not verified.claims:
        session.verified = msgspec.structs.replace(verified, claims=claims)
        session.principal = msgspec.structs.replace(session.principal, claims=claims)


def find_principal(verified: Verified, snapshot: Snapshot) -> Principal:
    """Return the token's holder by the entries of a snapshot."""
    return build_principal(verified, snapshot.keys.entries[verified.subject.entry])
