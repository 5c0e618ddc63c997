"""The interface by which a socket that carries HTTP is handed to the server for it."""

from __future__ import annotations

from typing import Protocol

from compartmentd.net.sock import Sock


class HttpServers(Protocol):
    """Our own server of polling requests, and Tornado, which serves every other request.

    `peer` is its peer's address, empty for a unix socket; `early` was read of the socket already.
    """

    def serve_polling(self, sock: Sock, peer: str, early: bytes, /) -> None:
        """Serve a socket whose first request is a plain one to the Engine.IO path."""

    def serve_other(self, sock: Sock, peer: str, early: bytes, /) -> None:
        """Serve a socket from its next request on, of any kind."""
