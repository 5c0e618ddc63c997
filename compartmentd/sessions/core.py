"""What all parts of the hub share: the one snapshot, the registry, the clocks, and how a session ends."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from compartmentd.configuration.snapshot import Snapshot
from compartmentd.names import RoomName
from compartmentd.policy.codes import Code
from compartmentd.policy.decision import Decision
from compartmentd.protocol.application import Peer
from compartmentd.protocol.message import Message
from compartmentd.sessions import replies
from compartmentd.sessions.agenda import Agenda
from compartmentd.sessions.audit import AuditLog, Occasion, Record
from compartmentd.sessions.clock import Clock
from compartmentd.sessions.counters import Counters
from compartmentd.sessions.flood import Flood
from compartmentd.sessions.rates import CONNECTED_ONCE, ConnectionRates
from compartmentd.sessions.registry import NamespaceState, Registry, Session
from compartmentd.sessions.revocations import Revocation, Revocations
from compartmentd.tokens.rejected import Reason, Rejected
from compartmentd.tokens.verify import Verified


class Core:
    """The state behind the hub.

    INVARIANT: `snapshot` is replaced in one place (`hub.swap`), and every event reads it once.
    """

    def __init__(self, snapshot: Snapshot, clock: Clock, journal: AuditLog) -> None:
        self.snapshot = snapshot
        self.generation = snapshot.generation
        self.clock = clock
        self.journal = journal
        self.registry = Registry()
        self.agenda = Agenda()
        self.counters = Counters()
        self.revocations = Revocations()
        self.unjudged: deque[Session] = deque()
        """Sessions that the current snapshot has not judged yet; empty except during a reload."""
        self.floods: dict[int, Flood] = {}

    # --- telling ---------------------------------------------------------------------------------------------

    def deliver(
        self,
        recipients: Iterable[Session],
        message: Message,
        *,
        sender: Session | None,
        room: RoomName | None,
        volatile: bool,
    ) -> None:
        """Send a published message to its recipients.

        While a reload is judging, whoever is not judged yet gets it later, if the new policy lets it: what is
        published after a reload must not reach a session that the reload denies (P3).
        """
        generation = self.snapshot.generation if self.unjudged else None
        counters = self.counters
        # A copy: sending may close a connection, which changes the rooms.
        for session in tuple(recipients):
            if session is sender:
                continue
            if generation is not None and session.generation != generation:
                if session.held is None:
                    session.held = []
                session.held.append((room, message, volatile))
            elif volatile and not session.peer.clear:
                counters.volatile_dropped += 1
            else:
                session.send(message)
                counters.delivered += 1

    def release(self, session: Session) -> None:
        """Send what waited for the session's judgement, in order, without the rooms that it lost."""
        held, session.held = session.held, None
        for room, message, volatile in held or ():
            if room is not None and room not in session.memberships:
                continue
            if volatile and not session.peer.clear:
                self.counters.volatile_dropped += 1
            else:
                session.send(message)
                self.counters.delivered += 1

    def answer(self, session: Session, ack: bytes | None, body: bytes) -> None:
        """Answer a request, if it asked for an answer."""
        if ack is not None:
            session.send(replies.ack(session.namespace.prefix, ack, body))

    def refuse(
        self, session: Session, ack: bytes | None, code: Code, after: float | None = None, ref: str = ""
    ) -> None:
        """Refuse a request: by its ack, or by dropping it; `after` is in how many seconds it may be repeated."""
        self.counters.refused[code] += 1
        if ack is None:
            self.counters.unanswered += 1
        else:
            session.send(replies.ack(session.namespace.prefix, ack, replies.refusal(code, after, ref)))

    def turn_down(
        self,
        occasion: Occasion,
        session: Session,
        ack: bytes | None,
        code: Code,
        *,
        after: float | None = None,
        event: str | None = None,
    ) -> None:
        """Refuse a request that no rule was asked about: its form, its rate."""
        ref = self.record(occasion, session.namespace, session=session, event=event, code=code)
        self.refuse(session, ack, code, after, ref)

    def record(
        self,
        occasion: Occasion,
        namespace: NamespaceState,
        *,
        session: Session | None = None,
        room: str | None = None,
        event: str | None = None,
        code: Code | None = None,
        decision: Decision | None = None,
        detail: str = "",
        address: str | None = None,
        since: float | None = None,
    ) -> str:
        """Count a decision or an end, and tell the journal, if anybody reads it.

        `since` is the monotonic time at which deciding began. Returns the reference for the client's answer.
        """
        code = code if decision is None else decision.code
        if occasion != "end":
            self.counters.decided[occasion, namespace.name, code] += 1
        if not self.journal.wants(code):
            return ""
        return self.journal.decided(
            Record(
                at=self.clock.wall(),
                generation=self.snapshot.generation,
                digest=self.snapshot.digest,
                occasion=occasion,
                namespace=namespace.name,
                session=None if session is None else session.sid,
                subject=None if session is None else session.user,
                claims={} if session is None else self._logged(session),
                address=address,
                room=None if room is None else RoomName(room),
                event=event,
                code=code,
                decision=decision,
                detail=detail,
                took=None if since is None else self.clock.monotonic() - since,
            ),
        )

    def _logged(self, session: Session) -> dict[str, Any]:
        """Return the claims that the operator wants in the log, nested as in the token."""
        found: dict[str, Any] = {}
        for path in self.snapshot.configuration.log.claims:
            value: Any = session.principal.claims
            for key in path:
                value = value.get(key) if isinstance(value, Mapping) else None
            if value is not None:
                place = found
                for key in path[:-1]:
                    place = place.setdefault(key, {})
                place[path[-1]] = value
        return found

    # --- revocation ------------------------------------------------------------------------------------------

    def revocation_of(self, verified: Verified) -> Revocation | None:
        """Return what revokes a token, `None` if it counts."""
        entry = self.snapshot.keys.entries.get(verified.subject.entry)
        # Without an entry: a reload has just removed it, and judging the session will end it.
        return None if entry is None else self.revocations.covering(verified, entry.issuer)

    def unrevoked(self, verified: Verified | Rejected) -> Verified | Rejected:
        """Refuse a token that was revoked; every way in for a verified token comes through here."""
        if isinstance(verified, Rejected):
            return verified
        revocation = self.revocation_of(verified)
        if revocation is None:
            return verified
        return Rejected(revocation.code, Reason(revocation.code.value), _REVOKED[revocation.code])

    # --- rates -----------------------------------------------------------------------------------------------

    def take_connect(self, peer: Peer) -> bool:
        """Take one from the rate of a connection's CONNECTs."""
        if peer.memo is None:
            peer.memo = CONNECTED_ONCE
            return True
        return self._rates_of(peer).connects.take(self.clock.monotonic())

    def _rates_of(self, peer: Peer) -> ConnectionRates:
        if peer.memo is CONNECTED_ONCE:
            peer.memo = ConnectionRates(self.clock.monotonic())
        rates: ConnectionRates = peer.memo
        return rates

    def note_rate(self, session: Session, *, held: bool) -> None:
        """Follow a connection's run of rate refusals; close it when it does nothing else for long."""
        key = id(session.peer)
        if held:
            if self.floods:
                self.floods.pop(key, None)
            return
        now = self.clock.monotonic()
        flood = self.floods.get(key)
        if flood is None:
            self.floods[key] = Flood(now)
        elif flood.refused(now):
            self.counters.floods_closed += 1
            session.peer.close("rate limit")

    # --- ending ----------------------------------------------------------------------------------------------

    def end(self, session: Session, code: Code) -> None:
        """End a session from our side: `closing`, then DISCONNECT, and nothing after it."""
        if session.ended:
            return
        self.counters.ended[code] += 1
        self.record("end", session.namespace, session=session, code=code)
        self.forget(session)
        session.send(replies.closing(session.namespace.prefix, code))
        session.peer.end(session.namespace.name)

    def forget(self, session: Session) -> None:
        """Take a session out of everything; what waited for it is dropped."""
        session.ended = True
        session.held = None
        self.agenda.move(session, None)
        self.registry.remove(session)
        if session.peer.memo is not None:
            self._rates_of(session.peer).keep(session)

    def schedule(self, session: Session) -> None:
        """File the session under the next moment at which time alone concerns it."""
        moment = session.principal.ends_at
        if moment is not None and not session.expiring_told:
            moment -= session.warning
        if session.valid_until is not None and (moment is None or session.valid_until < moment):
            moment = session.valid_until
        self.agenda.move(session, moment)


_REVOKED = {
    Code.LOGGED_OUT: "the token was issued before its user logged out",
    Code.REVOKED: "the token is among those that were revoked",
}


def display_part(session: Session, *, with_entry: bool) -> bytes:
    """Return the sender's part of the meta argument: `,"from":{"user":…}`, empty for an anonymous session."""
    user = session.user
    if user is None:
        return b""
    shown = f"{user.entry}:{user.sub}" if with_entry else user.sub
    return b',"from":' + json.dumps({"user": shown}, separators=(",", ":")).encode()
