"""Tornado's streams of accepted sockets: under TLS where there is a certificate, else plain."""

from __future__ import annotations

import asyncio
import socket
import ssl

from tornado.iostream import IOStream, SSLIOStream

HANDSHAKE_TIMEOUT = 10.0
"""Seconds within which a client must finish the handshake of TLS; a request's head has its own time after it."""


class Streams:
    """Makes the streams of one server; another context is for the sockets accepted from then on.

    Unix sockets stay plain: nobody else reads along there, and who reverses TLS for us speaks to us by them.
    """

    def __init__(self, handshake_timeout: float = HANDSHAKE_TIMEOUT) -> None:
        self.context: ssl.SSLContext | None = None
        self._handshake_timeout = handshake_timeout

    def secures(self, sock: socket.socket) -> bool:
        """Tell whether a socket that is accepted now comes under TLS."""
        return self.context is not None and sock.family != socket.AF_UNIX

    def of(self, sock: socket.socket) -> IOStream | None:
        """Return the stream of an accepted socket; `None`, with the socket closed, if its peer is gone."""
        if self.context is None or not self.secures(sock):
            return IOStream(sock)
        sock.setblocking(False)
        try:
            secured = self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        except OSError:
            sock.close()
            return None
        stream = SSLIOStream(secured)
        self._bound(stream)
        return stream

    def _bound(self, stream: SSLIOStream) -> None:
        """Close the stream if its handshake is not done in time."""
        timer = asyncio.get_running_loop().call_later(self._handshake_timeout, stream.close)

        def ended(handshake: asyncio.Future[SSLIOStream]) -> None:
            timer.cancel()
            handshake.exception()  # a client that gave up is no news, but a future wants it to be looked at

        stream.wait_for_handshake().add_done_callback(ended)
