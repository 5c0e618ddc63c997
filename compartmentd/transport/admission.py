"""Limits for new connections: places in all, places for each address, handshakes for each second."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from compartmentd.net.addresses import find_network
from compartmentd.protocol.counters import Counters
from compartmentd.transport.options import ServerOptions
from compartmentd.util.ratelimit import TokenBucket, retune_bucket


class AdmissionRefusal(NamedTuple):
    """A handshake that is refused for want of a place; `retry_after` is in whole seconds (RFC 9110, 10.2.3)."""

    message: str
    retry_after: int


_FULL = AdmissionRefusal("Too many connections", 5)
_ADDRESS = AdmissionRefusal("Too many connections from this address", 5)
_RATE = AdmissionRefusal("Too many new connections", 1)


class Admission:
    """The places that open connections take; changed limits count for the next handshake and close nothing.

    `closed` is set when the server stops: then there is no place for any handshake.

    Addresses of one IPv6 network share their places (`find_network`), from the first handshake with a limit for
    each address on; before that no address need be parsed.
    """

    def __init__(self, counters: Counters) -> None:
        self.closed = False
        self._counters = counters
        self._open = 0
        self._by_address: Counter[str] = Counter()
        self._networks = False
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
        elif refused is _RATE:
            self._counters.refused_rate += 1
        return refused

    def find_refusal(self, address: str, options: ServerOptions, now: float) -> AdmissionRefusal | None:
        """Return the reason why there is no place, if so; peers of unix sockets have no limit each."""
        if self.closed:
            return AdmissionRefusal("The server is shutting down", 5)
        if options.connections is not None and self._open >= options.connections:
            return _FULL
        per_address = options.connections_per_address
        if per_address is not None and address and self._count_places(address) >= per_address:
            return _ADDRESS
        rate = self._rate = retune_bucket(self._rate, options.connect_rate, now)
        return _RATE if rate is not None and not rate.holds(now) else None

    def take(self, address: str, now: float) -> None:
        """Take the place that `find_refusal` has just found free."""
        self._open += 1
        self._by_address[self._find_key(address)] += 1
        if self._rate is not None:
            self._rate.take(now)

    def leave(self, address: str) -> None:
        """Free a place."""
        self._open -= 1
        key = self._find_key(address)
        self._by_address[key] -= 1
        if not self._by_address[key]:
            del self._by_address[key]

    def _count_places(self, address: str) -> int:
        """Return how many places this address or its network takes."""
        if not self._networks:
            self._networks = True
            addresses, self._by_address = self._by_address, Counter()
            for other, count in addresses.items():
                self._by_address[find_network(other)] += count
        return self._by_address[find_network(address)]

    def _find_key(self, address: str) -> str:
        return find_network(address) if self._networks else address
