"""The border between the Socket.IO server and what it serves: an application, and the connections it gets.

The server layer knows nothing of policies. It parses packets up to the point where the meaning of a payload
begins, hands that over undecoded, and does as the application says. `tests/conformance/echo.py` is the
smallest application.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from compartmentd.protocol.message import Batch, Message, Run


class Handshake(msgspec.Struct, frozen=True, gc=False):
    """The first request of a connection, as applications may read it.

    `headers` are lower-cased names with every value they were sent with; `query` likewise. `address` is the
    peer's, without port (empty for a unix socket). `secure` is true under TLS.
    """

    address: str
    headers: Mapping[str, tuple[str, ...]]
    query: Mapping[str, tuple[str, ...]]
    secure: bool = False

    def __repr__(self) -> str:
        """Tell the address alone: headers and query may hold tokens, and what has a repr gets logged."""
        return f"Handshake(address={self.address!r})"


class Peer(Protocol):
    """One Engine.IO connection, as the application sees it. All calls are synchronous and never block."""

    handshake: Handshake

    memo: Any
    """The application's own note about the connection; `None` until it makes one."""

    def accept(self, namespace: str, sid: str, session: Any) -> None:
        """Answer a CONNECT with success; `session` comes back with every later packet of the namespace."""

    def refuse(self, namespace: str, message: str, data: Any = None) -> None:
        """Answer a CONNECT with CONNECT_ERROR; `data` is left out where it is `None`."""

    def send(self, message: Message | Batch | Run) -> None:
        """Queue a message; it leaves with everything else of this loop turn. Ended connections drop it."""

    def share(self, message: Message, to: Sequence[Peer], *, echo: bool) -> Batch:
        """Queue a message on many connections of this server, this one left out unless `echo` is true.

        Return the batch that was queued; as long as it takes them, messages to the same connections can be added.
        """

    @property
    def clear(self) -> bool:
        """Whether a volatile message would be sent now.

        False while bytes of an earlier loop turn are unsent or, on polling, more than 64 KiB are queued.
        """

    def end(self, namespace: str) -> None:
        """Send DISCONNECT for the namespace; what the client still sends for it is dropped and counted."""

    def close(self, reason: str) -> None:
        """Send what is queued, then close the transport; stock clients come back by themselves."""

    def hold(self) -> None:
        """Stop taking packets from this connection (a decision is awaited); what has arrived is kept."""

    def resume(self) -> None:
        """Take packets again, those that were kept first."""


class Application(Protocol):
    """What a Socket.IO server serves. An exception from a callback closes that connection and no other."""

    def connect(self, peer: Peer, namespace: str, auth: bytes | None) -> None:
        """Handle a CONNECT: the application answers by `accept` or `refuse`, at once or later.

        `auth` is the payload's JSON text (an object), or `None` where there was none. A namespace that the
        application does not have is refused with the message `Invalid namespace`.
        """

    def event(self, session: Any, ack: bytes | None, payload: bytes, attachments: Sequence[bytes]) -> None:
        """Handle an EVENT: `payload` is its undecoded JSON array, of valid UTF-8.

        `protocol.socketio.decode_event(payload, attachments)` decodes it; a `WireError` that leaves this
        callback closes the connection as a parse error. `ack` is the id to answer by
        `protocol.socketio.ack_message`, if the client wants an answer, as digits.
        """

    def left(self, session: Any) -> None:
        """The client left the namespace (DISCONNECT)."""

    def closed(self, peer: Peer, sessions: Sequence[Any], reason: str) -> None:
        """The connection has ended, with these sessions; reasons are Engine.IO's, and `slow`."""
