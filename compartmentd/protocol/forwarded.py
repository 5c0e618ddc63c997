"""Finds the client's address behind proxies: X-Forwarded-For, read from the right past the trusted ones.

Every proxy appends the address that connected to it, so the list is true only as far as its proxies are trusted;
further left is whatever the client sent. No other header is read: a proxy that sets one of two headers with the
same meaning passes on the other as it came.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

UNIX = "unix"
"""The peers of unix sockets, which have no address."""

_KNOWN = 1024
"""Peers whose answer is remembered, since each of their sockets and requests asks: parsing one takes 3 µs."""

_Address: TypeAlias = IPv4Address | IPv6Address


class TrustedProxies:
    """The proxies whose X-Forwarded-For is trusted."""

    __slots__ = ("_known", "_networks", "_unix")

    def __init__(self, proxies: Iterable[str] = ()) -> None:
        """Read networks in CIDR notation, and `unix`.

        Raises:
            ValueError: one of the texts is no network.
        """
        named = set(proxies)
        self._unix = UNIX in named
        self._networks: tuple[IPv4Network | IPv6Network, ...] = tuple(
            ip_network(text) for text in sorted(named - {UNIX})
        )
        self._known: dict[str, bool] = {}

    def find_client(self, peer: str, forwarded: Sequence[str]) -> str:
        """Return the client's address.

        If a trusted proxy names something that is no address, or nothing, the client is that proxy.

        Args:
            peer: the address that the connection comes from, empty for a unix socket.
            forwarded: the values of X-Forwarded-For, one for each line of the header, in order.
        """
        if not forwarded or not self.trusts(peer):
            return peer
        client = peer
        for entry in reversed(",".join(forwarded).split(",")):
            address = _parse_address(entry.strip(" \t"))
            if address is None:
                break
            client = str(address)
            if not self._contains(address):
                break
        return client

    def trusts(self, peer: str) -> bool:
        """Return whether a peer is one of the proxies; empty is the peer of a unix socket."""
        if not peer:
            return self._unix
        if not self._networks:
            return False
        trusted = self._known.get(peer)
        if trusted is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            address = _parse_address(peer)
            trusted = self._known[peer] = address is not None and self._contains(address)
        return trusted

    def _contains(self, address: _Address) -> bool:
        return any(address in network for network in self._networks)


def _parse_address(text: str) -> _Address | None:
    """Parse an address, with or without a port; IPv4 that is written as IPv6 is IPv4."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
