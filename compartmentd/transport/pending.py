"""Holds what has no session yet: sockets, and connections on polling. Without room the oldest idle one goes.

Anybody can open sockets and connections, without a token. If they were refused when there are too many, a stranger
who holds them all would keep everybody out. So newcomers are always let in, and each pushes out another: the oldest
of its own network, if that holds more than its share, else the oldest of all, those that have said nothing first.
An honest client has a session within a few round trips; a stranger who opens thousands a second pushes out his own.
"""

from __future__ import annotations

from itertools import islice
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
    """All of them, the oldest first, and by network."""

    def __init__(self, counters: WireCounters) -> None:
        """Begin with none."""
        self.counters = counters
        self._all: dict[PendingItem, None] = {}
        self._silent: dict[PendingItem, None] = {}  # of them, those that have not asked for anything
        self._networks: dict[str, dict[PendingItem, None]] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._all)

    def count(self, network: str) -> int:
        """Return how many there are of a network."""
        return len(self._networks.get(network, ()))

    def add(self, item: PendingItem, now: float, most: int | None) -> None:
        """Add an item; if there are more than `most`, one goes, though never this one."""
        item.since = now
        if item in self._all:
            return
        if most is not None and len(self._all) >= max(1, most):
            self._shed(self._choose(item.network))
        self._all[item] = self._silent[item] = None
        self._networks.setdefault(item.network, {})[item] = None

    def remove(self, item: PendingItem) -> None:
        """Remove an item, if it is there: it has a session now, or is gone."""
        self._silent.pop(item, None)
        if self._all.pop(item, self) is None:
            items = self._networks[item.network]
            del items[item]
            if not items:
                del self._networks[item.network]

    def note_use(self, item: PendingItem) -> None:
        """Take note that an item was used just now: it is the last to go."""
        if item in self._all:
            self._silent.pop(item, None)
            items = self._networks[item.network]
            for order in (self._all, items):
                del order[item]
                order[item] = None

    def shed_socket(self, network: str) -> None:
        """Close the oldest socket of a network that takes no place, if there is one."""
        for item in islice(self._networks.get(network, ()), _LOOKED_AT):
            if not item.takes_place:
                self._shed(item)
                return

    def shed_place(self, now: float, age: float) -> bool:
        """Close the oldest connection that is older than `age` seconds; return whether there was one."""
        for item in islice(self._all, _LOOKED_AT):
            if now - item.since < age:
                return False
            if item.takes_place:
                self._shed(item)
                return True
        return False

    def _choose(self, network: str) -> PendingItem:
        """Return the item that goes so that one of this network can come."""
        own = self._networks.get(network)
        if own and len(own) * len(self._networks) >= len(self._all):
            return next(iter(own))
        return next(iter(self._silent or self._all))

    def _shed(self, item: PendingItem) -> None:
        self.counters.shed += 1
        self.remove(item)
        item.shed()
