"""Closes sockets in a way that lets their clients read the last answer.

A socket that is closed with unread input is reset, and a reset takes away what the client has not read yet: an
answer that came before its request was read to the end would be lost, and a proxy would count the server as failed.
So our side of the connection is closed first, and what still comes is read and dropped for a while (RFC 9112, 9.6).
"""

from __future__ import annotations

import socket

from compartmentd.net.sock import Sock
from compartmentd.net.timed_socket import TimedSocket, TimedSockets

LINGER = 5.0
"""Seconds that a client has to close its side; it is not prolonged by what the client sends."""

_MOST = 16 << 20
"""Bytes that are read and dropped of one client: a body that is too long is longer than this only on purpose."""

_BUFFER = bytearray(1 << 16)


class Lingerers(TimedSockets):
    """The sockets that wait for their clients to close."""

    def linger(self, sock: Sock, answer: bytes = b"") -> None:
        """Send a last answer, if any, and close the socket once its client has done so, or `LINGER` is over.

        Args:
            sock: a non-blocking socket that nothing else reads or writes any more.
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
        self.poller.add_reader(sock, _Lingerer(self, sock).read)


class _Lingerer(TimedSocket):
    """One socket that waits for its client to close."""

    __slots__ = ("_left",)

    def __init__(self, group: TimedSockets, sock: Sock) -> None:
        super().__init__(group, sock)
        self._left = _MOST

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
