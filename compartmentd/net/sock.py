"""What the data plane asks of a connected socket, plain or under TLS."""

from __future__ import annotations

from typing import Protocol


class Sock(Protocol):
    """What a link asks of a connected, non-blocking socket; the calls mean what a `socket.socket` does."""

    def fileno(self) -> int:
        """Return the descriptor, which the loop watches."""

    def recv_into(self, buffer: bytearray, /) -> int:
        """Receive; 0 is the end."""

    def send(self, data: bytes | bytearray, /) -> int:
        """Send; return how many bytes were taken."""

    def shutdown(self, how: int, /) -> None:
        """Say that nothing follows."""

    def close(self) -> None:
        """Give the descriptor back."""
