"""The link of a connection: the transport that carries it now, as an interface."""

from __future__ import annotations

from typing import Protocol


class Link(Protocol):
    """The transport that carries a connection now."""

    @property
    def is_writable(self) -> bool:
        """Whether a volatile message would leave now."""

    @property
    def unsent(self) -> int:
        """The number of bytes that wait for the client to take them."""

    @property
    def is_direct(self) -> bool:
        """Whether a message could be written to the client now, past the queue (`transport.broadcast`)."""

    def note_sessions(self, *, has: bool) -> None:
        """Take note whether the connection has a session, when that changes."""

    def discard(self, namespace: bytes) -> None:
        """Drop the events and acks of a namespace that the client has not begun to take."""

    def wake(self) -> None:
        """Send the connection's queue at the end of this loop turn."""

    def finish(self) -> None:
        """Send what is queued, then close as a server does."""

    def say_farewell(self) -> None:
        """Close, since the client has announced its end."""

    def fail(self, code: int, reason: str = "") -> None:
        """Send what is queued, then close with this WebSocket close code and reason."""

    def abort(self) -> None:
        """Close at once, and drop what is queued."""

    def pause(self) -> None:
        """Take no more packets from the client."""

    def resume(self) -> None:
        """Take packets again."""


class _ClosedLink:
    """The link of a connection that has ended: every method does nothing, and the last transport can be freed."""

    is_writable = False
    unsent = 0
    is_direct = False

    def note_sessions(self, *, has: bool) -> None: ...
    def discard(self, namespace: bytes) -> None: ...
    def wake(self) -> None: ...
    def finish(self) -> None: ...
    def say_farewell(self) -> None: ...
    def fail(self, code: int, reason: str = "") -> None: ...
    def abort(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


CLOSED_LINK = _ClosedLink()
