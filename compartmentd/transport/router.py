"""Routes an accepted socket by its first request, without consuming it (`MSG_PEEK`).

WebSocket upgrades are served here, polling goes to `polling_http`, everything else to Tornado. A request is left in
the kernel until it is certain that it is served here: its whole head came in one piece, is plain (`protocol.http1`)
and acceptable, and there is a place for the connection. Otherwise Tornado gets the socket with every byte and
answers as it would have: it serves other paths and second requests, refuses, and limits slow and long heads. Only
bytes that do not begin as a request does are refused here.
Both judge a request by the same code (`websocket_requests.check_request`). TLS leaves nothing to peek at, so what
was read goes along with the socket.

The module pays for itself: of the 330 µs of CPU that a connection cost, from its acceptance to its session, half
went into Tornado's stream, parser and coroutines, while all of Node's set-up took 300. Without them, and with what
else was saved since, it is 150; under TLS 760 instead of 1,040, most of it the handshake.
"""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from typing import TypeAlias

from compartmentd.net.client_socket import ClientSocket
from compartmentd.net.timed_socket import TimedSocket, TimedSockets
from compartmentd.net.tls_socket import RECORD, SecureSocket
from compartmentd.protocol.http1 import LONGEST, Head, read_head
from compartmentd.protocol.opening import build_switching_response, wants_websocket
from compartmentd.transport.connections import Connections
from compartmentd.transport.handover import HttpServers
from compartmentd.transport.http_answers import encode_last_answer
from compartmentd.transport.websocket_requests import (
    AcceptedRequest,
    NewConnection,
    WebSocketRequest,
    check_request,
    open_connection,
    start_probe,
)

AcceptedSocket: TypeAlias = ClientSocket | SecureSocket

_BEGINNING = re.compile(rb"(?:\r?\n)*(?:[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}(?: |\Z)|\Z)|\r\Z")
"""The beginning of a request: empty lines, then a method (RFC 9112, 2.2 and 3.1). Anything else is not worth the
stream, parser and coroutines that Tornado would make for it."""

_BUFFER = bytearray(RECORD)
_VIEW = memoryview(_BUFFER)


class SocketRouter(TimedSockets):
    """Takes non-blocking sockets as they are accepted, those under TLS when their handshake is done."""

    def __init__(self, connections: Connections, http: HttpServers) -> None:
        """Give each client `header_timeout` to send its first bytes; others limit the time for the rest."""
        super().__init__(connections.poller, connections.timers, connections.options.header_timeout)
        self.connections = connections
        self.http = http

    def take(self, sock: AcceptedSocket, peer: str, /) -> None:
        """Wait until a client sends its first request."""
        arrival = _Arrival(self, sock, peer)
        self.poller.add_reader(sock, arrival.look)
        if isinstance(sock, SecureSocket):
            arrival.look()  # a request comes right behind the end of the handshake


class _Arrival(TimedSocket):
    """A socket that has not sent anything yet."""

    __slots__ = ("_accepted", "_peer", "_router")

    def __init__(self, router: SocketRouter, sock: AcceptedSocket, peer: str) -> None:
        super().__init__(router, sock)
        self._router = router
        self._accepted = sock
        self._peer = peer

    def look(self) -> None:
        """Look at what the client has sent, and choose its server."""
        sock = self._accepted
        try:
            if isinstance(sock, SecureSocket):
                data = bytes(_VIEW[: sock.recv_into(_BUFFER)])
            else:
                data = sock.recv(LONGEST, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.drop()  # the client left before it sent anything
            return
        self._release()
        connections = self._router.connections
        try:
            self._route(data)
        except Exception as error:  # noqa: BLE001 - the loop would call again at once, and for ever
            connections.report_error("a connection is closed for an error while it was received", error)
            connections.poller.remove_reader(sock)
            sock.close()

    def _route(self, data: bytes) -> None:
        head = read_head(data)
        wants = head is not None and wants_websocket(head.headers)
        if head is not None and wants and self._serve(head, data):
            return
        router, sock, peer = self._router, self._accepted, self._peer
        router.connections.poller.remove_reader(sock)
        if not _BEGINNING.match(data):
            router.connections.lingerers.linger(
                sock, encode_last_answer(400, "this is no request of HTTP/1.1")
            )
            return
        early = data if isinstance(sock, SecureSocket) else b""
        if not wants and router.connections.request_line.match(data):
            if peer:
                with suppress(OSError):  # the client is gone, as the next read will show
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            router.http.serve_polling(sock, peer, early)
        else:
            router.http.serve_other(sock, peer, early)

    def _serve(self, head: Head, data: bytes) -> bool:
        """Open a WebSocket if the request is acceptable; return whether it is served here."""
        connections, sock = self._router.connections, self._accepted
        options = connections.options
        if head.path not in connections.paths:
            return False
        peer = self._peer
        client = connections.proxies.find_client(peer, head.headers.get("x-forwarded-for", ()))
        request = WebSocketRequest(
            "GET", "HTTP/1.1", head.query, head.headers, client, peer, secure=isinstance(sock, SecureSocket)
        )
        accepted = check_request(connections, request)
        if not isinstance(accepted, AcceptedRequest):
            return False
        if accepted.probed is not None:
            early = self._answer(peer, data, head.size, build_switching_response(accepted.opening))
            if early is not None:
                start_probe(connections, accepted.probed, sock, early, text_only=accepted.text_only)
            return True
        now = connections.now()
        if connections.admission.find_refusal(client, options, now) is not None:
            return False
        connections.admission.take(client, now)
        new = NewConnection.prepare(request, accepted, options)
        early = self._answer(peer, data, head.size, new.greeting)
        if early is not None:
            open_connection(connections, new, sock, early)
        else:
            connections.admission.leave(client)
        return True

    def _answer(self, peer: str, data: bytes, size: int, answer: bytes) -> bytes | None:
        """Answer a request of `size` bytes; return what was read behind it, or `None` if that failed."""
        sock, poller = self._accepted, self._router.connections.poller
        early = b""
        try:
            if peer:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if isinstance(sock, SecureSocket):
                # What was read behind the request may end the connection before another reader is registered.
                early = data[size:]
                poller.remove_reader(sock)
            else:
                sock.recv(size)  # out of the kernel; what came behind it stays there
            # A new socket has room for a few hundred bytes, or something is wrong with it.
            taken = sock.send(answer) == len(answer)
        except OSError:
            taken = False
        if taken:
            return early
        poller.remove_reader(sock)
        sock.close()
        return None
