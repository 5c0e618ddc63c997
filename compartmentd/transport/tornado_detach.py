"""Takes a socket over from Tornado: after the answer 101, or to serve its requests ourselves."""

from __future__ import annotations

import ssl
from asyncio import Future
from typing import cast

from tornado.ioloop import IOLoop
from tornado.iostream import IOStream, StreamClosedError

from compartmentd.net.client_socket import ClientSocket
from compartmentd.net.sock import Sock
from compartmentd.net.tls_socket import SecureSocket
from compartmentd.net.tornado_streams import ResumedStream

_MAX_EARLY = 1 << 20
"""Bytes that a client may have sent behind its request when the answer is written."""


async def take_over(stream: ResumedStream, greeting: bytes) -> tuple[Sock, bytes]:
    """Send the answer, if any; return the socket, non-blocking, and the bytes that came behind the request.

    Raises:
        StreamClosedError: the client is gone, or sent more than `_MAX_EARLY`.
    """
    stream.set_nodelay(True)
    if greeting:
        written = stream.write(greeting)
        if stream.writing():
            await written
    # No await from here on: the idle stream would go on listening, and swallow bytes.
    early = _read_buffered(stream)
    theirs = stream.socket
    IOLoop.current().remove_handler(theirs)
    if isinstance(theirs, ssl.SSLSocket):
        # The TLS layer cannot move to another object, so the stream is left behind, with its read pending.
        return SecureSocket(theirs, stream.entry), early
    sock = ClientSocket.adopt(theirs, stream.entry)
    stream.close()  # its descriptor is -1 by now: this only ends the pending read
    return sock, early


def _read_buffered(stream: IOStream) -> bytes:
    """Return all that the stream has read and can read now; a pending read proves that there is no more."""
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
