"""Whom an address stands for, where something is counted by address."""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

_MAPPED = bytes(10) + b"\xff\xff"
"""How IPv4 begins in the dress of IPv6 (RFC 4291, 2.5.5.2)."""


def network_of(address: str) -> str:
    """Return what whoever has this address has at least: of IPv6 its /64, since everybody gets 2^64 addresses.

    IPv4 in the dress of IPv6 is IPv4; other texts, as the empty one of a unix socket's peer, stand for themselves.
    """
    if ":" not in address:
        return address
    # By C: a sixth of what `ipaddress` takes. After a percent sign stands an interface of ours (RFC 4007, 11).
    packed = inet_pton(AF_INET6, address.partition("%")[0])
    return inet_ntop(AF_INET, packed[12:]) if packed.startswith(_MAPPED) else packed[:8].hex()
