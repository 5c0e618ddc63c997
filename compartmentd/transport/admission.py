"""How many may come in: places in all, places for each address, handshakes for each second."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from compartmentd.net.addresses import network_of
from compartmentd.protocol.counters import Counters
from compartmentd.transport.options import ServerOptions
from compartmentd.util.ratelimit import TokenBucket, retune_bucket


class TooMany(NamedTuple):
    """A handshake that was refused; `retry_after` is in whole seconds (RFC 9110, 10.2.3)."""

    message: str
    retry_after: int


_FULL = TooMany("Too many connections", 5)
_ADDRESS = TooMany("Too many connections from this address", 5)
_RATE = TooMany("Too many new connections", 1)


class Admission:
    """Counts of the connections that are open; changed limits bind the next handshake and close nothing.

    `closed` is set when the server goes away: then there is no place for anybody.

    Addresses of one IPv6 network are one (`network_of`), from the first handshake on that finds a limit for each;
    before that nobody asks, and addresses are not taken apart.
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
        """How many places are taken."""
        return self._open

    def enter(self, address: str, options: ServerOptions, now: float) -> TooMany | None:
        """Take a place, or say why there is none and count that."""
        refused = self.refusal(address, options, now)
        if refused is None:
            self.take(address, now)
        elif refused is _FULL:
            self._counters.refused_full += 1
        elif refused is _ADDRESS:
            self._counters.refused_address += 1
        elif refused is _RATE:
            self._counters.refused_rate += 1
        return refused

    def refusal(self, address: str, options: ServerOptions, now: float) -> TooMany | None:
        """Say why there is no place, taking none; a unix socket's peers, without address, share no limit."""
        if self.closed:
            return TooMany("The server is shutting down", 5)
        if options.connections is not None and self._open >= options.connections:
            return _FULL
        per_address = options.connections_per_address
        if per_address is not None and address and self._held(address) >= per_address:
            return _ADDRESS
        rate = self._rate = retune_bucket(self._rate, options.connect_rate, now)
        return _RATE if rate is not None and not rate.holds(now) else None

    def take(self, address: str, now: float) -> None:
        """Take a place that `refusal` has just found."""
        self._open += 1
        self._by_address[self._holder(address)] += 1
        if self._rate is not None:
            self._rate.take(now)

    def leave(self, address: str) -> None:
        """Give a place back."""
        self._open -= 1
        holder = self._holder(address)
        self._by_address[holder] -= 1
        if not self._by_address[holder]:
            del self._by_address[holder]

    def _held(self, address: str) -> int:
        """Return how many places this address has, or its network."""
        if not self._networks:
            self._networks = True
            addresses, self._by_address = self._by_address, Counter()
            for other, count in addresses.items():
                self._by_address[network_of(other)] += count
        return self._by_address[network_of(address)]

    def _holder(self, address: str) -> str:
        return network_of(address) if self._networks else address
