"""A client's socket that says when it is closed, so that what it takes can be counted."""

from __future__ import annotations

import socket
from typing import Protocol


class SocketOwner(Protocol):
    """The object that reads a socket at the moment."""

    @property
    def takes_place(self) -> bool:
        """Whether the socket carries a connection on WebSocket, which takes one of the server's places."""

    def shed(self) -> None:
        """Close the socket at once: others need its place."""


class SocketEntry(Protocol):
    """The record of an accepted socket, kept as long as it is open; `owner` closes the socket if it has to go."""

    owner: SocketOwner | None

    def set_pending(self, pending: bool, /) -> None:
        """Take note whether the socket carries no session."""

    def note_use(self) -> None:
        """Take note that the client asked for something."""

    def leave(self) -> None:
        """Take note that the socket is closed; may be called more than once."""


class NoEntry:
    """The entry of a socket that nobody counts."""

    owner: SocketOwner | None = None

    def set_pending(self, pending: bool, /) -> None:
        """Take no note."""

    def note_use(self) -> None:
        """Take no note."""

    def leave(self) -> None:
        """Take no note."""


class ClientSocket(socket.socket):
    """A plain socket with its entry."""

    __slots__ = ("entry",)

    entry: SocketEntry

    begun = 0

    @classmethod
    def adopt(cls, sock: socket.socket, entry: SocketEntry) -> ClientSocket:
        """Return the socket with an entry, non-blocking; the one that it was is of no use any more."""
        adopted = cls(fileno=sock.detach())
        adopted.entry = entry
        adopted.setblocking(False)
        return adopted

    def close(self) -> None:
        """Close at once."""
        self.entry.leave()
        super().close()
