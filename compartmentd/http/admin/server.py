"""The servers of the admin listeners, and the routes of their resources."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from compartmentd.http.admin import handlers
from compartmentd.http.admin.base import AdminHandler, Site
from compartmentd.http.admin.decisions import DecisionsHandler
from compartmentd.http.admin.interface import Administration, Development, MetricsSource
from compartmentd.http.admin.pages import FrontPageHandler, PlaygroundFileHandler, find_page_files
from compartmentd.http.admin.subscribers import Audience
from compartmentd.net.acceptor import Acceptor
from compartmentd.net.tornado_streams import TlsChoice
from compartmentd.telemetry.tracing import NoTracing, Tracing

# A slow or silent peer is closed: no request here takes longer (seconds) or is larger (bytes).
_HTTP_LIMITS: dict[str, Any] = {
    "max_body_size": 1 << 20,
    "max_header_size": 16 << 10,
    "idle_connection_timeout": 60.0,
    "body_timeout": 15.0,
}


class AdminServer:
    """Serves an administration, the metrics, and in development the playground, on any number of sockets."""

    def __init__(
        self,
        administration: Administration,
        metrics: MetricsSource,
        development: Development | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self._audience = Audience()
        site = Site(
            administration=administration,
            metrics=metrics,
            development=development,
            trusted=False,
            audience=self._audience,
            files=find_page_files("playground", "vendor"),
            tracing=tracing or NoTracing(),
        )
        self._servers = _Servers(site)
        self._acceptor = Acceptor(self._servers, socket.socket)

    def secure(self, context: ssl.SSLContext | None) -> None:
        """Use TLS by this context on connections that are accepted from now on, those of unix sockets aside."""
        self._servers.tls.context = context

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Serve these listening sockets; the peers of unix sockets are administrators."""
        self._acceptor.add(sockets)

    async def close(self) -> None:
        """Stop listening, end the streams, and close what is open."""
        self._acceptor.close()
        await self._audience.close()
        await self._servers.close()


class _Servers:
    """A server for unix sockets, whose peers are administrators, and one for all others."""

    is_busy = False

    def __init__(self, site: Site) -> None:
        self.tls = TlsChoice()
        self._by_trust = {
            trusted: HTTPServer(make_application(replace(site, trusted=trusted)), **_HTTP_LIMITS)
            for trusted in (True, False)
        }

    def take(self, sock: socket.socket, address: Any, /) -> None:
        """Serve an accepted connection."""
        stream = self.tls.make_stream(sock)
        if stream is not None:
            self._by_trust[sock.family == socket.AF_UNIX].handle_stream(stream, address)

    async def close(self) -> None:
        """Close what is open."""
        for server in self._by_trust.values():
            await server.close_all_connections()


def make_application(site: Site) -> Application:
    """Return the Tornado application of a listener."""
    shared = {"site": site}
    return Application(
        [
            ("/healthz", handlers.HealthHandler, shared),
            ("/readyz", handlers.ReadinessHandler, shared),
            ("/metrics", handlers.MetricsHandler, shared),
            ("/admin/reload", handlers.ReloadHandler, shared),
            ("/admin/status", handlers.StatusHandler, shared),
            ("/admin/token", handlers.AdminTokenHandler, shared),
            ("/admin/revoke", handlers.RevokeHandler, shared),
            ("/admin/sessions", handlers.SessionsHandler, shared),
            ("/admin/rooms", handlers.RoomsHandler, shared),
            ("/admin/decisions", DecisionsHandler, shared),
            ("/admin/dev/token", handlers.DevelopmentTokenHandler, shared),
            ("/admin/dev/playground", handlers.PlaygroundHandler, shared),
            ("/admin/dev/excerpt", handlers.ExcerptHandler, shared),
            ("/", FrontPageHandler, shared),
            ("/playground", PlaygroundFileHandler, shared),
            ("/playground/([a-z0-9.-]+)", PlaygroundFileHandler, shared),
        ],
        default_handler_class=handlers.MissingHandler,
        default_handler_args=shared,
        log_function=_log,
    )


def _log(handler: RequestHandler) -> None:
    """Write the access log; every handler here is an `AdminHandler`."""
    if isinstance(handler, AdminHandler):
        handler.log_access()
