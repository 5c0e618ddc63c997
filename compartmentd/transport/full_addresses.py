"""Logs that an address has reached its limit, now and then for each: it may be a proxy that nobody has declared."""

from __future__ import annotations

import logging
from collections.abc import Callable

from compartmentd.net.addresses import find_network
from compartmentd.telemetry.logs import admits, log
from compartmentd.util.ratelimit import KeyedBuckets

_EVERY = 60.0
"""Seconds between two lines about one network."""

_KNOWN = 256
"""Networks that are remembered as logged."""


class FullAddresses:
    """The networks that have reached `connections_per_address`, of which a line was written lately."""

    def __init__(self, now: Callable[[], float]) -> None:
        """Begin with none; `now` returns monotonic time in seconds."""
        self._now = now
        self._logged = KeyedBuckets(1 / _EVERY, 1, _KNOWN)

    def note(self, address: str, most: int) -> None:
        """Take note that an address is at its limit of `most` connections, or pending sockets."""
        if self._logged.take(find_network(address), self._now()) and admits("address_is_full"):
            log(
                logging.WARNING,
                "address_is_full",
                f"{address} has reached server.connections_per_address ({most}): of its new connections some are "
                "refused, and its oldest sockets without a session are closed; if it is a proxy, name it in "
                "server.trusted_proxies, so that its clients are counted by their own addresses",
                address=address,
            )
