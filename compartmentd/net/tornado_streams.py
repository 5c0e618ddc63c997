"""Tornado's streams of accepted sockets, under TLS where there is a certificate."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import cast

from tornado.iostream import IOStream, SSLIOStream

from compartmentd.net.sock import Sock
from compartmentd.net.tls_handshake import HANDSHAKE_TIMEOUT
from compartmentd.net.tls_socket import SecureSocket


class ResumedStream(IOStream):
    """The stream of a socket that was read before, and of which these bytes were read."""

    def __init__(self, sock: socket.socket, early: bytes) -> None:
        """Read `early` first; `fresh` stays true until a request has been read."""
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


class _SecureResumedStream(ResumedStream, SSLIOStream):
    """The same under TLS, with the handshake done before."""


def resume_stream(sock: Sock, early: bytes) -> IOStream:
    """Return the stream of a socket that was read before; `early` was read of it."""
    if isinstance(sock, SecureSocket):
        return _SecureResumedStream(sock.bare, early)
    return ResumedStream(cast(socket.socket, sock), early)  # there is no third kind of socket


def wrap_in_tls(sock: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket | None:
    """Return the socket under TLS, before its handshake; `None`, with the socket closed, if its peer is gone."""
    sock.setblocking(False)
    try:
        return context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
    except OSError:
        sock.close()
        return None


class TlsChoice:
    """The TLS context of a server's listeners; a new one counts for the sockets that are accepted from then on.

    Unix sockets stay plain: nobody else can read them, and a proxy that ends TLS in front of us connects by them.
    """

    def __init__(self) -> None:
        self.context: ssl.SSLContext | None = None

    def find_context(self, sock: socket.socket) -> ssl.SSLContext | None:
        """Return the context of a socket that is accepted now, `None` if it stays plain."""
        return None if sock.family == socket.AF_UNIX else self.context

    def make_stream(self, sock: socket.socket, timeout: float = HANDSHAKE_TIMEOUT) -> IOStream | None:
        """Return the stream of an accepted socket; `None`, with the socket closed, if its peer is gone.

        Args:
            sock: the socket, of which nothing was read.
            timeout: seconds for the handshake of TLS.
        """
        context = self.find_context(sock)
        if context is None:
            return IOStream(sock)
        secured = wrap_in_tls(sock, context)
        if secured is None:
            return None
        stream = SSLIOStream(secured)
        _limit_handshake(stream, timeout)
        return stream


def _limit_handshake(stream: SSLIOStream, timeout: float) -> None:
    """Close the stream if its handshake is not done in time."""
    timer = asyncio.get_running_loop().call_later(timeout, stream.close)

    def end(handshake: asyncio.Future[SSLIOStream]) -> None:
        timer.cancel()
        handshake.exception()  # a client that gave up is not worth a line, but the future's exception must be read

    stream.wait_for_handshake().add_done_callback(end)
