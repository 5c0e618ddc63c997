"""The Socket.IO server: serves an application on listening sockets."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence

import msgspec
from tornado.web import Application as WebApplication, url

from compartmentd.net.acceptor import Acceptor, compute_client_descriptors
from compartmentd.net.client_socket import ClientSocket
from compartmentd.net.quiet_handler import NotFoundHandler, log_request
from compartmentd.protocol.application import Application, Handshake
from compartmentd.protocol.connection import EngineConnection, Host
from compartmentd.protocol.counters import WireCounters
from compartmentd.protocol.multiplex import SocketConnection
from compartmentd.protocol.options import ConnectionOptions
from compartmentd.transport.connections import Connections, MakeConnection
from compartmentd.transport.draining import SHUTTING_DOWN, Draining
from compartmentd.transport.entrance import Entrance
from compartmentd.transport.options import ServerOptions
from compartmentd.transport.pending import PendingItems
from compartmentd.transport.polling_link import PollingLink
from compartmentd.transport.polling_tornado import PollingHandler
from compartmentd.transport.requests import trim_handshake
from compartmentd.transport.router import SocketRouter
from compartmentd.transport.tornado_edge import TornadoEdge
from compartmentd.transport.websocket_link import LINGER


class ServerLoad(msgspec.Struct, frozen=True):
    """The connections at a moment, by transport, and the bytes that their clients have not taken.

    `behind` counts the connections with unsent bytes; `unsent` is the sum of these bytes, and `most_unsent` the
    number of the connection that has most.
    """

    websocket: int
    polling: int
    behind: int
    unsent: int
    most_unsent: int


class EngineServer:
    """A server of Engine.IO connections. Built, used and closed on one running loop."""

    def __init__(
        self,
        make: MakeConnection,
        options: ServerOptions,
        *,
        handlers: Sequence[object] = (),
    ) -> None:
        """Make a server that listens nowhere yet.

        Args:
            make: makes a connection for each handshake that is accepted.
            options: what connections and requests are bound by; `configure` changes them.
            handlers: Tornado's rules for other paths.
        """
        self._connections = Connections(make, options)
        either = "|".join(map(re.escape, self._connections.paths))
        rule = url(f"(?:{either})", PollingHandler, {"connections": self._connections})
        web = WebApplication(
            [rule, *handlers],  # type: ignore[list-item]  # rules have many forms
            log_function=log_request,
            default_handler_class=NotFoundHandler,
            default_handler_args={"server_path": options.path, "count": self._connections.count_lost},
        )
        self._tornado = TornadoEdge(self._connections, web)
        self._router = SocketRouter(self._connections, self._tornado)
        self._entrance = Entrance(self._connections, self._router)
        self._acceptor = Acceptor(self._entrance, ClientSocket, compute_client_descriptors())

    @property
    def options(self) -> ServerOptions:
        """The options of new connections and requests."""
        return self._connections.options

    @property
    def connections(self) -> int:
        """The number of connections."""
        return len(self._connections)

    def measure_load(self) -> ServerLoad:
        """Return the connections by transport, and the bytes that wait for them."""
        # In passes, a quarter of the time of one loop over 16,000 connections: nothing else runs meanwhile.
        links = [connection.link for connection in self._connections]
        unsent = [link.unsent for link in links]
        polling = sum(isinstance(link, PollingLink) for link in links)
        return ServerLoad(
            websocket=len(links) - polling,
            polling=polling,
            behind=len(unsent) - unsent.count(0),
            unsent=sum(unsent),
            most_unsent=max(unsent, default=0),
        )

    @property
    def sockets(self) -> int:
        """The number of open sockets of clients."""
        return self._connections.sockets.open

    @property
    def pending(self) -> PendingItems:
        """The sockets and connections without a session; to be read, not changed."""
        return self._connections.pending

    @property
    def counters(self) -> WireCounters:
        """The counts since the start."""
        return self._connections.counters

    def configure(self, options: ServerOptions) -> None:
        """Use other options for new connections and requests.

        Raises:
            ValueError: the path is another.
        """
        if options.path != self._connections.options.path:
            raise ValueError("the path of a running server does not change")
        self._connections.configure(options)
        self._router.timeout = options.header_timeout

    def secure(self, context: ssl.SSLContext | None) -> None:
        """Use TLS with this context for connections that are accepted from now on, except on unix sockets."""
        self._entrance.tls.context = context

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Accept connections on sockets that are listening; the server closes them."""
        self._acceptor.add(sockets)

    def stop_accepting(self) -> None:
        """Accept no more sockets, and close the listening ones; accepted sockets are served on."""
        self._acceptor.close()

    def stop(self) -> None:
        """Accept no more sockets, and no more connections on accepted sockets; close the listening ones."""
        self._acceptor.close()
        self._connections.admission.closed = True

    def drain(self, seconds: float, part: Callable[[EngineConnection], None]) -> Draining:
        """Return an object that closes the connections over so many seconds when it is run; see `Draining`."""
        return Draining(self._connections, seconds, part)

    def close_all(self, reason: str = SHUTTING_DOWN) -> None:
        """Send every connection what is queued, and close it; stock clients reconnect by themselves."""
        for connection in self._connections:
            connection.close(reason)

    async def close(self, grace: float = LINGER) -> None:
        """Stop, and close every connection; clients have `grace` seconds to take what is queued for them."""
        self.stop()
        self.close_all()
        await self._connections.wait_until_empty(grace)
        self._entrance.close()
        await self._tornado.close()
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
            kept = trim_handshake(handshake, self.options.kept)
            return SocketConnection(host, sid, kept, options, application)

        super().__init__(make, options, handlers=handlers)
