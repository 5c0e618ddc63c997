"""The interface by which a socket that carries HTTP is handed to the server for it."""

from __future__ import annotations

from typing import Any, Protocol

from compartmentd.net.sock import Sock


class HttpServers(Protocol):
    """Our own server of polling requests, and Tornado, which serves every other request.

    `address` is the peer's, as `accept` returned it; `early` was read of the socket already.
    """

    def serve_polling(self, sock: Sock, address: Any, early: bytes, /) -> None:
        """Serve a socket whose first request is a plain one to the Engine.IO path."""

    def serve_other(self, sock: Sock, address: Any, early: bytes, /) -> None:
        """Serve a socket from its next request on, of any kind."""
