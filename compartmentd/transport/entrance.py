"""Serves a socket that has just been accepted: the TLS handshake where there is a certificate, then the router."""

from __future__ import annotations

from math import inf
from typing import Any

from compartmentd.net.client_socket import ClientSocket
from compartmentd.net.tls_handshake import TlsHandshakes
from compartmentd.net.tls_socket import SecureSocket
from compartmentd.net.tornado_streams import TlsChoice, wrap_in_tls
from compartmentd.transport.connections import Connections
from compartmentd.transport.requests import find_peer_address
from compartmentd.transport.router import SocketRouter

_PATIENCE = 0.1
"""Seconds that new sockets wait for the removal of those that have closed; a thousand of these take 20 ms."""


class Entrance:
    """Takes accepted sockets, as `net.acceptor.AcceptedSockets`."""

    def __init__(self, connections: Connections, router: SocketRouter) -> None:
        """Begin without TLS; `tls.context` changes that."""
        self.tls = TlsChoice()
        self._sockets = connections.sockets
        self._poller = connections.poller
        self._now = connections.loop.time
        self._busy_since = inf
        self._router = router
        self.handshakes = TlsHandshakes(connections.poller, connections.timers, router)

    @property
    def is_busy(self) -> bool:
        """Whether clients that have left still hold places.

        A client that reconnects would be refused as one too many if it is still counted as the one that left. But
        where some leave all the time, others do not wait for all of them.
        """
        if not self._poller.has_ended_sockets:
            self._busy_since = inf
            return False
        now = self._now()
        self._busy_since = min(self._busy_since, now)
        return now - self._busy_since < _PATIENCE

    def take(self, sock: ClientSocket, address: Any, /) -> None:
        """Begin to serve a socket, which has no entry yet."""
        sock.setblocking(False)
        peer = find_peer_address(address)
        self._sockets.admit(sock, peer)
        context = self.tls.find_context(sock)
        if context is None:
            self._router.take(sock, peer)
        elif (secured := wrap_in_tls(sock, context)) is not None:
            self.handshakes.begin(SecureSocket(secured, sock.entry), peer)

    def close(self) -> None:
        """Close the sockets that have not sent a request yet."""
        self.handshakes.close()
        self._router.close()
