"""Holds what has no session yet: sockets, and connections on polling. Without room the oldest idle one goes.

Anybody can open sockets and connections, without a token. If they were refused when there are too many, a stranger
who holds them all would keep everybody out. So newcomers are always let in, and each pushes out another: the oldest
of its own network, if that holds more than its share, else the oldest of all, those that have said nothing first.
An honest client has a session within a few round trips; a stranger who opens thousands a second pushes out his own.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import Protocol

from compartmentd.protocol.counters import WireCounters

_LOOKED_AT = 64
"""Items looked at for one that holds a place: sockets without a connection stand among them."""


class PendingItem(Protocol):
    """A socket or a connection without a session.

    `network` is that of its client, empty where it is not counted; `since` the monotonic time at which it became
    pending, `takes_place` whether it is one of the server's `connections`.
    """

    network: str
    since: float

    @property
    def takes_place(self) -> bool:
        """Whether it takes a place of the server's."""

    def shed(self) -> None:
        """Close it at once."""


class PendingItems:
    """All of them, the oldest first, and by network.

    INVARIANT: an item is either in `_silent`, until it asks for something, or in `_used`, and in the dict of its
    network in `_networks`.
    """

    def __init__(self, counters: WireCounters) -> None:
        """Begin with none."""
        self.counters = counters
        self._silent: dict[PendingItem, None] = {}
        self._used: dict[PendingItem, None] = {}
        self._networks: dict[str, dict[PendingItem, None]] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._silent) + len(self._used)

    def count(self, network: str) -> int:
        """Return how many there are of a network."""
        return len(self._networks.get(network, ()))

    def add(self, item: PendingItem, now: float, most: int | None) -> None:
        """Add an item; if there are more than `most`, one goes, though never this one."""
        item.since = now
        silent = self._silent
        if item in silent or item in self._used:
            return
        if most is not None and len(silent) + len(self._used) >= (most or 1):
            self._shed(self._choose(item.network))
        silent[item] = None
        items = self._networks.get(item.network)
        if items is None:
            self._networks[item.network] = {item: None}
        else:
            items[item] = None

    def remove(self, item: PendingItem) -> None:
        """Remove an item, if it is there: it has a session now, or is gone."""
        if self._silent.pop(item, self) is None or self._used.pop(item, self) is None:
            items = self._networks[item.network]
            del items[item]
            if not items:
                del self._networks[item.network]

    def note_use(self, item: PendingItem) -> None:
        """Take note that an item was used just now: it is the last to go."""
        if self._silent.pop(item, self) is None or self._used.pop(item, self) is None:
            self._used[item] = None
            items = self._networks[item.network]
            del items[item]
            items[item] = None

    def shed_socket(self, network: str) -> bool:
        """Close the oldest socket of a network that takes no place; return whether there was one."""
        for item in islice(self._networks.get(network, ()), _LOOKED_AT):
            if not item.takes_place:
                self.remove(item)
                item.shed()
                return True
        return False

    def shed_place(self, now: float, age: float) -> bool:
        """Close the oldest connection that is older than `age` seconds; return whether there was one."""
        for item in chain(islice(self._silent, _LOOKED_AT), islice(self._used, _LOOKED_AT)):
            if item.takes_place and now - item.since >= age:
                self._shed(item)
                return True
        return False

    def _choose(self, network: str) -> PendingItem:
        """Return the item that goes so that one of this network can come."""
        own = self._networks.get(network)
        if own and len(own) * len(self._networks) >= len(self):
            return next(iter(own))
        return next(iter(self._silent or self._used))

    def _shed(self, item: PendingItem) -> None:
        self.counters.shed += 1
        self.remove(item)
        item.shed()
