"""Tornado's streams of accepted sockets: under TLS where there is a certificate, else plain."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import cast

from tornado.iostream import IOStream, SSLIOStream

from compartmentd.net.sock import Sock
from compartmentd.net.tls_handshake import HANDSHAKE_TIMEOUT
from compartmentd.net.tls_socket import SecureSocket


class Resumed(IOStream):
    """The stream of a socket that was read before, by somebody who leaves what he has read to this one."""

    def __init__(self, sock: socket.socket, early: bytes) -> None:
        """Read `early` first; `fresh` until a request has been read."""
        self._early = early
        self.fresh = True
        super().__init__(sock)

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        """Read into the buffer, as streams do."""
        if not self._early:
            return super().read_from_fd(buf)
        count = min(len(buf), len(self._early))
        buf[:count], self._early = self._early[:count], self._early[count:]
        return count


class _SecureResumed(Resumed, SSLIOStream):
    """The same under TLS, whose handshake was done long ago."""


def wrapped(sock: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket | None:
    """Put a socket under TLS, its handshake to be made; `None`, with the socket closed, if its peer is gone."""
    sock.setblocking(False)
    try:
        return context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
    except OSError:
        sock.close()
        return None


class Streams:
    """Makes the streams of one server; another context is for the sockets accepted from then on.

    Unix sockets stay plain: nobody else reads along there, and who reverses TLS for us speaks to us by them.
    """

    def __init__(self, handshake_timeout: float = HANDSHAKE_TIMEOUT) -> None:
        self.context: ssl.SSLContext | None = None
        self._handshake_timeout = handshake_timeout

    def context_for(self, sock: socket.socket) -> ssl.SSLContext | None:
        """Return by which context a socket that is accepted now comes under TLS, `None` if it does not."""
        return None if sock.family == socket.AF_UNIX else self.context

    def of(self, sock: socket.socket) -> IOStream | None:
        """Return the stream of an accepted socket; `None`, with the socket closed, if its peer is gone."""
        context = self.context_for(sock)
        if context is None:
            return IOStream(sock)
        secured = wrapped(sock, context)
        if secured is None:
            return None
        stream = SSLIOStream(secured)
        self._bound(stream)
        return stream

    @staticmethod
    def resumed(sock: Sock, early: bytes) -> IOStream:
        """Return the stream of a socket that was read by us."""
        if isinstance(sock, SecureSocket):
            return _SecureResumed(sock.bare, early)
        return Resumed(cast(socket.socket, sock), early)  # the other kind that there is

    def _bound(self, stream: SSLIOStream) -> None:
        """Close the stream if its handshake is not done in time."""
        timer = asyncio.get_running_loop().call_later(self._handshake_timeout, stream.close)

        def ended(handshake: asyncio.Future[SSLIOStream]) -> None:
            timer.cancel()
            handshake.exception()  # a client that gave up is no news, but a future wants it to be looked at

        stream.wait_for_handshake().add_done_callback(ended)
