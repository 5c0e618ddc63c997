"""What a connection has taken of its rates, which outlasts the sessions on it.

Rates count per session. But a session that began with full buckets each time would bound nothing: a client could
end it and connect again on the same connection, a thousand times a second and without a handshake.
"""

from __future__ import annotations

from typing import NamedTuple

from compartmentd.names import NamespaceName
from compartmentd.protocol.application import Peer
from compartmentd.sessions.session import OwnBuckets, Session
from compartmentd.util.ratelimit import TokenBucket

CONNECTS, CONNECTS_AT_ONCE = 2.0, 128.0
"""CONNECTs of one connection a second, and at once: twice as many as it may have namespaces. Each may cost the
check of a signature, 130 µs and more, also for a token that is not valid."""


class _Taken(NamedTuple):
    messages: TokenBucket | None
    bytes: TokenBucket | None
    joins: TokenBucket | None
    own_joins: dict[str, TokenBucket] | None
    rooms_left: dict[str, OwnBuckets] | None


CONNECTED_ONCE = object()
"""The memo of a connection that has connected once and of which nothing has ended: nearly all of them. Its rates
are made when there is more to say, which saves 350 bytes and 3 µs."""


class ConnectionRates:
    """The rates of one connection: its CONNECTs, and what its ended sessions took, by namespace."""

    __slots__ = ("_taken", "connects")

    def __init__(self, now: float) -> None:
        """Begin with the one CONNECT that was taken before there was this."""
        self.connects = TokenBucket(CONNECTS, now, CONNECTS_AT_ONCE)
        self.connects.take(now)
        self._taken: dict[NamespaceName, _Taken] = {}

    def remember_spent(self, session: Session) -> None:
        """Keep what a session has taken that ends."""
        self._taken[session.namespace.name] = _Taken(
            session.messages, session.bytes, session.joins, session.own_joins, session.rooms_left
        )

    def give(self, session: Session) -> None:
        """Let a new session go on where the last one of its namespace was; its limits are applied after it."""
        taken = self._taken.pop(session.namespace.name, None)
        if taken is not None:
            session.messages, session.bytes, session.joins, session.own_joins, session.rooms_left = taken


def take_connect(peer: Peer, now: float) -> bool:
    """Take one CONNECT from a connection's rate at a monotonic time; return whether it was within it."""
    if peer.memo is None:
        peer.memo = CONNECTED_ONCE
        return True
    return get_rates(peer, now).connects.take(now)


def get_rates(peer: Peer, now: float) -> ConnectionRates:
    """Return the rates of a connection that has connected, made when they are first needed."""
    if peer.memo is CONNECTED_ONCE:
        peer.memo = ConnectionRates(now)
    rates: ConnectionRates = peer.memo
    return rates
