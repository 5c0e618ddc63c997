"""Accepted sockets: who only wants a WebSocket gets it here, who polls goes on to `keepalive`, others to Tornado.

What a client has sent is looked at and left in the kernel (`MSG_PEEK`) until it is sure that it is served here:
the whole head in one piece, plain (`protocol.http1`), acceptable, and with a place for it. Otherwise Tornado gets
the socket with every byte of it, and answers as it would have: it alone refuses, serves other paths and second
requests, and bounds slow and long heads. What is checked is checked by the same code (`openings.judge`). Under TLS
there is nothing to peek at, so what was read goes along with the socket.

It is worth this module: of the 330 µs of CPU that a connection cost, from its acceptance to its session, half
went into Tornado's stream, parser and coroutines, where all of Node's set-up took 300. Without them, and with what
else was saved since, it is 150; under TLS 760 instead of 1,040, of which the handshake is most.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias

from compartmentd.net.deadlines import Waiting
from compartmentd.net.sock import Sock
from compartmentd.net.tls_socket import RECORD, SecureSocket
from compartmentd.protocol.http1 import LONGEST, Head, read_head
from compartmentd.protocol.opening import switching_protocols, wants_websocket
from compartmentd.transport.connections import Connections
from compartmentd.transport.polling_requests import new_sid
from compartmentd.transport.requests import peer_address
from compartmentd.transport.websocket_requests import Request, Wanted, begin, greeting, judge, probe

Accepted: TypeAlias = socket.socket | SecureSocket

_BUFFER = bytearray(RECORD)
_VIEW = memoryview(_BUFFER)


class Reception:
    """Takes non-blocking sockets as they are accepted, those under TLS when their handshake is done.

    `keep` serves those whose first request begins as one to our path does, `refer` all others; both are told the
    peer's address, and what was read.
    """

    def __init__(
        self,
        connections: Connections,
        keep: Callable[[Sock, Any, bytes], None],
        refer: Callable[[Sock, Any, bytes], None],
        patience: float,
    ) -> None:
        """Wait `patience` seconds for a client's first bytes; whoever begins by then is bounded by others."""
        self._connections = connections
        self._keep = keep
        self._refer = refer
        self._waiting = Waiting(connections.loop, connections.sockets, patience)

    @property
    def waiting(self) -> int:
        """How many have said nothing yet."""
        return len(self._waiting)

    def take(self, sock: Accepted, address: Any) -> None:
        """Wait until a socket's peer says what it wants."""
        self._waiting.add(sock)
        self._connections.sockets.add_reader(sock, partial(self._look, sock, address))
        if isinstance(sock, SecureSocket):
            self._look(sock, address)  # a request comes right behind the end of the handshake

    def close(self) -> None:
        """Close what still waits."""
        self._waiting.close()

    def _look(self, sock: Accepted, address: Any) -> None:
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
            self._waiting.drop(sock)  # gone before it said anything
            return
        self._waiting.remove(sock)
        try:
            self._show_in(sock, address, data)
        except Exception as error:  # noqa: BLE001 - the loop would call again at once, and for ever
            self._connections.failed("a connection is closed for an error while it was received", error)
            self._connections.sockets.remove_reader(sock)
            sock.close()

    def _show_in(self, sock: Accepted, address: Any, data: bytes) -> None:
        """Find out who serves a client by what it sent first."""
        head = read_head(data)
        wants = head is not None and wants_websocket(head.headers)
        if head is not None and wants and self._serve(sock, address, head, data):
            return
        self._connections.sockets.remove_reader(sock)
        early = data if isinstance(sock, SecureSocket) else b""
        if not wants and self._connections.request_line.match(data):
            if peer_address(address):
                with suppress(OSError):  # it is gone, which whoever reads it will find
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._keep(sock, address, early)
        else:
            self._refer(sock, address, early)

    def _serve(self, sock: Accepted, address: Any, head: Head, data: bytes) -> bool:
        """Begin a connection if that is what is asked for, and nothing speaks against it."""
        connections = self._connections
        options = connections.options
        if head.path != options.path:
            return False
        peer = peer_address(address)
        client = connections.proxies.client(peer, head.headers.get("x-forwarded-for", ()))
        request = Request(
            "GET", "HTTP/1.1", head.query, head.headers, client, secure=isinstance(sock, SecureSocket)
        )
        wanted = judge(connections, request)
        if not isinstance(wanted, Wanted):
            return False
        if wanted.probed is not None:
            early = self._answer(sock, peer, data, head.size, switching_protocols(wanted.opening))
            if early is not None:
                probe(connections, wanted.probed, sock, early, text_only=wanted.text_only)
            return True
        now = connections.now()
        if connections.admission.refusal(client, options, now) is not None:
            return False
        connections.admission.take(client, now)
        sid = new_sid()
        early = self._answer(sock, peer, data, head.size, greeting(sid, wanted, options))
        if early is not None:
            begin(connections, sid, request.handshake(wanted), options, sock, early)
        else:
            connections.admission.leave(client)
        return True

    def _answer(self, sock: Accepted, peer: str, data: bytes, size: int, answer: bytes) -> bytes | None:
        """Answer a request of this size; return what was read behind it, or close and return `None`."""
        early = b""
        try:
            if peer:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if isinstance(sock, SecureSocket):
                # It may end by what was read behind the request, before anybody else watches it.
                early = data[size:]
                self._connections.sockets.remove_reader(sock)
            else:
                sock.recv(size)  # out of the kernel; what came behind it stays there
            # A new socket has room for a few hundred bytes, or something is wrong with it.
            taken = sock.send(answer) == len(answer)
        except OSError:
            taken = False
        if taken:
            return early
        self._connections.sockets.remove_reader(sock)
        sock.close()
        return None
