"""Answers a CONNECT with a session or a refusal, and a `refresh` with a newer token for the session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from compartmentd.configuration.snapshot import Snapshot
from compartmentd.names import NamespaceName, SessionId
from compartmentd.policy.codes import Code
from compartmentd.policy.decision import NO_ANSWERS, Answers, Question
from compartmentd.policy.model import Namespace
from compartmentd.policy.principal import ANONYMOUS
from compartmentd.protocol.application import Peer
from compartmentd.sessions import replies
from compartmentd.sessions.core import Core
from compartmentd.sessions.counters import UNDECLARED
from compartmentd.sessions.credentials import Credential, find_credential
from compartmentd.sessions.environment import Environment
from compartmentd.sessions.key_wait import KeyWait
from compartmentd.sessions.missing_token import explain_missing_token
from compartmentd.sessions.rates import charge_connect, take_connect
from compartmentd.sessions.reevaluate import Reevaluation, find_principal
from compartmentd.sessions.session import EXPIRING, NamespaceState, Session
from compartmentd.sessions.token_check import TokenCheck
from compartmentd.tokens.rejected import Rejected
from compartmentd.tokens.verify import Verified
from compartmentd.util.ratelimit import longest_wait

ROOMS_IN_ONE = 32
"""Rooms and values of claims that a judgement may look at for one token of a rate: half a millisecond of work. At
50 messages a second, a session that refreshes as fast as it may takes 2.5 % of the loop."""

MOST_FOR_CONNECT = 8.0
"""Tokens that one CONNECT takes at most, so that 16 namespaces with many rooms can still be connected at once."""


class Connector:
    """Makes sessions, and gives them newer tokens."""

    def __init__(self, core: Core, reevaluation: Reevaluation, environment: Environment) -> None:
        self._core = core
        self._reevaluation = reevaluation
        self._new_sid = environment.new_sid
        self.token_check = TokenCheck(core, environment.find_network)
        self._key_wait = KeyWait(environment.keys)
        # Waiting CONNECTs, by the id of their connection, which is kept so that the id is not used again meanwhile.
        self._waiting: dict[int, tuple[Peer, set[NamespaceName]]] = {}

    def connect(self, peer: Peer, name: NamespaceName, auth: bytes | None) -> None:
        """Answer a CONNECT, at once or when the keys that its token needs have been fetched."""
        wait = take_connect(peer, self._core.clock.monotonic())
        self._core.flood_guard.note(peer, within=not wait)
        if wait:
            self._refuse(peer, name, Code.RATE_LIMITED, after=wait)
            return

        def again() -> None:
            if self._take_waiting(peer, name):
                self._connect(peer, name, auth)

        if self._connect(peer, name, auth, if_waiting=again):
            self._wait(peer, name)

    def _wait(self, peer: Peer, name: NamespaceName) -> None:
        self._waiting.setdefault(id(peer), (peer, set()))[1].add(name)

    def _take_waiting(self, peer: Peer, name: NamespaceName) -> bool:
        """Take a CONNECT from those that wait; return whether its connection is still there."""
        _, names = self._waiting.get(id(peer), (peer, set()))
        there = name in names
        names.discard(name)
        if not names:
            self._waiting.pop(id(peer), None)
        return there

    def refuse_all_waiting(self) -> None:
        """Refuse the CONNECTs that wait: a session that is let in now would be ended at once."""
        waiting, self._waiting = self._waiting, {}
        for peer, names in waiting.values():
            for name in names:
                self._refuse(peer, name, Code.UNAVAILABLE)

    def forget(self, peer: Peer) -> None:
        """Forget the CONNECTs of a connection that has ended: a session must not be made for it any more."""
        self._waiting.pop(id(peer), None)

    def _connect(
        self,
        peer: Peer,
        name: NamespaceName,
        auth: bytes | None,
        if_waiting: Callable[[], None] | None = None,
    ) -> bool:
        """Answer a CONNECT, or return true where it waits instead and `if_waiting` will be called."""
        snapshot = self._core.snapshot
        namespace = snapshot.configuration.policy.namespaces.get(name)
        if namespace is None:
            self._refuse_undeclared(peer, snapshot, name)
            return False
        if if_waiting is not None and self._is_beyond_namespaces(peer, snapshot, name):
            return False
        since = self._core.clock.monotonic()
        places = snapshot.configuration.server.token_from
        found = find_credential(places, auth, peer.handshake)
        verified = self.token_check.check(found, snapshot, namespace, peer.handshake.address)
        if isinstance(verified, Rejected):
            if if_waiting is not None and self._key_wait.start_waiting(verified, if_waiting):
                return True
            self._reject(peer, snapshot, name, verified, since)
        else:
            undecided = self._let_in(peer, snapshot, namespace, verified, auth, since=since)
            if undecided is not None:
                self._wait(peer, name)
                event = _ConnectEvent(self, undecided.session, peer, name, auth)
                self._core.pending.wait(event, undecided.questions, snapshot)
        return False

    def attempt(
        self, peer: Peer, snapshot: Snapshot, name: NamespaceName, auth: bytes | None, answers: Answers
    ) -> Sequence[Question]:
        """Decide a CONNECT again that waited for answers; return the open questions, if there are any."""
        if not self._take_waiting(peer, name):
            return ()
        namespace = snapshot.configuration.policy.namespaces.get(name)
        if namespace is None:
            self._refuse_undeclared(peer, snapshot, name)
            return ()
        since = self._core.clock.monotonic()
        places = snapshot.configuration.server.token_from
        found = find_credential(places, auth, peer.handshake)
        verified = self.token_check.check(found, snapshot, namespace, peer.handshake.address)
        if isinstance(verified, Rejected):
            self._reject(peer, snapshot, name, verified, since)
            return ()
        undecided = self._let_in(peer, snapshot, namespace, verified, auth, since=since, answers=answers)
        if undecided is None:
            return ()
        self._wait(peer, name)
        return undecided.questions

    def refuse_waiting(self, peer: Peer, name: NamespaceName, code: Code) -> None:
        """Refuse a CONNECT that waited for answers, if it was not refused already."""
        if self._take_waiting(peer, name):
            self._refuse(peer, name, code)

    def _refuse_undeclared(self, peer: Peer, snapshot: Snapshot, name: NamespaceName) -> None:
        """Refuse a CONNECT to a namespace that is not declared."""
        core, code = self._core, Code.INVALID_NAMESPACE
        core.recorder.record(
            "connect", snapshot, UNDECLARED, event=name, code=code, address=peer.handshake.address
        )
        core.counters.refused[code] += 1
        # Exactly Socket.IO's own answer, so that what is not declared looks like what does not exist.
        peer.refuse(name, "Invalid namespace")

    def _is_beyond_namespaces(self, peer: Peer, snapshot: Snapshot, name: NamespaceName) -> bool:
        """Refuse a CONNECT on a connection that has as many namespaces as it may; return whether it is refused."""
        core, most = self._core, snapshot.configuration.policy.namespaces_per_connection
        if most is None or peer.count_namespaces(name) < most:
            return False
        if core.observed.is_observing:
            core.observed.note(name, "namespaces_per_connection", None)
            return False
        code = Code.TOO_MANY
        ref = core.recorder.record(
            "connect",
            snapshot,
            name,
            code=code,
            detail=f"namespaces_per_connection {most}",
            address=peer.handshake.address,
        )
        self._refuse(peer, name, code, ref=ref)
        return True

    def _reject(
        self, peer: Peer, snapshot: Snapshot, name: NamespaceName, rejected: Rejected, since: float
    ) -> None:
        code, address = self._key_wait.find_code(rejected), peer.handshake.address
        self.token_check.note_failed(code, snapshot, address)
        ref = self._core.recorder.record(
            "connect",
            snapshot,
            name,
            code=code,
            detail=f"{rejected.reason}: {rejected.detail}",
            address=address,
            since=since,
        )
        self._refuse(peer, name, code, after=self._compute_wait(rejected, code, address), ref=ref)

    def _compute_wait(self, rejected: Rejected, code: Code, address: str) -> float | None:
        """Return in how many seconds a refused token may be sent again, where that is known."""
        if code is Code.KEYS_UNAVAILABLE:
            return self._key_wait.compute_wait(rejected)
        return self.token_check.compute_wait(rejected, address)

    def _let_in(
        self,
        peer: Peer,
        snapshot: Snapshot,
        namespace: Namespace,
        verified: Verified | None,
        auth: bytes | None,
        *,
        since: float,
        answers: Answers = NO_ANSWERS,
    ) -> _Undecided | None:
        """Make a session for the holder of this token, or of none, if the policy allows it.

        Where that cannot be decided without answers nothing happens, and the session that would be is returned.
        """
        core, name = self._core, namespace.name
        live = core.registry.namespaces.get(name) or NamespaceState(name)
        principal = ANONYMOUS if verified is None else find_principal(verified, snapshot)
        session = Session(SessionId(self._new_sid()), peer, live, principal, verified)
        places = snapshot.configuration.server.token_from
        judgement, ref = core.judge_session(
            session,
            snapshot,
            "connect",
            answers=answers,
            address=peer.handshake.address,
            since=since,
            explain_missing=partial(explain_missing_token, places, auth, peer.handshake),
        )
        if judgement.questions:
            return _Undecided(session, judgement.questions)
        if judgement.work >= ROOMS_IN_ONE:
            more = min(judgement.work / ROOMS_IN_ONE, MOST_FOR_CONNECT) - 1
            charge_connect(peer, core.clock.monotonic(), more)
        if not judgement.connect.allowed:
            self._refuse(peer, name, judgement.connect.code or Code.UNAVAILABLE, ref=ref)
            return None
        self._replace_oldest(session, snapshot, namespace)
        session.namespace = core.registry.get_namespace(name)
        session.generation = snapshot.generation
        core.registry.add(session)
        core.buckets.fit_session(session, namespace.limits)
        peer.accept(name, session.sid, session)
        self._reevaluation.auto_join(session, snapshot, judgement)
        self._reevaluation.remind(session)
        session.valid_until = judgement.valid_until
        core.schedule(session)
        return None

    def _replace_oldest(self, session: Session, snapshot: Snapshot, namespace: Namespace) -> None:
        """End sessions of a user for a new one, where they yield (`when_full`): parked ones, then the oldest."""
        core, user, limits = self._core, session.user, namespace.limits
        if user is None or limits.sessions_per_user is None or not limits.replaces_oldest:
            return
        if core.observed.is_observing:
            return
        live = session.namespace
        surplus = live.count_sessions(user) - limits.sessions_per_user + 1
        if surplus > 0:
            for oldest in (*live.parked_users.find(user), *live.users.find(user))[:surplus]:
                core.end(oldest, snapshot, Code.REPLACED)

    def refresh(self, session: Session, snapshot: Snapshot, ack: bytes | None, arguments: list[Any]) -> None:
        """Handle `refresh`: a newer token of the same entry and subject, in place; or nothing changes."""
        core = self._core
        within_rate = session.messages is None or session.messages.take(core.clock.monotonic())
        core.flood_guard.note(session.peer, within=within_rate)
        if len(arguments) != 1 or not isinstance(arguments[0], str) or not arguments[0]:
            core.turn_down("refresh", snapshot, session, ack, Code.INVALID_PAYLOAD)
        elif not within_rate:
            wait = longest_wait([(session.messages, 1.0)])
            core.turn_down(
                "refresh", snapshot, session, ack, Code.RATE_LIMITED, after=wait, rate="message_rate"
            )
        else:
            self._refresh(session, snapshot, ack, arguments[0], may_wait=True)

    def _refresh(
        self, session: Session, snapshot: Snapshot, ack: bytes | None, token: str, *, may_wait: bool
    ) -> None:
        """Answer a `refresh`, unless it waits for keys first."""
        core = self._core
        namespace = snapshot.configuration.policy.namespaces[session.namespace.name]
        address = session.peer.handshake.address
        verified = self.token_check.check(Credential(token), snapshot, namespace, address, session.user)

        def again() -> None:
            now = core.snapshot  # another one, where a reload came while the keys were awaited
            if session.generation != now.generation and not session.ended:
                self._reevaluation.rejudge(session, now, Code.POLICY_CHANGED)
            if not session.ended:
                self._refresh(session, now, ack, token, may_wait=False)

        if isinstance(verified, Rejected) and may_wait and self._key_wait.start_waiting(verified, again):
            return
        core.pending.handle(_RefreshEvent(self, session, ack, token), snapshot)

    def take_token(
        self, session: Session, snapshot: Snapshot, ack: bytes | None, token: str, answers: Answers
    ) -> Sequence[Question]:
        """Decide a `refresh` and answer it; return the open questions, if there are any."""
        core = self._core
        namespace = snapshot.configuration.policy.namespaces[session.namespace.name]
        address = session.peer.handshake.address
        verified = self.token_check.check(Credential(token), snapshot, namespace, address, session.user)
        if not isinstance(verified, Verified) or verified.subject != session.user:
            code, detail = Code.TOKEN_INVALID, "the token is of another subject than the session's"
            after = None
            if isinstance(verified, Rejected):
                code, detail = self._key_wait.find_code(verified), f"{verified.reason}: {verified.detail}"
                self.token_check.note_failed(code, snapshot, address)
                after = self._compute_wait(verified, code, address)
            ref = core.recorder.record(
                "refresh", snapshot, namespace.name, session=session, code=code, detail=detail
            )
            core.refuse(session, ack, code, after, ref)
            return ()
        principal = find_principal(verified, snapshot)
        judgement, ref = core.judge_session(
            session, snapshot, "refresh", principal=principal, answers=answers
        )
        if judgement.questions:
            return judgement.questions
        if session.messages is not None and judgement.work >= ROOMS_IN_ONE:
            session.messages.charge(core.clock.monotonic(), judgement.work / ROOMS_IN_ONE)
        if judgement.connect.code is not None:
            core.refuse(session, ack, judgement.connect.code, ref=ref)
            return ()
        core.registry.replace_token(session, verified, principal)
        session.expiring_told = False
        # Told at once, a client of a provider with short tokens would refresh again at once, and for ever.
        session.warning = min(EXPIRING, (verified.ends_at - core.clock.wall()) / 2)
        self._reevaluation.settle(session, snapshot, judgement, Code.RULE_DENIED)
        core.answer(session, ack, replies.build_refreshed_ack(verified.ends_at))
        return ()

    def refuse_refresh(self, session: Session, snapshot: Snapshot, ack: bytes | None, code: Code) -> None:
        """Refuse a `refresh` without deciding it."""
        self._core.turn_down("refresh", snapshot, session, ack, code)

    def _refuse(
        self, peer: Peer, name: NamespaceName, code: Code, *, after: float | None = None, ref: str = ""
    ) -> None:
        self._core.counters.refused[code] += 1
        message, data = replies.build_connect_error(code, after, ref)
        peer.refuse(name, message, data)


class _Undecided(NamedTuple):
    """A session that would be, were its questions answered well."""

    session: Session
    questions: Sequence[Question]


class _ConnectEvent(msgspec.Struct, frozen=True, eq=False):
    """A CONNECT that waits for answers."""

    connector: Connector
    session: Session
    peer: Peer
    name: NamespaceName
    auth: bytes | None
    rooms: tuple[()] = ()
    size: int = 0

    def attempt(self, snapshot: Snapshot, answers: Answers) -> Sequence[Question]:
        """Decide it again; nothing happens where its connection has ended."""
        return self.connector.attempt(self.peer, snapshot, self.name, self.auth, answers)

    def refuse(self, _snapshot: Snapshot, code: Code) -> None:
        """Refuse it."""
        self.connector.refuse_waiting(self.peer, self.name, code)


class _RefreshEvent(msgspec.Struct, frozen=True, eq=False):
    """A `refresh`; it waits behind a judgement of its session, and for answers of its own."""

    connector: Connector
    session: Session
    ack: bytes | None
    token: str
    rooms: tuple[()] = ()

    @property
    def size(self) -> int:
        """The bytes that it takes while it waits."""
        return len(self.token)

    def attempt(self, snapshot: Snapshot, answers: Answers) -> Sequence[Question]:
        """Judge the session by the newer token."""
        return self.connector.take_token(self.session, snapshot, self.ack, self.token, answers)

    def refuse(self, snapshot: Snapshot, code: Code) -> None:
        """Refuse the newer token; the session goes on with the one that it has."""
        self.connector.refuse_refresh(self.session, snapshot, self.ack, code)
