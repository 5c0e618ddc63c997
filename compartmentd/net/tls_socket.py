"""A socket under TLS that raises `BlockingIOError` as a plain one does, so that both are used in one way.

No received data waits where the loop does not see it: OpenSSL returns at most one record at a time, 16 KiB, and
takes no more from the kernel than that record (its read-ahead is off), and every reader has room for one. So the
descriptor is readable whenever there is something to read.

The standard library's `recv_into` and `send` end in `read` and `write`; calling these directly saves 0.5 µs of a
read and 0.2 µs of a write, of the 2.5 and 1.6 µs that TLS adds to those of a plain socket.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import cast

from compartmentd.net.client_socket import SocketEntry

RECORD = 1 << 14
"""Bytes in the longest record (RFC 8446, 5.1)."""

_LATER = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


class SecureSocket:
    """An `ssl.SSLSocket` whose handshake is done, as a `Sock`."""

    __slots__ = ("_sock", "entry")

    begun = RECORD

    def __init__(self, sock: ssl.SSLSocket, entry: SocketEntry) -> None:
        self._sock = sock
        self.entry = entry

    @property
    def bare(self) -> ssl.SSLSocket:
        """The socket itself."""
        return self._sock

    def fileno(self) -> int:
        """Return the descriptor; -1 once it is closed."""
        return self._sock.fileno()

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """Set an option of the socket itself."""
        self._sock.setsockopt(level, option, value)

    def recv_into(self, buffer: bytearray, _most: int = 0, /) -> int:
        """Receive one record, or 0 at the end; the buffer has room for `RECORD` bytes."""
        try:
            return cast(int, self._sock.read(RECORD, buffer))
        except _LATER:
            raise BlockingIOError from None
        except ValueError:
            # `shutdown` has ended TLS: what still comes is not encrypted.
            return self._sock.recv_into(buffer)

    def send(self, data: bytes | bytearray) -> int:
        """Send, record by record, until all is sent or the kernel takes no more; return how many bytes it took.

        A record that was begun is finished by the next call, which has to begin with the bytes that were not taken.
        """
        sent = 0
        while sent < len(data):
            try:
                # A copy, not a view: that would keep the caller from emptying its buffer when this fails.
                sent += self._sock.write(data[sent : sent + RECORD] if sent or len(data) > RECORD else data)
            except _LATER:
                break
        return sent

    def shutdown(self, how: int) -> None:
        """Tell the peer by TLS (`close_notify`) and by TCP that nothing follows.

        Raises:
            OSError: the connection is gone.
        """
        with suppress(OSError, ValueError):
            # Raises if the peer has not said the same yet, or still sends; our message has left by then.
            self._sock.unwrap()
        self._sock.shutdown(how)

    def close(self) -> None:
        """Close the socket at once."""
        self.entry.leave()
        self._sock.close()
