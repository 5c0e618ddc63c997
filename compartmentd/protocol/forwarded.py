"""Who the client is when proxies stand between: X-Forwarded-For, read from the right past those that are trusted.

Every proxy appends the address that it was spoken to from, so the list is true only as far as the proxies that
wrote it are believed; what stands further left is whatever the client chose to send. No other header is read: of
two that say the same, a proxy that sets the one passes on the other as it came.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

UNIX = "unix"
"""Stands for the peers of unix sockets, which have no address."""

_Address: TypeAlias = IPv4Address | IPv6Address


class TrustedProxies:
    """What `server.trusted_proxies` says, made ready to ask."""

    __slots__ = ("_networks", "_unix")

    def __init__(self, proxies: Iterable[str] = ()) -> None:
        """Read networks in CIDR notation, and `unix`.

        Raises:
            ValueError: one of them is no network.
        """
        named = set(proxies)
        self._unix = UNIX in named
        self._networks: tuple[IPv4Network | IPv6Network, ...] = tuple(
            ip_network(text) for text in sorted(named - {UNIX})
        )

    def client(self, peer: str, forwarded: Sequence[str]) -> str:
        """Return the client's address.

        Args:
            peer: the address of whoever connected to us, empty for a unix socket.
            forwarded: the values of X-Forwarded-For, one for each line of the header, in order.

        Where a trusted proxy names something that is no address, or nothing, the client is that proxy.
        """
        if not forwarded or not self._trusts(peer):
            return peer
        client = peer
        for entry in reversed(",".join(forwarded).split(",")):
            address = _read(entry.strip(" \t"))
            if address is None:
                break
            client = str(address)
            if not self._holds(address):
                break
        return client

    def _trusts(self, peer: str) -> bool:
        if not peer:
            return self._unix
        address = _read(peer) if self._networks else None
        return address is not None and self._holds(address)

    def _holds(self, address: _Address) -> bool:
        return any(address in network for network in self._networks)


def _read(text: str) -> _Address | None:
    """Read an address, with or without a port; IPv4 in the dress of IPv6 is IPv4."""
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
