"""Tornado's HTTP server: every request that is not served by our own code, and the ones that lead back to it.

`TornadoEdge` sees the head of every request that Tornado reads (see `router` for those that it need not read). A
request for a WebSocket on our path is checked, detached from Tornado and opened here; a plain polling request
leaves Tornado, too. All others go on to Tornado's application as if nothing had been between.
"""

from __future__ import annotations

from collections.abc import Awaitable
from http.client import responses
from typing import Any, cast

from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
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

from compartmentd.net.quiet_handler import Why, log_answer
from compartmentd.net.sock import Sock
from compartmentd.net.tornado_streams import Overdue, ResumedStream, resume_stream
from compartmentd.protocol.connection import EngineConnection
from compartmentd.protocol.http1 import MAX_HEAD, is_plain
from compartmentd.protocol.opening import Headers, build_switching_response, wants_websocket
from compartmentd.transport.connections import Connections
from compartmentd.transport.http_answers import encode_last_answer
from compartmentd.transport.polling_http import IDLE_TIMEOUT, PollingHttpConnection
from compartmentd.transport.polling_requests import SMALL_BODY
from compartmentd.transport.requests import (
    MAX_FIELDS,
    find_client_address,
    read_headers,
)
from compartmentd.transport.tornado_detach import take_over
from compartmentd.transport.websocket_requests import (
    AcceptedRequest,
    HttpRefusal,
    NewConnection,
    WebSocketRequest,
    check_request,
    open_connection,
    start_probe,
)

_BODY_BYTES = 64 * 1024
"""The longest body, unless a handler allows more for itself."""


class TornadoEdge(HTTPServerConnectionDelegate):
    """Tornado's HTTP server on the public listeners, as `handover.HttpServers`."""

    def __init__(self, connections: Connections, application: Application) -> None:
        """Serve no socket yet."""
        self.connections = connections
        self.application = application
        self._http = HTTPServer(
            self,
            max_header_size=MAX_HEAD,
            idle_connection_timeout=IDLE_TIMEOUT,
            max_body_size=_BODY_BYTES,
        )

    def serve_polling(self, sock: Sock, peer: str, early: bytes, /) -> None:
        """Serve a socket without Tornado while its requests are plain ones of polling."""
        PollingHttpConnection(self.connections, sock, peer, self).start(early)

    def serve_other(self, sock: Sock, peer: str, early: bytes, /) -> None:
        """Let Tornado serve a socket."""
        self._http.conn_params.body_timeout = self.connections.options.body_timeout
        # A tuple, as `accept` returns it: Tornado takes the peer's address from its first member.
        self._http.handle_stream(resume_stream(sock, early, self), (peer, 0))

    @property
    def header_timeout(self) -> float:
        """Seconds for the head of a request."""
        return self.connections.options.header_timeout

    def note_unread(self) -> None:
        """Count an answer that was not read in time."""
        self.connections.counters.answer_timeouts += 1

    def close_socket(self, sock: Sock, overdue: Overdue, /) -> None:
        """Close a socket of Tornado's with the answer that Tornado does not give; see `SocketCloser`."""
        answer = b""
        if overdue == "head_too_long":
            self.connections.counters.refused_head += 1
            answer = encode_last_answer(431, f"the head of a request has at most {MAX_HEAD} bytes")
        elif overdue != "nothing":
            if overdue == "head_too_slow":
                self.connections.counters.header_timeouts += 1
            else:
                self.connections.counters.body_timeouts += 1
            answer = encode_last_answer(408, "the request did not come in time")
        self.connections.lingerers.linger(sock, answer)

    async def close(self) -> None:
        """Close the sockets that Tornado serves."""
        await self._http.close_all_connections()

    # HTTPServerConnectionDelegate

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Return the delegate for one request."""
        inner = self.application.start_request(server_conn, request_conn)
        connection = cast(HTTP1Connection, request_conn)
        cast(ResumedStream, connection.stream).await_request()
        return _EdgeRequest(self, inner, connection)

    def on_close(self, server_conn: object) -> None:
        """Pass on that Tornado's connection has ended."""
        self.application.on_close(server_conn)


class _EdgeRequest(HTTPMessageDelegate):
    """One request: looked at once, then either served here or passed on to Tornado's application."""

    def __init__(self, edge: TornadoEdge, inner: HTTPMessageDelegate, connection: HTTP1Connection) -> None:
        self._edge = edge
        self._connections = edge.connections
        self._inner = inner
        self._connection = connection
        self._stream = cast(ResumedStream, connection.stream)  # the edge serves no other kind
        self._ours = False

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        line = cast(RequestStartLine, start_line)
        self._stream.note_head()
        self._stream.entry.note_use()
        if sum(1 for _ in headers.get_all()) > MAX_FIELDS:
            raise HTTPInputError("too many headers")
        context: Any = self._connection.context
        context.remote_ip = self._connections.proxies.find_client(
            context.address[0], headers.get_list("X-Forwarded-For")
        )
        path, _, query = line.path.partition("?")
        if path in self._connections.paths:
            values = read_headers(headers)
            if wants_websocket(values):
                self._ours = True
                return _TornadoUpgrade(self._connections, self._connection, values).serve(line, query)
            # A long body is read by Tornado, since the part that it has read would have to be handed over.
            if not self._is_returned() and is_plain(line.method, line.version, values, SMALL_BODY):
                self._ours = True
                return self._serve_polling(line, headers)
        return self._inner.headers_received(start_line, headers)

    def _is_returned(self) -> bool:
        """Return whether `polling_http` gave this request to Tornado, and so must not get it again."""
        returned, self._stream.fresh = self._stream.fresh, False
        return returned

    async def _serve_polling(self, line: RequestStartLine, headers: HTTPHeaders) -> None:
        """Let `polling_http` serve the socket, from this request on."""
        peer = cast(Any, self._connection.context).address[0]
        lines = [f"{line.method} {line.path} {line.version}"]
        lines += [f"{name}: {value}" for name, value in headers.get_all()]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        try:
            sock, early = await take_over(_detach(self._connection), b"")
        except (StreamClosedError, OSError):
            return
        self._edge.serve_polling(sock, peer, head + early)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return None if self._ours else self._inner.data_received(chunk)

    def finish(self) -> None:
        self._stream.note_complete()
        if not self._ours:
            self._inner.finish()

    def on_connection_close(self) -> None:
        if not self._ours:
            self._inner.on_connection_close()


def _detach(connection: HTTP1Connection) -> ResumedStream:
    return cast(ResumedStream, connection.detach())  # the edge serves no other kind


class _TornadoUpgrade:
    """A request for a WebSocket that Tornado has read."""

    def __init__(self, connections: Connections, connection: HTTP1Connection, headers: Headers) -> None:
        self._connections = connections
        self._http = connection
        self._headers = headers
        self._line = RequestStartLine("", "", "")

    async def serve(self, line: RequestStartLine, query: str) -> None:
        """Refuse, or answer by 101 and take the socket over."""
        self._line = line
        context: Any = self._http.context
        address, secure = find_client_address(context), context.protocol == "https"
        peer: str = context.address[0]
        request = WebSocketRequest(line.method, line.version, query, self._headers, address, peer, secure)
        checked = check_request(self._connections, request)
        if isinstance(checked, HttpRefusal):
            self._connections.counters.refusals[checked.reason] += 1
            version = {"Sec-WebSocket-Version": "13"} if checked.status == 426 else {}
            self._answer(checked, **version)
        elif checked.probed is None:
            await self._open(request, checked)
        else:
            await self._probe(checked, checked.probed)

    async def _open(self, request: WebSocketRequest, accepted: AcceptedRequest) -> None:
        """Begin a connection; its place is taken before anything is promised."""
        connections, options = self._connections, self._connections.options
        refused = connections.admission.enter(request.address, options, connections.now())
        if refused is not None:
            text = refused.message.encode()
            full = HttpRefusal(503, "text/plain", text, refused.reason, refused.message)
            self._answer(full, **{"Retry-After": str(refused.retry_after)})
            return
        new = NewConnection.prepare(request, accepted, options)
        try:
            sock, early = await take_over(_detach(self._http), new.greeting)
        except (StreamClosedError, OSError):
            connections.admission.leave(request.address)
            return
        open_connection(connections, new, sock, early)

    async def _probe(self, accepted: AcceptedRequest, probed: EngineConnection) -> None:
        try:
            sock, early = await take_over(_detach(self._http), build_switching_response(accepted.opening))
        except (StreamClosedError, OSError):
            return
        start_probe(self._connections, probed, sock, early, text_only=accepted.text_only)

    def _answer(self, refused: HttpRefusal, **more: str) -> None:
        # Tornado closes after an answer that comes before the request was read to its end; a proxy must know, or
        # it sends its next client's request into a connection that is gone.
        size = str(len(refused.body))
        headers = HTTPHeaders(
            {"Content-Type": refused.media_type, "Content-Length": size, "Connection": "close", **more}
        )
        line = ResponseStartLine("HTTP/1.1", refused.status, responses[refused.status])
        address = find_client_address(self._http.context)
        path = self._line.path.partition("?")[0]
        why = Why(refused.reason, refused.detail)
        log_answer(self._line.method, path, refused.status, address, why=why)
        # An answer to HEAD has the fields of one to GET, and no body (RFC 9110, 9.3.2).
        body = None if self._line.method == "HEAD" else refused.body
        self._http.write_headers(line, headers, body)
        self._http.finish()
