"""The HTTP side of Engine.IO: handshakes, polls, packets posted, and preflights, on Tornado's handlers."""

from __future__ import annotations

import secrets
from typing import cast

from tornado.http1connection import HTTP1Connection
from tornado.web import stream_request_body

from compartmentd.errors import WireError
from compartmentd.protocol import engineio
from compartmentd.protocol.connection import EngineConnection
from compartmentd.protocol.engineio import FORBIDDEN, Refusal
from compartmentd.server.access import QuietHandler
from compartmentd.server.admission import TooMany
from compartmentd.server.connections import Connections
from compartmentd.server.polling import PollingLink
from compartmentd.server.requests import Asked, client_address, handshake_of, read_headers, read_query

_SMALL_BODY = 1 << 16
"""A refused request whose body is no longer is read to its end: the connection can be used again."""

_BODY_SLACK = 1 << 16
"""What Tornado may read beyond our limit, so that the answer to more is ours."""


def new_sid() -> str:
    """Return an Engine.IO session id: the only secret of a polling client, so never shown to others."""
    return secrets.token_urlsafe(15)


def transport_of(connection: EngineConnection | None) -> str | None:
    """Return the transport that a session's requests must name."""
    if connection is None:
        return None
    return "polling" if isinstance(connection.link, PollingLink) else "websocket"


@stream_request_body
class PollingHandler(QuietHandler):
    """Requests to the Engine.IO path that do not ask for a WebSocket.

    Everything that can be refused is refused before the body is read.
    """

    def initialize(self, connections: Connections) -> None:
        """Take what the server's rule gives every handler."""
        self.connections = connections
        self.refusal: Refusal | None = None
        self.connection: EngineConnection | None = None
        self.link: PollingLink | None = None
        self.body = bytearray()
        self.posting = False

    def prepare(self) -> None:
        """Judge the request by its head."""
        self.set_header("Cache-Control", "no-store")
        refusal = self._origin_refusal() or self._refusal()
        if refusal is not None:
            self._refuse_or_read(refusal)
        elif self.request.method == "POST":
            self._prepare_post()

    def data_received(self, chunk: bytes) -> None:
        """Collect a body, up to the limit."""
        if self._finished:
            return
        limit = _SMALL_BODY if self.connection is None else self.connection.options.max_payload
        if len(self.body) + len(chunk) > limit:
            self._too_long()
        else:
            self.body += chunk

    # Methods

    async def get(self) -> None:
        """Open a session, or fetch a session's packets."""
        if self.refusal is not None:
            self._refuse(self.refusal)
        elif self.connection is None:
            self._handshake()
        elif self.link is not None:
            payload = await self.link.poll()
            if payload is None:
                self._bad()
            else:
                self._answer(payload)

    async def post(self) -> None:
        """Take packets."""
        connection, link = self.connection, self.link
        if self.refusal is not None:
            self._refuse(self.refusal)
        elif connection is not None and connection.link is not link:
            self._refuse(engineio.BAD_REQUEST)  # it moved to a WebSocket while this was still coming
        elif connection is not None and link is not None:
            self.connections.counters.bytes_in += len(self.body)
            self._take(connection, bytes(self.body))
            await link.consumed()
            self._posted()
            if not link.failed:
                self.set_header("Content-Type", "text/html")
                self.finish(b"ok")
            else:
                self._bad()

    async def options(self) -> None:
        """Answer a preflight (Fetch, "CORS-preflight request"); anything else is no request of ours."""
        if self.refusal is not None:
            self._refuse(self.refusal)
            return
        self.set_status(204)
        self.set_header("Access-Control-Allow-Methods", "GET,POST")
        asked = self.request.headers.get("Access-Control-Request-Headers")
        if asked is not None:
            self.set_header("Access-Control-Allow-Headers", asked)
            self.add_header("Vary", "Access-Control-Request-Headers")
        self.finish()

    async def head(self) -> None:
        """Refuse: only GET polls."""
        self._refuse(self.refusal or engineio.BAD_METHOD)

    put = patch = delete = head

    def on_connection_close(self) -> None:
        """The client went away before it had its answer."""
        super().on_connection_close()
        if self.link is not None and (self.request.method == "GET" or self.posting):
            self._posted()
            self.link.cut()

    # Judging

    def _origin_refusal(self) -> Refusal | None:
        """Judge the Origin at every request, and let the pages of an allowed one read the answer."""
        headers = self.request.headers
        origin, policy = headers.get("Origin"), self.connections.origins
        if not policy.allows(origin, headers.get("Host"), headers.get("Sec-Fetch-Site")):
            self.connections.counters.refused_origin += 1
            return FORBIDDEN
        if origin is not None:
            self.set_header("Access-Control-Allow-Origin", "*" if policy.any else origin)
            if not policy.any:
                self.add_header("Vary", "Origin")
                # For load balancers that keep sessions together by a cookie.
                self.set_header("Access-Control-Allow-Credentials", "true")
        return None

    def _refusal(self) -> Refusal | None:
        method = self.request.method or ""
        if method == "OPTIONS":
            return None if "Origin" in self.request.headers else engineio.BAD_METHOD
        try:
            asked = Asked.of(read_query(self.request.query))
        except ValueError:
            return engineio.BAD_REQUEST
        refusal = asked.refusal(self.connections.options.transports, method, upgrade=False)
        if refusal is not None or asked.sid is None:
            return refusal
        connection = self.connections.find(asked.sid)
        refusal = asked.refusal_for(transport_of(connection))
        if refusal is None and connection is not None and isinstance(connection.link, PollingLink):
            if method not in {"GET", "POST"}:
                return engineio.BAD_REQUEST
            self.connection, self.link = connection, connection.link
        return refusal

    def _refuse_or_read(self, refusal: Refusal) -> None:
        """Refuse at once what brings a long body, else when its short one has been read."""
        length = self._content_length()
        if length is None or length > _SMALL_BODY:
            self._leave_unread()
            self._refuse(refusal)
        else:
            self.refusal = refusal

    def _content_length(self) -> int | None:
        """Return the announced length of the body, `None` where it is not announced."""
        if "Transfer-Encoding" in self.request.headers:
            return None
        text = self.request.headers.get("Content-Length", "0")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None

    def _prepare_post(self) -> None:
        connection, link = self.connection, self.link
        if connection is None or link is None:
            return
        limit = connection.options.max_payload
        if (self._content_length() or 0) > limit:
            self._too_long()
        elif link.posting:
            # The reference ends a session whose client posts twice at once: packets would lose their order.
            link.cut()
            self._leave_unread()
            self._bad()
        elif self.request.headers.get("Content-Type", "").startswith("application/octet-stream"):
            connection.fail(WireError("binary bodies are of an older protocol"))
            self._leave_unread()
            self._bad()
        else:
            link.posting = self.posting = True
            self._http.set_max_body_size(limit + _BODY_SLACK)

    # Answering

    def _leave_unread(self) -> None:
        """Say that the connection ends with this answer, as Tornado does where the body was not read to its end.

        A proxy that is not told sends the next client's request into a connection that is gone.
        """
        self.set_header("Connection", "close")

    @property
    def _http(self) -> HTTP1Connection:
        return cast(HTTP1Connection, self.request.connection)  # there is no other in Tornado's server

    def _handshake(self) -> None:
        connections, options = self.connections, self.connections.options
        context = self._http.context
        refused = connections.admission.enter(client_address(context), options, connections.now())
        if refused is not None:
            self._unavailable(refused)
            return
        handshake = handshake_of(context, read_headers(self.request.headers), read_query(self.request.query))
        connection = connections.make(connections, new_sid(), handshake, options)
        connection.link = PollingLink(connections, connection, options)
        upgrades = [name for name in options.transports if name == "websocket"]
        connections.add(connection)
        self._answer(
            engineio.open_packet(
                connection.sid,
                upgrades=upgrades,
                ping_interval=options.ping_interval,
                ping_timeout=options.ping_timeout,
                max_payload=options.max_payload,
            )
        )

    def _take(self, connection: EngineConnection, body: bytes) -> None:
        """Take a body's packets; of a session that we closed they are dropped: its next poll tells it so."""
        try:
            packets = engineio.decode_payload(body)
        except WireError as error:
            connection.fail(error)
        else:
            connection.receive(packets)

    def _posted(self) -> None:
        if self.posting and self.link is not None:
            self.link.posting = self.posting = False

    def _answer(self, payload: bytes) -> None:
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish(payload)

    def _refuse(self, refusal: Refusal) -> None:
        self.set_status(refusal.status)
        self.set_header("Content-Type", "application/json")
        self.finish(refusal.body)

    def _bad(self) -> None:
        self.set_status(400)
        self.set_header("Content-Type", "text/html")
        self.finish()

    def _too_long(self) -> None:
        self._posted()
        self._leave_unread()
        self.set_status(413)
        self.set_header("Content-Type", "text/html")
        self.finish()

    def _unavailable(self, refused: TooMany) -> None:
        self.set_status(503)
        self.set_header("Retry-After", str(refused.retry_after))
        self.set_header("Content-Type", "text/plain")
        self.finish(refused.message)
