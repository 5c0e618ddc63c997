"""The rates of a connection: the rate of its CONNECTs, and how long it has been sending beyond its rates."""

from __future__ import annotations

from collections.abc import Callable

from compartmentd.protocol.application import Peer
from compartmentd.sessions.counters import Counters
from compartmentd.util.flood import Flood
from compartmentd.util.ratelimit import TokenBucket

CONNECTS, CONNECTS_AT_ONCE = 2.0, 128.0
"""CONNECTs of one connection a second, and at once: eight times as many as it may have namespaces by default. Each
may cost the check of a signature, 130 µs and more, also for a token that is not valid."""

CONNECTED_ONCE = object()
"""The memo of a connection that has connected once and of which nothing has ended: nearly all of them. Its rate is
made when there is more to say, which saves 200 bytes and 1 µs."""


def take_connect(peer: Peer, now: float) -> float:
    """Take one CONNECT from a connection's rate.

    Args:
        peer: The connection, whose memo is its bucket.
        now: Monotonic seconds.

    Returns:
        0 if it was within the rate, else in how many seconds the next one will be.
    """
    if peer.memo is None:
        peer.memo = CONNECTED_ONCE
        return 0.0
    bucket = _get_bucket(peer, now)
    return 0.0 if bucket.take(now) else bucket.wait()


def charge_connect(peer: Peer, now: float, amount: float) -> None:
    """Take more of a connection's rate for a CONNECT that was much work."""
    if peer.memo is not None:
        _get_bucket(peer, now).charge(now, amount)


def _get_bucket(peer: Peer, now: float) -> TokenBucket:
    """Return the rate of a connection that has connected, made when it is first needed."""
    if peer.memo is CONNECTED_ONCE:
        peer.memo = TokenBucket(CONNECTS, now, CONNECTS_AT_ONCE)
        peer.memo.take(now)
    bucket: TokenBucket = peer.memo
    return bucket


class FloodGuard:
    """Closes connections that for long do little else than send what their rates do not allow."""

    def __init__(self, monotonic: Callable[[], float], counters: Counters) -> None:
        """Begin without floods.

        Args:
            monotonic: Returns seconds since an arbitrary moment.
            counters: Take the count of closed connections.
        """
        self.floods: dict[int, Flood] = {}
        """By the id of the connection; empty as nearly always, so that the hot path asks nothing else."""
        self._monotonic = monotonic
        self._counters = counters

    def note(self, peer: Peer, *, within: bool) -> None:
        """Follow a connection's requests; close it when it does little else than exceed its rates."""
        if within and not self.floods:
            return
        key, now = id(peer), self._monotonic()
        flood = self.floods.get(key)
        if flood is not None and flood.is_over(now):
            del self.floods[key]
            flood = None
        if within:
            if flood is not None:
                flood.note_accepted()
        elif flood is None:
            self.floods[key] = Flood(now)
        elif flood.note_refused(now):
            self._counters.floods_closed += 1
            peer.close("rate limit")

    def forget(self, peer: Peer) -> None:
        """Forget a connection that has ended."""
        self.floods.pop(id(peer), None)
