"""The interface between the Socket.IO server and the application that it serves.

The server knows no policy. It parses packets up to their payload, passes that on undecoded, and does what the
application tells it. `transport/__init__.py` shows a small application, and `tests/conformance/echo.py` a complete
one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from compartmentd.protocol.message import Batch, Message, Run


class Handshake(msgspec.Struct, frozen=True, gc=False):
    """The first request of a connection.

    `headers` holds all values of each header by lower-cased name, `query` those of each parameter. `address` is the
    client's, without port (empty for a unix socket). `secure` is true under TLS. `noticed` has labels of parts that
    were there and are not kept.
    """

    address: str
    headers: Mapping[str, tuple[str, ...]]
    query: Mapping[str, tuple[str, ...]]
    secure: bool = False
    noticed: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return the address alone, since headers and query may hold tokens and a repr may be logged."""
        return f"Handshake(address={self.address!r})"


class Peer(Protocol):
    """One Engine.IO connection, for the application. All methods are synchronous and never block."""

    handshake: Handshake

    memo: Any
    """The application's own note about the connection; `None` at first."""

    def count_namespaces(self, besides: str) -> int:
        """Return how many namespaces the connection has: connected, to be answered, or ended by `end`.

        That of a CONNECT that is being answered is `besides`, which does not count.
        """

    def accept(self, namespace: str, sid: str, session: Any) -> None:
        """Answer a CONNECT with success; `session` comes back with every later packet of the namespace."""

    def refuse(self, namespace: str, message: str, data: Any = None) -> None:
        """Answer a CONNECT with CONNECT_ERROR; `data` is left out where it is `None`."""

    def send(self, message: Message | Batch | Run) -> None:
        """Queue a message; it leaves with everything else of this loop turn. An ended connection drops it."""

    def share(self, message: Message, to: Sequence[Peer], *, echo: bool) -> Batch:
        """Queue a message on many connections of this server, without this one unless `echo` is true.

        Return the batch that was queued; while it is open, messages to the same connections can be added to it.
        """

    @property
    def is_writable(self) -> bool:
        """Whether a volatile message would be sent now.

        False while bytes of an earlier loop turn are unsent or, on polling, more than 64 KiB are queued.
        """

    def discard(self, namespace: str) -> None:
        """Drop the events and acks of the namespace that are queued and have not left, as before its `end`."""

    def end(self, namespace: str) -> None:
        """Send DISCONNECT for the namespace; what the client still sends for it is dropped and counted."""

    def close(self, reason: str) -> None:
        """Send what is queued, then close the transport; stock clients reconnect by themselves."""

    def hold(self) -> None:
        """Stop taking packets from this connection, since a decision is awaited; packets that arrive are kept."""

    def resume(self) -> None:
        """Take packets again, first those that were kept."""


class Application(Protocol):
    """An application of a Socket.IO server. An exception from a method closes that connection and no other."""

    def connect(self, peer: Peer, namespace: str, auth: bytes | None) -> None:
        """Handle a CONNECT: the application answers by `accept` or `refuse`, at once or later.

        `auth` is the payload's JSON text (an object), or `None` where there was none. A namespace that the
        application does not have is refused with the message `Invalid namespace`.
        """

    def handle_event(
        self, session: Any, ack: bytes | None, payload: bytes, attachments: Sequence[bytes]
    ) -> None:
        """Handle an EVENT: `payload` is its undecoded JSON array, of valid UTF-8.

        `protocol.socketio.decode_event(payload, attachments)` decodes it; a `WireError` that leaves this method
        closes the connection as a parse error. `ack` is the id for `protocol.socketio.build_ack`, as digits, if the
        client wants an answer.
        """

    def handle_leave(self, session: Any) -> None:
        """Handle that the client has left the namespace (DISCONNECT)."""

    def handle_close(self, peer: Peer, sessions: Sequence[Any], reason: str) -> None:
        """Handle the end of a connection with these sessions; reasons are Engine.IO's, and `slow`."""
