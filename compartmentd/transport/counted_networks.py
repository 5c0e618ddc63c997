"""Finds the network by which something of a client is counted: the one of its address, or none."""

from __future__ import annotations

from compartmentd.net.addresses import find_network, is_loopback
from compartmentd.protocol.forwarded import TrustedProxies
from compartmentd.transport.options import ServerOptions


class CountedNetworks:
    """By the options that count at the moment."""

    def __init__(self, options: ServerOptions) -> None:
        """Use these options; `configure` changes them."""
        self.options = options
        self.proxies = TrustedProxies(options.trusted_proxies)

    def configure(self, options: ServerOptions) -> None:
        """Use other options from now on."""
        self.options = options
        self.proxies = TrustedProxies(options.trusted_proxies)

    def find(self, address: str) -> str:
        """Return the network of an address; empty for one that is not counted.

        Not counted are the peers of unix sockets, trusted proxies, which speak for many, and loopback unless the
        operator has set a limit: a proxy of this machine that is not declared would lock its clients out.
        """
        if not address or self.proxies.trusts(address):
            return ""
        return "" if not self.options.limits_loopback and is_loopback(address) else find_network(address)
