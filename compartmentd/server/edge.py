"""The edge: Tornado's HTTP server, and the requests that leave it as WebSockets.

`Edge` sees the head of every request. One for a WebSocket on our path is judged here, detached from Tornado
and handed over; all others go on to Tornado's application as if nothing had been between.
"""

from __future__ import annotations

from collections.abc import Awaitable
from http.client import responses
from typing import Any, cast

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

from compartmentd.protocol import engineio
from compartmentd.protocol.connection import EngineConnection
from compartmentd.protocol.lifecycle import Phase
from compartmentd.protocol.opening import Headers, Opening, read_opening, switching_protocols, wants_websocket
from compartmentd.protocol.websocket import text_frame
from compartmentd.server.access import tell_request
from compartmentd.server.connections import Connections
from compartmentd.server.handlers import new_sid, transport_of
from compartmentd.server.handover import take_over
from compartmentd.server.polling import PollingLink
from compartmentd.server.requests import (
    MAX_FIELDS,
    Asked,
    client_address,
    handshake_of,
    peer_address,
    read_headers,
    read_query,
)
from compartmentd.server.upgrade import UpgradeProbe
from compartmentd.server.websocket import WebSocketLink


class Edge(HTTPServerConnectionDelegate):
    """Every request of the public listeners."""

    def __init__(self, connections: Connections, application: Application) -> None:
        self.connections = connections
        self.application = application

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Return who takes the request."""
        inner = self.application.start_request(server_conn, request_conn)
        return _Request(self.connections, inner, cast(HTTP1Connection, request_conn))

    def on_close(self, server_conn: object) -> None:
        """Pass on that Tornado's connection has ended."""
        self.application.on_close(server_conn)


class _Request(HTTPMessageDelegate):
    """One request: looked at once, then either ours or passed through."""

    def __init__(
        self, connections: Connections, inner: HTTPMessageDelegate, connection: HTTP1Connection
    ) -> None:
        self._connections = connections
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
            peer_address(context), headers.get_list("X-Forwarded-For")
        )
        path, _, query = line.path.partition("?")
        if path == self._connections.options.path:
            values = read_headers(headers)
            if wants_websocket(values):
                self._ours = True
                return _WebSocketRequest(self._connections, self._connection, values).serve(line, query)
        return self._inner.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return None if self._ours else self._inner.data_received(chunk)

    def finish(self) -> None:
        if not self._ours:
            self._inner.finish()

    def on_connection_close(self) -> None:
        if not self._ours:
            self._inner.on_connection_close()


class _WebSocketRequest:
    """A request for a WebSocket: a new connection, or the upgrade of one."""

    def __init__(self, connections: Connections, connection: HTTP1Connection, headers: Headers) -> None:
        self._connections = connections
        self._http = connection
        self._headers = headers
        self._line = RequestStartLine("", "", "")

    async def serve(self, line: RequestStartLine, query_text: str) -> None:
        """Refuse, or answer by 101 and hand the socket over."""
        self._line = line
        opening = read_opening(line.method, line.version, self._headers)
        if not isinstance(opening, Opening):
            version = {"Sec-WebSocket-Version": "13"} if opening.status == 426 else {}
            self._answer(opening.status, "text/plain", opening.message.encode(), **version)
            return
        policy = self._connections.origins
        if not policy.allows(self._first("origin"), self._first("host"), self._first("sec-fetch-site")):
            self._connections.counters.refused_origin += 1
            self._refuse(engineio.FORBIDDEN)
            return
        try:
            query = read_query(query_text)
        except ValueError:
            self._refuse(engineio.BAD_REQUEST)
            return
        await self._judged(opening, query)

    async def _judged(self, opening: Opening, query: dict[str, tuple[str, ...]]) -> None:
        asked = Asked.of(query)
        refusal = asked.refusal(self._connections.options.transports, "GET", upgrade=True)
        if refusal is None and asked.transport != "websocket":
            refusal = engineio.BAD_REQUEST
        if refusal is None and asked.sid is not None:
            connection = self._connections.find(asked.sid)
            if connection is None or connection.phase is Phase.CLOSED:
                refusal = engineio.UNKNOWN_SID
            elif asked.version != engineio.VERSION:
                refusal = engineio.BAD_REQUEST
            else:
                await self._probe(opening, connection, text_only="b64" in query)
                return
        if refusal is not None:
            self._refuse(refusal)
            return
        await self._open(opening, query)

    async def _open(self, opening: Opening, query: dict[str, tuple[str, ...]]) -> None:
        """Begin a connection; its place is taken before anything is promised."""
        connections, options = self._connections, self._connections.options
        handshake = handshake_of(self._http.context, self._headers, query)
        refused = connections.admission.enter(handshake.address, options, connections.now())
        if refused is not None:
            self._answer(
                503, "text/plain", refused.message.encode(), **{"Retry-After": str(refused.retry_after)}
            )
            return
        sid = new_sid()
        packet = engineio.open_packet(
            sid,
            upgrades=(),
            ping_interval=options.ping_interval,
            ping_timeout=options.ping_timeout,
            max_payload=options.max_payload,
        )
        try:
            sock, early = await take_over(
                self._http.detach(), switching_protocols(opening) + text_frame(packet)
            )
        except (StreamClosedError, OSError):
            connections.admission.leave(handshake.address)
            return
        connection = connections.make(connections, sid, handshake, options)
        link = WebSocketLink(
            connections,
            sock,
            connection,
            max_payload=options.max_payload,
            send_buffer=options.send_buffer,
            text_only="b64" in query,
        )
        connection.link, connection.phase = link, Phase.WEBSOCKET
        connections.add(connection)
        link.start(early)

    async def _probe(self, opening: Opening, connection: EngineConnection, *, text_only: bool) -> None:
        """Let a WebSocket probe a connection; one that comes too late is closed at once, after its 101."""
        connections = self._connections
        try:
            sock, early = await take_over(self._http.detach(), switching_protocols(opening))
        except (StreamClosedError, OSError):
            return
        polling = connection.link if transport_of(connection) == "polling" else None
        probe = UpgradeProbe(connections, connection, cast(PollingLink | None, polling))
        link = WebSocketLink(
            connections,
            sock,
            probe,
            max_payload=connection.options.max_payload,
            send_buffer=connections.options.send_buffer,
            text_only=text_only,
        )
        probe.begin(link)
        link.start(early)

    def _first(self, name: str) -> str | None:
        values = self._headers.get(name)
        return values[0] if values else None

    def _refuse(self, refusal: engineio.Refusal) -> None:
        self._answer(refusal.status, "application/json", refusal.body)

    def _answer(self, status: int, kind: str, body: bytes, **more: str) -> None:
        # Tornado closes after an answer that comes before the request was read to its end; a proxy must know, or
        # it sends its next client's request into a connection that is gone.
        headers = HTTPHeaders(
            {"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close", **more}
        )
        line = ResponseStartLine("HTTP/1.1", status, responses[status])
        address = client_address(self._http.context)
        tell_request(self._line.method, self._line.path.partition("?")[0], status, address)
        self._http.write_headers(line, headers, body)
        self._http.finish()
