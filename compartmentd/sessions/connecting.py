"""From a CONNECT to a session, and from a token to the next one (`refresh`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compartmentd.names import NamespaceName, SessionId
from compartmentd.policy.codes import Code
from compartmentd.policy.model import Namespace
from compartmentd.policy.principal import ANONYMOUS
from compartmentd.protocol.application import Peer
from compartmentd.sessions import wire
from compartmentd.sessions.core import Core
from compartmentd.sessions.credentials import Credential, credential
from compartmentd.sessions.limits import longest_wait
from compartmentd.sessions.registry import Compartment, Session
from compartmentd.sessions.standing import Standing
from compartmentd.tokens.memory import TokenMemory
from compartmentd.tokens.rejected import Reason, Rejected, invalid
from compartmentd.tokens.verify import Verified

REMEMBERED_TOKENS = 50_000
"""How many verified tokens are remembered: a signature check costs 100 µs and more, so a crowd that reconnects
after a network fault would otherwise cost seconds of CPU. Bounded by count; a token is 16 KiB at most."""


class Connector:
    """Makes sessions, and gives them newer tokens."""

    def __init__(self, core: Core, standing: Standing, new_sid: Callable[[], str]) -> None:
        self._core = core
        self._standing = standing
        self._new_sid = new_sid
        self._memory = TokenMemory(REMEMBERED_TOKENS)

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
        principal = ANONYMOUS if verified is None else self._standing.principal(verified)
        session = Session(SessionId(self._new_sid()), peer, compartment, principal, verified)
        judgement = self._standing.judge(session, new=True)
        core.record("connect", compartment, session=session, decision=judgement.connect)
        if not judgement.connect.allowed:
            self._refuse(peer, name, judgement.connect.code or Code.UNAVAILABLE)
            return
        session.namespace = core.registry.compartment(name)
        session.generation = core.snapshot.generation
        core.registry.add(session)
        self._standing.apply_limits(session, namespace)
        peer.accept(name, session.sid, session)
        self._standing.auto_join(session, judgement)
        self._standing.remind(session)
        session.valid_until = judgement.valid_until
        core.schedule(session)

    def refresh(self, session: Session, ack: int | None, arguments: list[Any]) -> None:
        """Handle `refresh`: a newer token of the same entry and subject, in place; or nothing changes."""
        core = self._core
        within_rate = session.messages is None or session.messages.take(core.clock.monotonic())
        core.note_rate(session, held=within_rate)
        if len(arguments) != 1 or not isinstance(arguments[0], str) or not arguments[0]:
            core.refuse(session, ack, Code.INVALID_PAYLOAD)
        elif not within_rate:
            core.refuse(session, ack, Code.RATE_LIMITED, longest_wait([(session.messages, 1.0)]))
        else:
            code = self._refreshed(session, arguments[0])
            if code is not None:
                core.refuse(session, ack, code)
            elif session.principal.ends_at is not None:
                core.answer(session, ack, wire.refreshed(session.principal.ends_at))

    def _refreshed(self, session: Session, token: str) -> Code | None:
        """Take the token for the session and judge it by it, every room too; return why not, if not."""
        core = self._core
        namespace = core.snapshot.configuration.policy.namespaces[session.namespace.name]
        verified = self._verified(Credential(token), namespace)
        if isinstance(verified, Rejected):
            detail = f"{verified.reason}: {verified.detail}"
            core.record("refresh", session.namespace, session=session, code=verified.code, detail=detail)
            return verified.code
        if verified is None or verified.subject != session.user:
            detail = "the token is of another subject than the session's"
            core.record("refresh", session.namespace, session=session, code=Code.TOKEN_INVALID, detail=detail)
            return Code.TOKEN_INVALID
        principal = self._standing.principal(verified)
        judgement = self._standing.judge(session, principal=principal)
        core.record("refresh", session.namespace, session=session, decision=judgement.connect)
        if not judgement.connect.allowed:
            return judgement.connect.code
        session.verified = verified
        session.principal = principal
        session.expiring_told = False
        self._standing.settle(session, namespace, judgement, Code.RULE_DENIED)
        return None

    def _verified(self, found: Credential, namespace: Namespace) -> Verified | Rejected | None:
        if found.malformed:
            return invalid(Reason.NOT_A_JWT, found.malformed)
        if found.token is None:
            return None
        core = self._core
        return core.unrevoked(
            self._memory.verify(
                found.token,
                core.snapshot.keys,
                "connect",
                core.clock.wall(),
                accept=namespace.issuers,
            )
        )

    def _refuse(self, peer: Peer, name: NamespaceName, code: Code) -> None:
        self._core.counters.refused[code] += 1
        message, data = wire.refused_connect(code)
        peer.refuse(name, message, data)
