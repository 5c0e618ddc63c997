"""The edge: Tornado's HTTP server, and the requests that leave it as WebSockets.

`Edge` sees the head of every request that Tornado reads (see `reception` for those that it need not read). One
for a WebSocket on our path is judged, detached from Tornado and handed over; all others go on to Tornado's
application as if nothing had been between.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http.client import responses
from typing import Any, TypeAlias, cast

from tornado.http1connection import HTTP1Connection
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPInputError,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import StreamClosedError
from tornado.web import Application

from compartmentd.net.quiet_handler import tell_request
from compartmentd.net.sock import Sock
from compartmentd.net.tornado_streams import Resumed
from compartmentd.protocol.connection import EngineConnection
from compartmentd.protocol.http1 import is_plain
from compartmentd.protocol.opening import Headers, switching_protocols, wants_websocket
from compartmentd.transport.connections import Connections
from compartmentd.transport.polling_requests import SMALL_BODY, new_sid
from compartmentd.transport.requests import MAX_FIELDS, client_address, peer_address, read_headers
from compartmentd.transport.tornado_detach import take_over
from compartmentd.transport.websocket_requests import (
    FOREIGN,
    Refused,
    Request,
    Wanted,
    begin,
    greeting,
    judge,
    probe,
)

Keep: TypeAlias = Callable[[Sock, Any, bytes], None]
"""Serve a socket of this address from here on; the bytes were read of it."""


class Edge(HTTPServerConnectionDelegate):
    """Every request of the public listeners."""

    def __init__(self, connections: Connections, application: Application, keep: Keep) -> None:
        self.connections = connections
        self.application = application
        self.keep = keep

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Return who takes the request."""
        inner = self.application.start_request(server_conn, request_conn)
        return _Request(self, inner, cast(HTTP1Connection, request_conn))

    def on_close(self, server_conn: object) -> None:
        """Pass on that Tornado's connection has ended."""
        self.application.on_close(server_conn)


class _Request(HTTPMessageDelegate):
    """One request: looked at once, then either ours or passed through."""

    def __init__(self, edge: Edge, inner: HTTPMessageDelegate, connection: HTTP1Connection) -> None:
        self._edge = edge
        self._connections = edge.connections
        self._inner = inner
        self._connection = connection
        self._ours = False

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        line = cast(RequestStartLine, start_line)
        if sum(1 for _ in headers.get_all()) > MAX_FIELDS:
            raise HTTPInputError("too many headers")
        context: Any = self._connection.context
        context.remote_ip = self._connections.proxies.client(
            peer_address(context.address), headers.get_list("X-Forwarded-For")
        )
        path, _, query = line.path.partition("?")
        if path == self._connections.options.path:
            values = read_headers(headers)
            if wants_websocket(values):
                self._ours = True
                return _WebSocketRequest(self._connections, self._connection, values).serve(line, query)
            # A long body is read where its request was: whatever has come of it would have to be handed over.
            if not self._is_returned() and is_plain(line.method, line.version, values, SMALL_BODY):
                self._ours = True
                return self._keep(line, headers)
        return self._inner.headers_received(start_line, headers)

    def _is_returned(self) -> bool:
        """Tell whether this request was given to Tornado by `keepalive`, which must not get it once more."""
        stream = self._connection.stream
        returned = isinstance(stream, Resumed) and stream.fresh
        if returned:
            cast(Resumed, stream).fresh = False
        return returned

    async def _keep(self, line: RequestStartLine, headers: HTTPHeaders) -> None:
        """Let `keepalive` serve the connection, from this request on."""
        address = cast(Any, self._connection.context).address
        lines = [f"{line.method} {line.path} {line.version}"]
        lines += [f"{name}: {value}" for name, value in headers.get_all()]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        try:
            sock, early = await take_over(self._connection.detach(), b"")
        except (StreamClosedError, OSError):
            return
        self._edge.keep(sock, address, head + early)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return None if self._ours else self._inner.data_received(chunk)

    def finish(self) -> None:
        if not self._ours:
            self._inner.finish()

    def on_connection_close(self) -> None:
        if not self._ours:
            self._inner.on_connection_close()


class _WebSocketRequest:
    """A request for a WebSocket that Tornado read."""

    def __init__(self, connections: Connections, connection: HTTP1Connection, headers: Headers) -> None:
        self._connections = connections
        self._http = connection
        self._headers = headers
        self._line = RequestStartLine("", "", "")

    async def serve(self, line: RequestStartLine, query: str) -> None:
        """Refuse, or answer by 101 and hand the socket over."""
        self._line = line
        context: Any = self._http.context
        address, secure = client_address(context), context.protocol == "https"
        request = Request(line.method, line.version, query, self._headers, address, secure)
        found = judge(self._connections, request)
        if isinstance(found, Refused):
            if found is FOREIGN:
                self._connections.counters.refused_origin += 1
            version = {"Sec-WebSocket-Version": "13"} if found.status == 426 else {}
            self._answer(found, **version)
        elif found.probed is None:
            await self._open(request, found)
        else:
            await self._probe(found, found.probed)

    async def _open(self, request: Request, wanted: Wanted) -> None:
        """Begin a connection; its place is taken before anything is promised."""
        connections, options = self._connections, self._connections.options
        refused = connections.admission.enter(request.address, options, connections.now())
        if refused is not None:
            full = Refused(503, "text/plain", refused.message.encode())
            self._answer(full, **{"Retry-After": str(refused.retry_after)})
            return
        sid = new_sid()
        try:
            sock, early = await take_over(self._http.detach(), greeting(sid, wanted, options))
        except (StreamClosedError, OSError):
            connections.admission.leave(request.address)
            return
        begin(connections, sid, request.handshake(wanted), options, sock, early)

    async def _probe(self, wanted: Wanted, probed: EngineConnection) -> None:
        try:
            sock, early = await take_over(self._http.detach(), switching_protocols(wanted.opening))
        except (StreamClosedError, OSError):
            return
        probe(self._connections, probed, sock, early, text_only=wanted.text_only)

    def _answer(self, refused: Refused, **more: str) -> None:
        # Tornado closes after an answer that comes before the request was read to its end; a proxy must know, or
        # it sends its next client's request into a connection that is gone.
        size = str(len(refused.body))
        headers = HTTPHeaders(
            {"Content-Type": refused.kind, "Content-Length": size, "Connection": "close", **more}
        )
        line = ResponseStartLine("HTTP/1.1", refused.status, responses[refused.status])
        address = client_address(self._http.context)
        tell_request(self._line.method, self._line.path.partition("?")[0], refused.status, address)
        self._http.write_headers(line, headers, refused.body)
        self._http.finish()
