"""Sockets that wait for one step of their clients, with a timer that closes them.

Such a step is the end of a TLS handshake, the first request, or the client's end after a last answer.
"""

from __future__ import annotations

from math import inf

from compartmentd.net.poller import Poller
from compartmentd.net.sock import Sock
from compartmentd.net.timer_wheel import Timers


class TimedSockets:
    """The sockets that wait for the same step."""

    def __init__(self, poller: Poller, timers: Timers) -> None:
        """Begin with none."""
        self.poller = poller
        self.timers = timers
        self.waiting: set[TimedSocket] = set()

    def __len__(self) -> int:
        """Return how many sockets wait."""
        return len(self.waiting)

    def close(self) -> None:
        """Close all sockets."""
        for socket in list(self.waiting):
            socket.drop()


class TimedSocket:
    """One socket that waits, as a timer and as the owner of the socket's entry; the subclass reads it."""

    __slots__ = ("_group", "_sock", "due")

    def __init__(self, group: TimedSockets, sock: Sock, seconds: float) -> None:
        """Wait for so many seconds."""
        self.due = inf
        self._group = group
        self._sock = sock
        sock.entry.owner = self
        group.waiting.add(self)
        group.timers.arm(self, group.timers.now() + seconds)

    def tick(self, now: float) -> float | None:
        """Close the socket: the client took too long."""
        del now
        self.drop()
        return None

    def shed(self) -> None:
        """Close the socket at once: others need its place."""
        self.drop()

    def drop(self) -> None:
        """Close the socket, unless it waits no more."""
        if self in self._group.waiting:
            self._release()
            # Before the socket is closed: its number may be another's at once.
            self._group.poller.remove_reader(self._sock)
            self._group.poller.remove_writer(self._sock)
            self._sock.close()

    def _release(self) -> None:
        """Wait no more: the step was taken. The socket is still watched."""
        self._group.waiting.remove(self)
        self._group.timers.disarm(self)
