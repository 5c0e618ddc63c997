"""The interface of a connected socket that the data plane uses, plain or under TLS."""

from __future__ import annotations

from typing import Protocol

from compartmentd.net.client_socket import SocketEntry


class Sock(Protocol):
    """A connected, non-blocking socket; the calls mean the same as those of a `socket.socket`."""

    entry: SocketEntry

    begun: int
    """The most bytes, of those that `send` did not take, that may not change any more."""

    def fileno(self) -> int:
        """Return the descriptor, which the loop watches."""

    def recv_into(self, buffer: bytearray, most: int = 0, /) -> int:
        """Receive into the buffer, as much as it holds or `most` bytes; return how many came, 0 at the end.

        Under TLS it is one record in any case: of one that was read in part, no descriptor tells that more is here.
        """

    def send(self, data: bytes | bytearray, /) -> int:
        """Send; return how many bytes were taken."""

    def shutdown(self, how: int, /) -> None:
        """Tell the peer that nothing follows."""

    def close(self) -> None:
        """Give the descriptor back."""
