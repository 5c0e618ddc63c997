"""Long-polling on a Tornado handler: CORS preflights, and every request that `polling_http` does not serve."""

from __future__ import annotations

from asyncio import Future
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar, cast

from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError
from tornado.web import stream_request_body

from compartmentd.errors import WireError
from compartmentd.net.quiet_handler import QuietHandler, Why
from compartmentd.net.tornado_streams import ResumedStream
from compartmentd.protocol import engineio
from compartmentd.protocol.engineio import HandshakeRefusal
from compartmentd.protocol.origins import PageHeaders
from compartmentd.transport.admission import AdmissionRefusal
from compartmentd.transport.connections import Connections
from compartmentd.transport.polling_link import PollingLink
from compartmentd.transport.polling_requests import SMALL_BODY, open_session, route_request
from compartmentd.transport.requests import build_handshake, read_headers, read_query

_T = TypeVar("_T")

_BODY_SLACK = 1 << 16
"""Bytes that Tornado may read beyond our limit, so that the answer to a longer body is ours."""

_ANY_SIZE = 1 << 40
"""The same for a body in chunks, one of which may announce any size: Tornado would answer without CORS headers."""


@stream_request_body
class PollingHandler(QuietHandler):
    """Serves requests to the Engine.IO path that do not ask for a WebSocket.

    A request that has to be refused is refused before its body is read.
    """

    why: Why | None = None
    """Why the request was refused, for the log."""

    def initialize(self, connections: Connections) -> None:
        """Take the arguments of the server's rule."""
        self.connections = connections
        self.refusal: HandshakeRefusal | None = None
        self.link: PollingLink | None = None
        self.body = bytearray()
        self.posting = False

    def prepare(self) -> None:
        """Check the request by its head."""
        self.set_header("Cache-Control", "no-store")
        refusal = self._check_origin() or self._find_refusal()
        if refusal is not None:
            self._refuse_or_read(refusal)
        elif self.request.method == "POST":
            self._prepare_post()

    def data_received(self, chunk: bytes) -> None:
        """Collect a body, up to the limit."""
        if self._finished:
            return
        limit = SMALL_BODY if self.link is None else self.link.longest_body
        if len(self.body) + len(chunk) > limit:
            self._answer_too_long()
        else:
            self.body += chunk

    # Methods

    async def get(self) -> None:
        """Open a session, or fetch a session's packets."""
        if self.refusal is not None:
            self._refuse(self.refusal)
        elif self.link is None:
            self._open_session()
        else:
            answer: Future[bytes | None] = self.connections.loop.create_future()
            self.link.poll(partial(_settle, answer))
            payload = await answer
            if payload is None:
                self._refuse(engineio.BAD_POLL)
            else:
                await self._answer_poll(self.link, payload)

    async def post(self) -> None:
        """Take packets."""
        link = self.link
        if self.refusal is not None:
            self._refuse(self.refusal)
        elif link is not None and link.connection.link is not link:
            self._refuse(engineio.BAD_REQUEST)  # it moved to a WebSocket while this was still coming
        elif link is not None:
            consumed: Future[None] = self.connections.loop.create_future()
            link.post(bytes(self.body), partial(_settle, consumed, None), is_read_in_turn=False)
            await consumed
            self._end_post()
            if not link.failure:
                self.set_header("Content-Type", "text/html")
                self.finish(b"ok")
            else:
                self._refuse(link.describe_failure())

    async def options(self) -> None:
        """Answer a preflight (Fetch, "CORS-preflight request")."""
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
        """Refuse: only GET may poll."""
        self._refuse(self.refusal or engineio.BAD_METHOD)

    put = patch = delete = head

    def on_connection_close(self) -> None:
        """End the session: the client left before it had its answer."""
        super().on_connection_close()
        if self.link is not None and (self.request.method == "GET" or self.posting):
            self._end_post()
            self.link.cut()

    def write_error(self, status_code: int, **kwargs: object) -> None:
        """Answer a method that is unknown, or an error of ours, before the body was read."""
        self._leave_unread()
        super().write_error(status_code, **kwargs)

    # Checking

    def _check_origin(self) -> HandshakeRefusal | None:
        """Check the Origin header of every request, and let the pages of an allowed one read the answer."""
        page = PageHeaders.from_headers(read_headers(self.request.headers))
        peer: str = cast(Any, self._http.context).address[0]
        refusal = self.connections.check_origin(page, peer)
        if refusal is not None:
            return refusal
        for name, value in self.connections.origins.build_headers(page.origin):
            self.add_header(name, value)
        return None

    def _find_refusal(self) -> HandshakeRefusal | None:
        method = self.request.method or ""
        if method == "OPTIONS":
            return None if "Origin" in self.request.headers else engineio.BAD_METHOD
        found = route_request(self.connections, method, self.request.query)
        if isinstance(found, HandshakeRefusal):
            return found
        self.link = found
        has_sessions = found is not None and found.connection.has_sessions
        cast(ResumedStream, self._http.stream).entry.set_pending(not has_sessions)
        return None

    def _refuse_or_read(self, refusal: HandshakeRefusal) -> None:
        """Refuse at once if the body is long, else when it has been read."""
        length = self._read_content_length()
        if length is None or length > SMALL_BODY:
            self._leave_unread()
            self._refuse(refusal)
        else:
            self.refusal = refusal

    def _read_content_length(self) -> int | None:
        """Return the announced length of the body, `None` if it is not announced."""
        if "Transfer-Encoding" in self.request.headers:
            return None
        text = self.request.headers.get("Content-Length", "0")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None

    def _prepare_post(self) -> None:
        link = self.link
        if link is None:
            return
        limit = link.longest_body
        if (self._read_content_length() or 0) > limit:
            self._answer_too_long()
        elif link.posting:
            # Two POSTs at once end the session, as in the reference implementation: packets would lose their order.
            link.cut()
            self._leave_unread()
            self._refuse(engineio.BAD_POLL)
        elif self.request.headers.get("Content-Type", "").startswith("application/octet-stream"):
            link.connection.fail(WireError("binary bodies are of an older protocol", reason="version"))
            self._leave_unread()
            self._refuse(link.describe_failure())
        else:
            link.posting = self.posting = True
            self._http.set_max_body_size(
                limit + _BODY_SLACK if self._read_content_length() is not None else _ANY_SIZE
            )

    # Answering

    async def _answer_poll(self, link: PollingLink, payload: bytes) -> None:
        """Answer a poll; what the client does not read of it counts as the session's, and ends with it."""
        stream = cast(ResumedStream, self._http.stream)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        written = self.finish(payload)
        if stream.unread:
            link.answering = stream
            with suppress(StreamClosedError):
                await written
            if link.answering is stream:
                link.answering = None

    def _leave_unread(self) -> None:
        """Announce that the socket closes after this answer, as Tornado does if the body was not read to its end.

        A proxy that is not told would send the next client's request into a closed socket.
        """
        self.set_header("Connection", "close")

    @property
    def _http(self) -> HTTP1Connection:
        return cast(HTTP1Connection, self.request.connection)  # Tornado's server has no other kind

    def _open_session(self) -> None:
        context = self._http.context
        handshake = build_handshake(
            context, read_headers(self.request.headers), read_query(self.request.query)
        )
        packet = open_session(self.connections, handshake)
        if isinstance(packet, AdmissionRefusal):
            self._answer_unavailable(packet)
        else:
            self._answer(packet)

    def _end_post(self) -> None:
        if self.posting and self.link is not None:
            self.link.posting = self.posting = False

    def _answer(self, payload: bytes) -> None:
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish(payload)

    def _refuse(self, refusal: HandshakeRefusal) -> None:
        self.connections.counters.refusals[refusal.reason] += 1
        self.why = Why(refusal.reason, refusal.detail)
        self.set_status(refusal.status)
        self.set_header("Content-Type", "application/json")
        self.finish(refusal.body)

    def _answer_too_long(self) -> None:
        self._end_post()
        self._leave_unread()
        self._refuse(engineio.TOO_LONG)

    def _answer_unavailable(self, refused: AdmissionRefusal) -> None:
        self.why = Why(refused.reason, refused.message)
        self.set_status(503)
        self.set_header("Retry-After", str(refused.retry_after))
        self.set_header("Content-Type", "text/plain")
        self.finish(refused.message)


def _settle(future: Future[_T], value: _T) -> None:
    """Give a waiting handler its result; its client may have left meanwhile."""
    if not future.done():
        future.set_result(value)
