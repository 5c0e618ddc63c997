"""Taking a socket over from Tornado, once its request has been answered by 101 or to serve it ourselves."""

from __future__ import annotations

import socket
import ssl
from asyncio import Future
from typing import cast

from tornado.ioloop import IOLoop
from tornado.iostream import IOStream, StreamClosedError

from compartmentd.net.sock import Sock
from compartmentd.net.tls_socket import SecureSocket

_MAX_EARLY = 1 << 20
"""Bytes that a client may have sent behind its request by the time its answer is written."""


async def take_over(stream: IOStream, greeting: bytes) -> tuple[Sock, bytes]:
    """Send the answer, if any, and return the socket, non-blocking, with the bytes that came behind the request.

    Raises:
        StreamClosedError: the client is gone, or sent more than anyone would before being answered.
    """
    stream.set_nodelay(True)
    if greeting:
        written = stream.write(greeting)
        if stream.writing():
            await written
    # No await from here on: the idle stream would go on listening, and swallow bytes.
    early = _buffered(stream)
    theirs = stream.socket
    IOLoop.current().remove_handler(theirs)
    if isinstance(theirs, ssl.SSLSocket):
        # Its TLS layer cannot go to another object, so the stream is what is left behind, with its read pending.
        return SecureSocket(theirs), early
    sock = socket.socket(fileno=theirs.detach())
    stream.close()  # its descriptor is -1 by now: this only ends the pending read
    sock.setblocking(False)
    return sock, early


def _buffered(stream: IOStream) -> bytes:
    """Return what the stream has read, and what it can read now; a pending read proves that this is all."""
    early = bytearray()
    while True:
        # Declared as an awaitable, and a future always: Tornado's own HTTP code relies on it in the same way.
        read = cast(Future[bytes], stream.read_bytes(1 << 16, partial=True))
        if not read.done():
            return bytes(early)
        early += read.result()
        if len(early) > _MAX_EARLY:
            stream.close()
            raise StreamClosedError
