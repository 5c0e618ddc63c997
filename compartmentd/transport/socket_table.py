"""Counts the sockets of clients from their acceptance to their end, all in all and by network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import inf

from compartmentd.net.client_socket import ClientSocket, SocketOwner
from compartmentd.protocol.counters import WireCounters
from compartmentd.transport.counted_networks import CountedNetworks
from compartmentd.transport.pending import PendingItems

_FEW = 8
"""Sockets without a session that every address may have, however few connections it may have: a poll, a POST, the
probe of an upgrade, and those of a reload of the page."""

_SOCKETS_OF_A_CONNECTION = 4
"""Sockets that a connection may have: it polls on one, posts on another, and browsers keep some for later."""


class Entry:
    """One open socket, as `net.client_socket.SocketEntry`; it is pending until it carries a session.

    `since` is infinite while it is not pending: each idle connection keeps its entry, which should hold little.
    """

    __slots__ = ("_table", "network", "owner", "since")

    def __init__(self, table: SocketTable, network: str) -> None:
        self.network = network
        self.owner: SocketOwner | None = None
        self.since = inf
        self._table: SocketTable | None = table

    @property
    def takes_place(self) -> bool:
        """Whether it carries a connection on WebSocket."""
        return self.owner is not None and self.owner.takes_place

    def set_pending(self, pending: bool, /) -> None:
        """Take note whether the socket carries no session.

        Only the sockets that one session needs count as its own; further ones stay pending, since a client with one
        session could otherwise hold any number.
        """
        table = self._table
        if table is None or pending == (self.since != inf):
            return
        if pending:
            table.attached[self.network] -= 1
            table.add_pending(self)
        elif self.takes_place or table.has_room(self.network):
            self.since = inf
            table.attached[self.network] += 1
            table.pending.remove(self)

    def note_use(self) -> None:
        """Take note that the client asked for something."""
        if self._table is not None and self.since != inf:
            self._table.pending.note_use(self)

    def shed(self) -> None:
        """Close the socket: others need its place."""
        if self.owner is not None:
            self.owner.shed()

    def leave(self) -> None:
        """Take note that the socket is closed."""
        table, self._table, self.owner = self._table, None, None
        if table is None:
            return
        table.open -= 1
        if self.since != inf:
            table.pending.remove(self)
        else:
            table.attached[self.network] -= 1
            if not table.attached[self.network]:
                del table.attached[self.network]


class SocketTable:
    """The entries of all sockets.

    `open` counts them all; `pending` has those without a session, `attached` counts the others by network.
    """

    def __init__(
        self,
        counters: WireCounters,
        networks: CountedNetworks,
        now: Callable[[], float],
        note_full: Callable[[str, int], None],
    ) -> None:
        """Begin with none.

        Args:
            counters: takes the counts of sockets that have to go.
            networks: has the options that count.
            now: returns monotonic time in seconds.
            note_full: takes an address that loses a socket, and its limit.
        """
        self.pending = PendingItems(counters)
        self.open = 0
        self.attached: Counter[str] = Counter()
        self._counters = counters
        self._networks = networks
        self._now = now
        self._note_full = note_full

    def admit(self, sock: ClientSocket, peer: str) -> None:
        """Give an accepted socket, with the address of its peer, an entry, which is pending.

        None is refused: an address with as many pending sockets as it may have connections loses the oldest.
        """
        network = self._networks.find(peer)
        most = self._networks.options.connections_per_address
        if network and most is not None and self.pending.count(network) >= max(most, _FEW):
            self._counters.shed_address += self.pending.shed_socket(network)
            self._note_full(peer, most)
        self.open += 1
        entry = Entry(self, network)
        self.add_pending(entry)
        sock.entry = entry

    def add_pending(self, entry: Entry) -> None:
        """Note that a socket has no session."""
        self.pending.add(entry, self._now(), self._networks.options.pending)

    def has_room(self, network: str) -> bool:
        """Return whether one more socket of a network may carry a session."""
        most = self._networks.options.connections_per_address
        return not network or most is None or self.attached[network] < most * _SOCKETS_OF_A_CONNECTION
