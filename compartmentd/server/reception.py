"""Accepted sockets: who only wants a WebSocket gets it here, who polls goes on to `keepalive`, others to Tornado.

What a client has sent is looked at and left in the kernel (`MSG_PEEK`) until it is sure that it is served here:
the whole head in one piece, plain (`protocol.head`), acceptable, and with a place for it. Otherwise Tornado gets
the socket with every byte of it, and answers as it would have: it alone refuses, speaks TLS, serves other paths
and second requests, and bounds slow and long heads. What is checked is checked by the same code (`openings.judge`).

It is worth this module: of the 330 µs of CPU that a connection cost, from its acceptance to its session, half
went into Tornado's stream, parser and coroutines, where all of Node's set-up took 300. Without them, and with what
else was saved since, it is 150.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from compartmentd.protocol.connection import EngineConnection
from compartmentd.protocol.head import LONGEST, Head, read_head
from compartmentd.protocol.opening import switching_protocols, wants_websocket
from compartmentd.server.connections import Connections
from compartmentd.server.openings import Request, Wanted, begin, greeting, judge, probe
from compartmentd.server.polls import new_sid
from compartmentd.server.requests import peer_address


class Reception:
    """Takes plain sockets as they are accepted.

    `keep` serves those whose first request begins as one to our path does, `refer` all others.
    """

    def __init__(
        self,
        connections: Connections,
        keep: Callable[[socket.socket, Any], None],
        refer: Callable[[socket.socket, Any], None],
        patience: float,
    ) -> None:
        """Wait `patience` seconds for a client's first bytes; whoever begins by then is bounded by others."""
        self._connections = connections
        self._keep = keep
        self._refer = refer
        self._patience = patience
        # Who has said nothing yet, and until when it may. All may wait as long, so the oldest stands first.
        self._waiting: dict[socket.socket, float] = {}
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """How many have said nothing yet."""
        return len(self._waiting)

    def take(self, sock: socket.socket, address: Any) -> None:
        """Wait until a socket's peer says what it wants."""
        sock.setblocking(False)
        connections = self._connections
        until = self._waiting[sock] = connections.now() + self._patience
        connections.loop.add_reader(sock, self._look, sock, address)
        if self._alarm is None:
            self._alarm = connections.loop.call_at(until, self._ring)

    def close(self) -> None:
        """Close what still waits."""
        for sock in list(self._waiting):
            self._drop(sock)
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _look(self, sock: socket.socket, address: Any) -> None:
        try:
            data = sock.recv(LONGEST, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._drop(sock)  # gone before it said anything
            return
        del self._waiting[sock]
        try:
            self._show_in(sock, address, data)
        except Exception as error:  # noqa: BLE001 - the loop would call again at once, and for ever
            self._connections.failed("a connection is closed for an error while it was received", error)
            self._connections.loop.remove_reader(sock)
            sock.close()

    def _show_in(self, sock: socket.socket, address: Any, data: bytes) -> None:
        """Find out who serves a client by what it sent first."""
        head = read_head(data)
        wants = head is not None and wants_websocket(head.headers)
        if head is not None and wants and self._serve(sock, address, head):
            return
        self._connections.loop.remove_reader(sock)
        if not wants and self._connections.request_line.match(data):
            if peer_address(address):
                with suppress(OSError):  # it is gone, which whoever reads it will find
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._keep(sock, address)
        else:
            self._refer(sock, address)

    def _serve(self, sock: socket.socket, address: Any, head: Head) -> bool:
        """Begin a connection if that is what is asked for, and nothing speaks against it."""
        connections = self._connections
        options = connections.options
        if head.path != options.path:
            return False
        peer = peer_address(address)
        client = connections.proxies.client(peer, head.headers.get("x-forwarded-for", ()))
        request = Request("GET", "HTTP/1.1", head.query, head.headers, client, secure=False)
        wanted = judge(connections, request)
        if not isinstance(wanted, Wanted):
            return False
        if wanted.probed is not None:
            self._probe(sock, peer, head, wanted, wanted.probed)
            return True
        if connections.admission.refusal(client, options, connections.now()) is not None:
            return False
        connections.admission.take(client, options)
        sid = new_sid()
        if self._answer(sock, peer, head, greeting(sid, wanted, options)):
            begin(connections, sid, request.handshake(wanted), options, sock, b"")
        else:
            connections.admission.leave(client)
        return True

    def _probe(
        self, sock: socket.socket, peer: str, head: Head, wanted: Wanted, probed: EngineConnection
    ) -> None:
        """Let a WebSocket probe a connection that is there."""
        if self._answer(sock, peer, head, switching_protocols(wanted.opening)):
            probe(self._connections, probed, sock, b"", text_only=wanted.text_only)

    def _answer(self, sock: socket.socket, peer: str, head: Head, answer: bytes) -> bool:
        """Take the request out of the kernel, what came behind it not, and answer; close where that fails."""
        try:
            if peer:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.recv(head.size)
            # A new socket has room for a few hundred bytes, or something is wrong with it.
            taken = sock.send(answer) == len(answer)
        except OSError:
            taken = False
        if not taken:
            self._connections.loop.remove_reader(sock)
            sock.close()
        return taken

    def _drop(self, sock: socket.socket) -> None:
        del self._waiting[sock]
        self._connections.loop.remove_reader(sock)
        sock.close()

    def _ring(self) -> None:
        """Close those whose time is over: Tornado says nothing, either, to who asked for nothing."""
        self._alarm = None
        now = self._connections.now()
        while self._waiting:
            sock, until = next(iter(self._waiting.items()))
            if until > now:
                self._alarm = self._connections.loop.call_at(until, self._ring)
                return
            self._drop(sock)
