"""Sockets that wait for one step of their clients, and are closed if that takes too long.

Such a step is the end of a TLS handshake, the first request, or the client's end after a last answer. All sockets
that wait for the same step have the same time, so the one that came first is the first whose time is over, and all
share one timer: one for each would be part of the cost of every connection.
"""

from __future__ import annotations

from math import inf

from compartmentd.net.poller import Poller
from compartmentd.net.sock import Sock
from compartmentd.net.timer_wheel import Timers

_AT_ONCE = 256
"""Sockets closed in one turn of the timer; 16,000 that came together are closed within two seconds."""


class TimedSockets:
    """The sockets that wait for the same step, as one timer.

    INVARIANT: `waiting` has the time at which each began to wait, in the order of these times; the timer is armed
    for the first of them or for an earlier time.
    """

    def __init__(self, poller: Poller, timers: Timers, timeout: float) -> None:
        """Begin with none; each socket has `timeout` seconds, which may be changed for all."""
        self.poller = poller
        self.timers = timers
        self.timeout = timeout
        self.due = inf
        self.waiting: dict[TimedSocket, float] = {}

    def __len__(self) -> int:
        """Return how many sockets wait."""
        return len(self.waiting)

    def wait(self, socket: TimedSocket) -> None:
        """Begin to wait for a socket's step."""
        now = self.waiting[socket] = self.timers.now()
        until = now + self.timeout
        if until < self.due:
            self.timers.arm(self, until)

    def tick(self, now: float) -> float | None:
        """Close the sockets whose clients took too long; return the time at which the next one has."""
        for _ in range(_AT_ONCE):
            first = next(iter(self.waiting.items()), None)
            if first is None:
                return None
            socket, since = first
            if since + self.timeout > now:
                return since + self.timeout
            socket.drop()
        return now

    def close(self) -> None:
        """Close all sockets."""
        for socket in list(self.waiting):
            socket.drop()
        self.timers.disarm(self)


class TimedSocket:
    """One socket that waits, as the owner of the socket's entry; the subclass reads it."""

    __slots__ = ("_group", "_sock")

    takes_place = False

    def __init__(self, group: TimedSockets, sock: Sock) -> None:
        """Begin to wait."""
        self._group = group
        self._sock = sock
        sock.entry.owner = self
        group.wait(self)

    def shed(self) -> None:
        """Close the socket at once: others need its place."""
        self.drop()

    def drop(self) -> None:
        """Close the socket, unless it waits no more."""
        if self._group.waiting.pop(self, None) is not None:
            # Before the socket is closed: its number may be another's at once.
            self._group.poller.remove_reader(self._sock)
            self._group.poller.remove_writer(self._sock)
            self._sock.close()

    def _release(self) -> None:
        """Wait no more: the step was taken. The socket is still watched."""
        del self._group.waiting[self]
