"""The server's side of TLS handshakes, before anything is known of the client's request."""

from __future__ import annotations

import ssl
from typing import Protocol

from compartmentd.net.poller import Poller
from compartmentd.net.timed_socket import TimedSocket, TimedSockets
from compartmentd.net.timer_wheel import Timers
from compartmentd.net.tls_socket import SecureSocket

HANDSHAKE_TIMEOUT = 10.0
"""Seconds within which a client must finish the TLS handshake; the head of its request has a time of its own."""


class SecureSocketHandler(Protocol):
    """Takes sockets whose handshake is done."""

    def take(self, sock: SecureSocket, peer: str, /) -> None:
        """Serve a socket; `peer` is its peer's address."""


class TlsHandshakes(TimedSockets):
    """The handshakes that are under way; a socket whose handshake is done goes to the handler."""

    def __init__(
        self,
        poller: Poller,
        timers: Timers,
        handler: SecureSocketHandler,
        timeout: float = HANDSHAKE_TIMEOUT,
    ) -> None:
        """Begin with none; each handshake has `timeout` seconds."""
        super().__init__(poller, timers, timeout)
        self.handler = handler

    def begin(self, sock: SecureSocket, peer: str) -> None:
        """Wait for a client's first message of the handshake."""
        self.poller.add_reader(sock, _Handshake(self, sock, peer).proceed)


class _Handshake(TimedSocket):
    """One handshake."""

    __slots__ = ("_handshakes", "_peer", "_secure")

    def __init__(self, handshakes: TlsHandshakes, sock: SecureSocket, peer: str) -> None:
        super().__init__(handshakes, sock)
        self._handshakes = handshakes
        self._secure = sock
        self._peer = peer

    def proceed(self) -> None:
        """Take the next step, now that the socket is ready for it."""
        poller = self._handshakes.poller
        try:
            self._secure.bare.do_handshake()
        except ssl.SSLWantReadError:
            poller.remove_writer(self._sock)
            poller.add_reader(self._sock, self.proceed)
        except ssl.SSLWantWriteError:
            # The client has to take something of ours first. What it sends instead must not wake us all the time.
            poller.remove_reader(self._sock)
            poller.add_writer(self._sock, self.proceed)
        except (OSError, ValueError):
            # The client speaks no TLS, or another version, or is gone. It is not logged, since anyone can cause it.
            self.drop()
        else:
            self._release()
            poller.remove_reader(self._sock)
            poller.remove_writer(self._sock)
            self._handshakes.handler.take(self._secure, self._peer)
