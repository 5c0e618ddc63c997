"""Limits for new connections: places in all, places for each address, handshakes for each second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, Protocol

from compartmentd.net.addresses import find_network
from compartmentd.protocol.counters import WireCounters
from compartmentd.transport.options import ServerOptions
from compartmentd.util.ratelimit import TokenBucket, retune_bucket

_IDLE = 1.0
"""Seconds after which a connection without a session yields its place when none is left: a client that is on its
way to a session takes a few round trips."""


class AdmissionRefusal(NamedTuple):
    """A handshake that is refused for want of a place; `retry_after` is in whole seconds (RFC 9110, 10.2.3)."""

    message: str
    retry_after: int
    reason: str


_FULL = AdmissionRefusal("Too many connections", 5, "connections")
_ADDRESS = AdmissionRefusal("Too many connections from this address", 5, "connections_per_address")
_RATE = AdmissionRefusal("Too many new connections", 1, "connect_rate")


class PlaceHolders(Protocol):
    """Connections that can be closed for others."""

    def shed_place(self, now: float, age: float) -> bool:
        """Close a connection without a session that is older than `age` seconds; return whether there was one."""


class Admission:
    """The places that open connections take; changed limits count for the next handshake and close nothing.

    `closed` is set when the server stops: then there is no place for any handshake. Addresses of one IPv6 network
    share their places (`find_network`).
    """

    def __init__(
        self,
        counters: WireCounters,
        find_counted: Callable[[str], str] = find_network,
        pending: PlaceHolders | None = None,
        note_full: Callable[[str, int], None] | None = None,
    ) -> None:
        """Begin with all places free.

        Args:
            counters: takes the counts of refusals.
            find_counted: returns the network by which an address is limited, empty for none.
            pending: yields places when none is left.
            note_full: takes an address that is refused, and its limit.
        """
        self.closed = False
        self._counters = counters
        self._find_counted = find_counted
        self._pending = pending
        self._note_full = note_full
        self._open = 0
        self._by_network: Counter[str] = Counter()
        self._rate: TokenBucket | None = None

    @property
    def open(self) -> int:
        """The number of places that are taken."""
        return self._open

    def enter(self, address: str, options: ServerOptions, now: float) -> AdmissionRefusal | None:
        """Take a place and return `None`, or return the refusal and count it."""
        refused = self.find_refusal(address, options, now)
        if refused is None:
            self.take(address, now)
        elif refused is _FULL:
            self._counters.refused_full += 1
        elif refused is _ADDRESS:
            self._counters.refused_address += 1
            if self._note_full is not None:
                self._note_full(address, options.connections_per_address or 0)
        elif refused is _RATE:
            self._counters.refused_rate += 1
        return refused

    def find_refusal(self, address: str, options: ServerOptions, now: float) -> AdmissionRefusal | None:
        """Return the reason why there is no place, if so; peers of unix sockets have no limit each."""
        if self.closed:
            return AdmissionRefusal("The server is shutting down", 5, "drain")
        most = options.connections_per_address
        if (
            most is not None
            and self._by_network.get(find_network(address), 0) >= most
            and self._find_counted(address)
        ):
            return _ADDRESS
        if options.connect_rate is None:
            self._rate = None
        else:
            rate = self._rate = retune_bucket(self._rate, options.connect_rate, now)
            if rate is not None and not rate.holds(now):
                return _RATE
        is_full = options.connections is not None and self._open >= options.connections
        return _FULL if is_full and not self._make_place(now) else None

    def take(self, address: str, now: float) -> None:
        """Take the place that `find_refusal` has just found free."""
        self._open += 1
        self._by_network[find_network(address)] += 1
        if self._rate is not None:
            self._rate.take(now)

    def leave(self, address: str) -> None:
        """Free a place."""
        self._open -= 1
        network = find_network(address)
        self._by_network[network] -= 1
        if not self._by_network[network]:
            del self._by_network[network]

    def _make_place(self, now: float) -> bool:
        return self._pending is not None and self._pending.shed_place(now, _IDLE)
