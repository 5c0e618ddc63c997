"""The state of a room beside its live members here, with a lifetime of its own.

`NamespaceState.rooms` has the rooms with members in this process, for sending to them. The store has what
processes may share and what may outlive the last member: how many members there are, which is compared with
`capacity`, and until when an empty room is kept. It is plain values by (namespace, room), so that a store outside
the process can hold them; `tests/sessions/test_room_store.py` is the contract of every store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from compartmentd.names import NamespaceName, RoomName


class RoomKey(NamedTuple):
    """The name of a room in all namespaces."""

    namespace: NamespaceName
    room: RoomName


class RoomStore(Protocol):
    """Counts the members of rooms, and keeps a room for some time after its last member.

    No call waits: a store outside the process answers by what it knows last.
    """

    def enter(self, namespace: NamespaceName, room: RoomName) -> None:
        """Count one member more; a room that was kept empty is occupied again.

        Args:
            namespace: The namespace of the room.
            room: The room's name.
        """

    def leave(self, namespace: NamespaceName, room: RoomName, keep: float = 0.0) -> None:
        """Count one member less.

        Args:
            namespace: The namespace of the room.
            room: A room that has a member.
            keep: Seconds for which the room is kept more, if this was its last member.
        """

    def count(self, namespace: NamespaceName, room: RoomName) -> int:
        """Return how many members a room has.

        Args:
            namespace: The namespace of the room.
            room: The room's name.

        Returns:
            The number; 0 for a room that is not known.
        """

    def is_kept(self, namespace: NamespaceName, room: RoomName) -> bool:
        """Return whether a room has a member, or had its last one no longer ago than it is kept for.

        Args:
            namespace: The namespace of the room.
            room: The room's name.
        """

    def expire(self) -> Sequence[RoomKey]:
        """Forget the empty rooms whose time is over.

        Returns:
            These rooms, each of them once in all calls.
        """


class MemoryRoomStore:
    """A `RoomStore` for one process. `monotonic` returns seconds since an arbitrary moment."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        # By namespace and then room: a tuple for each room would take 60 bytes more.
        self._members: dict[NamespaceName, dict[RoomName, int]] = {}
        self._empty: dict[RoomKey, float] = {}

    def enter(self, namespace: NamespaceName, room: RoomName) -> None:
        """Count one member more."""
        counts = self._members.get(namespace)
        if counts is None:
            counts = self._members[namespace] = {}
        counts[room] = counts.get(room, 0) + 1
        if self._empty:
            self._empty.pop(RoomKey(namespace, room), None)

    def leave(self, namespace: NamespaceName, room: RoomName, keep: float = 0.0) -> None:
        """Count one member less; `keep` is in seconds."""
        counts = self._members[namespace]
        left = counts[room] - 1
        if left:
            counts[room] = left
            return
        del counts[room]
        if not counts:
            del self._members[namespace]
        if keep > 0.0:
            self._empty[RoomKey(namespace, room)] = self._monotonic() + keep

    def count(self, namespace: NamespaceName, room: RoomName) -> int:
        """Return how many members the room has."""
        counts = self._members.get(namespace)
        return 0 if counts is None else counts.get(room, 0)

    def is_kept(self, namespace: NamespaceName, room: RoomName) -> bool:
        """Return whether the room is occupied, or empty for less than it is kept for."""
        until = self._empty.get(RoomKey(namespace, room))
        return self.count(namespace, room) > 0 or (until is not None and until > self._monotonic())

    def expire(self) -> Sequence[RoomKey]:
        """Forget the empty rooms whose time is over, and return them."""
        if not self._empty:
            return ()
        now = self._monotonic()
        over = [key for key, until in self._empty.items() if until <= now]
        for key in over:
            del self._empty[key]
        return over
