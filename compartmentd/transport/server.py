"""The Socket.IO server: an application served on listening sockets."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from tornado.httpserver import HTTPServer
from tornado.web import Application as WebApplication, url

from compartmentd.net.acceptor import Acceptor, all_but_reserve
from compartmentd.net.quiet_handler import NotFoundHandler, log_request
from compartmentd.net.sock import Sock
from compartmentd.net.tls_handshake import HANDSHAKE_TIMEOUT, Handshakes
from compartmentd.net.tls_socket import SecureSocket
from compartmentd.net.tornado_streams import Streams, wrapped
from compartmentd.protocol.application import Application, Handshake
from compartmentd.protocol.connection import EngineConnection, Host
from compartmentd.protocol.counters import Counters
from compartmentd.protocol.http1 import MAX_HEAD
from compartmentd.protocol.multiplex import SocketConnection
from compartmentd.protocol.options import ConnectionOptions
from compartmentd.transport.connections import Connections, MakeConnection
from compartmentd.transport.draining import SHUTTING_DOWN, Draining
from compartmentd.transport.options import ServerOptions
from compartmentd.transport.polling_http import BODY_TIMEOUT, HEAD_TIMEOUT, KeptAlive
from compartmentd.transport.polling_link import PollingLink
from compartmentd.transport.polling_tornado import PollingHandler
from compartmentd.transport.requests import trimmed
from compartmentd.transport.router import Reception
from compartmentd.transport.tornado_edge import Edge
from compartmentd.transport.websocket_link import LINGER

_BODY_BYTES = 64 * 1024
"""The longest body where a handler does not allow more for itself."""


class Load(msgspec.Struct, frozen=True):
    """How the connections are at a moment.

    `behind` counts those with unsent bytes; `unsent` is the sum of these, `most_unsent` of the connection that
    has most.
    """

    websocket: int
    polling: int
    behind: int
    unsent: int
    most_unsent: int


class EngineServer:
    """A server of Engine.IO connections, which `make` makes. Built, used and closed on one running loop."""

    def __init__(
        self,
        make: MakeConnection,
        options: ServerOptions,
        *,
        handlers: Sequence[object] = (),
    ) -> None:
        """Make a server that listens nowhere yet; `handlers` are Tornado's rules for other paths."""
        self._connections = Connections(make, options)
        rule = url(re.escape(options.path), PollingHandler, {"connections": self._connections})
        web = WebApplication(
            [rule, *handlers],  # type: ignore[list-item]  # rules have many forms
            log_function=log_request,
            default_handler_class=NotFoundHandler,
        )
        # Who comes back is told that it is too many if it is still counted as the one that left.
        self._acceptor = Acceptor(
            self._accepted, all_but_reserve(), lambda: self._connections.sockets.parting
        )
        self._reception = Reception(self._connections, self._keep, self._refer, HEAD_TIMEOUT)
        self._streams = Streams()
        self._handshakes = Handshakes(
            self._connections.loop, self._connections.sockets, self._reception.take, HANDSHAKE_TIMEOUT
        )
        self._http = HTTPServer(
            Edge(self._connections, web, self._keep),
            max_header_size=MAX_HEAD,
            idle_connection_timeout=HEAD_TIMEOUT,
            body_timeout=BODY_TIMEOUT,
            max_body_size=_BODY_BYTES,
        )

    @property
    def options(self) -> ServerOptions:
        """What new connections and requests are bound by."""
        return self._connections.options

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._connections)

    def load(self) -> Load:
        """Count the connections by transport, and what they have not taken yet."""
        # Pass by pass, which takes a quarter of the time for 16,000 connections: nothing else runs meanwhile.
        links = [connection.link for connection in self._connections]
        unsent = [link.unsent for link in links]
        polling = sum(isinstance(link, PollingLink) for link in links)
        return Load(
            websocket=len(links) - polling,
            polling=polling,
            behind=len(unsent) - unsent.count(0),
            unsent=sum(unsent),
            most_unsent=max(unsent, default=0),
        )

    @property
    def counters(self) -> Counters:
        """What happened since the start."""
        return self._connections.counters

    def configure(self, options: ServerOptions) -> None:
        """Use other options for new connections and requests; `path` stays as it was."""
        if options.path != self._connections.options.path:
            raise ValueError("the path of a running server does not change")
        self._connections.configure(options)

    def secure(self, context: ssl.SSLContext | None) -> None:
        """Use TLS by this context on connections that are accepted from now on, those of unix sockets aside."""
        self._streams.context = context

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Accept connections on sockets that are listening already."""
        self._acceptor.add(sockets)

    def _accepted(self, sock: socket.socket, address: Any) -> None:
        context = self._streams.context_for(sock)
        if context is None:
            sock.setblocking(False)
            self._reception.take(sock, address)
        elif (secured := wrapped(sock, context)) is not None:
            self._handshakes.begin(SecureSocket(secured), address)

    def _refer(self, sock: Sock, address: Any, early: bytes) -> None:
        """Let Tornado serve a socket; `early` was read already."""
        self._http.handle_stream(self._streams.resumed(sock, early), address)

    def _keep(self, sock: Sock, address: Any, early: bytes) -> None:
        """Serve a socket by ourselves while its requests are those of polling; `early` was read already."""
        KeptAlive(self._connections, sock, address, self._refer).start(early)

    def stop_accepting(self) -> None:
        """Accept no more connections, and close the listening sockets; who was accepted is served on."""
        self._acceptor.close()

    def stop(self) -> None:
        """Accept nobody any more, also not by requests on what Tornado holds; close the listening sockets."""
        self._acceptor.close()
        self._connections.admission.closed = True

    def draining(self, seconds: float, part: Callable[[EngineConnection], None]) -> Draining:
        """Return what closes the connections over so many seconds, when it is run; see `Draining`."""
        return Draining(self._connections, seconds, part)

    def close_all(self, reason: str = SHUTTING_DOWN) -> None:
        """Send every connection what is queued, and close it; stock clients come back by themselves."""
        for connection in self._connections:
            connection.close(reason)

    async def close(self, grace: float = LINGER) -> None:
        """Stop; close every connection, giving clients this many seconds to take what is theirs."""
        self.stop()
        self.close_all()
        await self._connections.emptied(grace)
        self._handshakes.close()
        self._reception.close()
        await self._http.close_all_connections()
        self._connections.stop()


class SocketServer(EngineServer):
    """A server of Socket.IO connections for one application."""

    def __init__(
        self,
        application: Application,
        options: ServerOptions,
        *,
        handlers: Sequence[object] = (),
    ) -> None:
        """Serve the application; see `EngineServer`."""

        def make(host: Host, sid: str, handshake: Handshake, options: ConnectionOptions) -> EngineConnection:
            kept = trimmed(handshake, self.options.kept_headers)
            return SocketConnection(host, sid, kept, options, application)

        super().__init__(make, options, handlers=handlers)
