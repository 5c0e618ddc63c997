"""Closes sockets in a way that lets their clients read the last answer.

A socket that is closed with unread input is reset, and a reset takes away what the client has not read yet: an
answer that came before its request was read to the end would be lost, and a proxy would count the server as failed.
So our side of the connection is closed first, and what still comes is read and dropped for a while (RFC 9112, 9.6).
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from math import inf

from compartmentd.net.poller import Poller
from compartmentd.net.sock import Sock
from compartmentd.net.timer_wheel import Timers

LINGER = 5.0
"""Seconds that a client has to close its side; it is not prolonged by what the client sends."""

_MOST = 16 << 20
"""Bytes that are read and dropped of one client: a body that is too long is longer than this only on purpose."""

_BUFFER = bytearray(1 << 16)


class Lingerers:
    """The sockets that wait for their clients to close."""

    def __init__(self, poller: Poller, timers: Timers, now: Callable[[], float]) -> None:
        """Begin with none; `now` returns the monotonic time of `timers`."""
        self.poller = poller
        self.timers = timers
        self.open: set[_Lingerer] = set()
        self._now = now

    def close(self, sock: Sock, answer: bytes = b"") -> None:
        """Send a last answer, if any, and close the socket once its client has done so, or `LINGER` is over.

        Args:
            sock: a non-blocking socket that nobody else reads or writes any more.
            answer: a few hundred bytes, for which every socket has room on which no other answer waits.
        """
        try:
            if answer:
                sock.send(answer)
            sock.shutdown(socket.SHUT_WR)
        except OSError:  # the client is gone already
            sock.close()
            return
        sock.entry.set_pending(True)
        lingerer = _Lingerer(self, sock)
        self.open.add(lingerer)
        self.timers.arm(lingerer, self._now() + LINGER)
        self.poller.add_reader(sock, lingerer.read)

    def abort(self) -> None:
        """Close all at once."""
        for lingerer in list(self.open):
            lingerer.drop()


class _Lingerer:
    """One socket, as a timer that closes it."""

    __slots__ = ("_left", "_lingerers", "_sock", "due")

    def __init__(self, lingerers: Lingerers, sock: Sock) -> None:
        self.due = inf
        self._lingerers = lingerers
        self._sock = sock
        self._left = _MOST
        sock.entry.owner = self

    def read(self) -> None:
        """Read and drop what came."""
        try:
            count = self._sock.recv_into(_BUFFER)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            count = 0
        self._left -= count
        if not count or self._left <= 0:
            self.drop()

    def tick(self, now: float) -> float | None:
        """Close the socket: the client had its time."""
        del now
        self.drop()
        return None

    def shed(self) -> None:
        """Close the socket at once: others need its place."""
        self.drop()

    def drop(self) -> None:
        """Close the socket."""
        lingerers = self._lingerers
        if self in lingerers.open:
            lingerers.open.remove(self)
            lingerers.timers.disarm(self)
            # Before the socket is closed: its number may be another's at once.
            lingerers.poller.remove_reader(self._sock)
            self._sock.close()
