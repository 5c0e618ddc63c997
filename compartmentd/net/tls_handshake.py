"""The server's side of TLS handshakes, before anything is known of the client's request."""

from __future__ import annotations

import asyncio
import ssl
from math import inf
from typing import Any, Protocol

from compartmentd.net.poller import Poller
from compartmentd.net.timer_wheel import Timers
from compartmentd.net.tls_socket import SecureSocket

HANDSHAKE_TIMEOUT = 10.0
"""Seconds within which a client must finish the TLS handshake; the head of its request has a time of its own."""


class SecureSocketHandler(Protocol):
    """Takes sockets whose handshake is done."""

    def take(self, sock: SecureSocket, address: Any, /) -> None:
        """Serve a socket; `address` is its peer's, as `accept` returned it."""


class TlsHandshakes:
    """The handshakes that are under way; a socket whose handshake is done goes to the handler."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        poller: Poller,
        timers: Timers,
        handler: SecureSocketHandler,
        timeout: float = HANDSHAKE_TIMEOUT,
    ) -> None:
        """Begin with none; each handshake has `timeout` seconds."""
        self._loop = loop
        self.poller = poller
        self.timers = timers
        self.handler = handler
        self.timeout = timeout
        self.running: set[_Handshake] = set()

    def begin(self, sock: SecureSocket, address: Any) -> None:
        """Wait for a client's first message of the handshake."""
        handshake = _Handshake(self, sock, address)
        self.running.add(handshake)
        self.timers.arm(handshake, self._loop.time() + self.timeout)
        self.poller.add_reader(sock, handshake.proceed)

    def close(self) -> None:
        """Close the sockets whose handshake is under way."""
        for handshake in list(self.running):
            handshake.drop()


class _Handshake:
    """One handshake, as a timer that gives it up."""

    __slots__ = ("_address", "_handshakes", "_sock", "due")

    def __init__(self, handshakes: TlsHandshakes, sock: SecureSocket, address: Any) -> None:
        self.due = inf
        self._handshakes = handshakes
        self._sock = sock
        self._address = address
        sock.entry.owner = self

    def proceed(self) -> None:
        """Take the next step, now that the socket is ready for it."""
        poller = self._handshakes.poller
        try:
            self._sock.bare.do_handshake()
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
            self._end()
            self._handshakes.handler.take(self._sock, self._address)

    def tick(self, now: float) -> float | None:
        """Close the socket: the client took too long."""
        del now
        self.drop()
        return None

    def shed(self) -> None:
        """Close the socket at once: others need its place."""
        self.drop()

    def drop(self) -> None:
        """Close the socket."""
        self._end()
        self._sock.close()

    def _end(self) -> None:
        handshakes = self._handshakes
        handshakes.running.discard(self)
        handshakes.timers.disarm(self)
        # Before the socket is closed: its number may be another's at once.
        handshakes.poller.remove_reader(self._sock)
        handshakes.poller.remove_writer(self._sock)
