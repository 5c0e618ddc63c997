"""The server's part of TLS handshakes, before anybody knows what a client wants (see `reception`)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any

from compartmentd.net.deadlines import Waiting
from compartmentd.net.poller import Readiness
from compartmentd.net.tls_socket import SecureSocket

HANDSHAKE_TIMEOUT = 10.0
"""Seconds within which a client must finish the handshake of TLS; a request's head has its own time after it."""


class Handshakes:
    """Handshakes that are under way; `done` takes each socket, with its peer's address, whose own is finished."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sockets: Readiness,
        done: Callable[[SecureSocket, Any], None],
        patience: float,
    ) -> None:
        """Give each client `patience` seconds; `sockets` is what watches them."""
        self.waiting = Waiting(loop, sockets, patience)
        self._sockets = sockets
        self._done = done

    def begin(self, sock: SecureSocket, address: Any) -> None:
        """Wait for a client to begin."""
        self.waiting.add(sock)
        self._sockets.add_reader(sock, partial(self._go_on, sock, address))

    def close(self) -> None:
        """Close what is under way."""
        self.waiting.close()

    def _go_on(self, sock: SecureSocket, address: Any) -> None:
        try:
            sock.bare.do_handshake()
        except ssl.SSLWantReadError:
            self._sockets.remove_writer(sock)
            self._sockets.add_reader(sock, partial(self._go_on, sock, address))
        except ssl.SSLWantWriteError:
            # The client has to take something of ours first. What it sends instead must not wake us all the time.
            self._sockets.remove_reader(sock)
            self._sockets.add_writer(sock, partial(self._go_on, sock, address))
        except (OSError, ValueError):
            # It speaks no TLS, or none of ours, or is gone: no news, since anybody can do that.
            self.waiting.drop(sock)
        else:
            self._sockets.remove_reader(sock)
            self._sockets.remove_writer(sock)
            self.waiting.remove(sock)
            self._done(sock, address)
