"""A socket on which a client polls and posts by HTTP/1.1, request after request, served without Tornado.

Tornado serves any request. But a message to 500 polling clients is 500 answers and 500 requests for the next
message, and a parser, a coroutine and two futures for each were nine tenths of the cost: 255 µs of CPU, of which 18
are left (Node's: 38). So plain requests to our path are served here; `protocol.http1` defines which are plain. At
the first other request the socket goes to Tornado, with every byte from that request on. Both route a request in
the same way (`polling_requests.route_request`), and an answer that comes before its request was read to the end is
always given by Tornado.

One request is served at a time: what a client sends behind it waits.
"""

from __future__ import annotations

from math import inf

from compartmentd.net.quiet_handler import Why, is_logged, log_answer
from compartmentd.net.sock import Sock
from compartmentd.net.tls_socket import SecureSocket
from compartmentd.net.tornado_streams import ANSWER_TIMEOUT
from compartmentd.protocol import engineio
from compartmentd.protocol.application import Handshake
from compartmentd.protocol.engineio import HandshakeRefusal
from compartmentd.protocol.http1 import Fields, NotPlain, PlainRequest, RequestReader, read_block
from compartmentd.protocol.origins import OriginPolicy
from compartmentd.transport.admission import AdmissionRefusal
from compartmentd.transport.connections import Connections
from compartmentd.transport.handover import HttpServers
from compartmentd.transport.http_answers import (
    HTML,
    JSON,
    PAYLOAD,
    TEXT,
    encode_answer,
    encode_last_answer,
)
from compartmentd.transport.polling_link import PollingLink
from compartmentd.transport.polling_requests import SMALL_BODY, open_session, route_request
from compartmentd.transport.requests import read_query

IDLE_TIMEOUT = 20.0
"""Seconds between two requests on one socket."""

_BUFFER = bytearray(1 << 16)
_VIEW = memoryview(_BUFFER)


class PollingHttpConnection:
    """One socket, from its first plain request to its end, or to the first request that is not plain."""

    __slots__ = (
        "_closed",
        "_connections",
        "_cors_fields",
        "_data",
        "_deadline",
        "_fields",
        "_http",
        "_peer",
        "_pending",
        "_policy",
        "_reader",
        "_reading",
        "_refused",
        "_request",
        "_serving",
        "_sock",
        "_started",
        "_target",
        "due",
    )

    takes_place = False

    def __init__(self, connections: Connections, sock: Sock, peer: str, http: HttpServers) -> None:
        """Take a socket, of which `peer` is the address; nothing happens before `start`."""
        self.due = inf
        self._connections = connections
        self._sock = sock
        self._peer = peer
        self._http = http
        self._reader = RequestReader(connections.request_line)
        self._data: bytes | bytearray = b""  # read, and not used yet
        self._reading = False
        self._closed = False
        self._deadline = inf
        # The request that is under way: its head, its session, and whether it is here as a whole.
        self._request: PlainRequest | None = None
        self._target: PollingLink | HandshakeRefusal | None = None
        self._serving = False
        self._started = 0.0
        self._pending: bytearray | None = None  # of its answer, what the kernel did not take
        # The result of the policy about origins for the header fields, until either changes.
        self._fields: Fields | None = None
        self._policy: OriginPolicy | None = None
        self._refused: HandshakeRefusal | None = None
        self._cors_fields = b""

    def start(self, data: bytes = b"") -> None:
        """Begin to read; `data` was read already, from the start of a request."""
        self._connections.holders.add(self)
        self._sock.entry.owner = self
        self._set_reading(wanted=True)
        self._set_deadline(self._connections.options.header_timeout)
        if data:
            self._take_safely(data)
        else:
            self._on_readable()

    # Reading

    def _on_readable(self) -> None:
        try:
            count = self._sock.recv_into(_BUFFER)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            count = 0
        if count:
            self._take_safely(bytes(_VIEW[:count]))
        else:
            self._drop()

    def _take_safely(self, data: bytes) -> None:
        try:
            self._take(data)
        except Exception as error:  # noqa: BLE001 - the loop would go on with a request that is half served
            self._connections.report_error("a connection is closed for an error while it was served", error)
            self._drop()

    def _take(self, data: bytes) -> None:
        if self._data:
            self._data += data
        else:
            self._data = data
            if self._request is None:
                self._set_deadline(self._connections.options.header_timeout)
        request = self._request
        if request is None:
            self._read_head()
        elif self._serving:
            self._set_reading(wanted=False)
        elif len(self._data) >= request.fields.length:
            self._serve(request)
        elif not isinstance(self._data, bytearray):
            self._data = bytearray(self._data)  # so that a body in many pieces is not copied at each

    def _read_head(self) -> None:
        """Read the head of a request, if all of it is here."""
        data = bytes(self._data)
        try:
            request = self._reader.read(data)
        except NotPlain:
            self._hand_back(data)
            return
        if request is None:
            return
        policy = self._connections.origins
        if request.fields is not self._fields or policy is not self._policy:
            self._check_origin(request.fields, policy)
        target: PollingLink | HandshakeRefusal | None = self._refused
        if target is None:
            target = route_request(self._connections, request.method, request.query)
        if self._is_for_tornado(request, target):
            self._hand_back(data)
            return
        self._request, self._target = request, target
        self._data = data[request.size :]
        self._started = self._connections.now()
        if request.method == "POST" and isinstance(target, PollingLink):
            target.posting = True
        if request.fields.length <= len(self._data):
            self._serve(request)
        else:
            self._set_deadline(self._connections.options.body_timeout)

    def _check_origin(self, fields: Fields, policy: OriginPolicy) -> None:
        """Check the origin of a request; the result holds while its fields and the policy stay the same."""
        self._fields, self._policy = fields, policy
        self._refused = self._connections.check_origin(fields.page, self._peer)
        headers = policy.build_headers(fields.page.origin) if self._refused is None else ()
        self._cors_fields = b"".join([f"{name}: {value}\r\n".encode("latin-1") for name, value in headers])

    @staticmethod
    def _is_for_tornado(request: PlainRequest, target: PollingLink | HandshakeRefusal | None) -> bool:
        """Return whether the answer will come before the body is read, and close the socket."""
        if isinstance(target, PollingLink):
            limit = target.longest_body
            return request.fields.length > limit or (target.posting and request.method == "POST")
        return request.fields.length > SMALL_BODY

    # Serving

    def _serve(self, request: PlainRequest) -> None:
        """Serve a request, all of which is here; what is behind it waits."""
        self._serving = True
        self._deadline = inf
        length = request.fields.length
        body, self._data = bytes(self._data[:length]), self._data[length:]
        if self._data:
            self._set_reading(wanted=False)
        target = self._target
        entry = self._sock.entry
        if isinstance(target, PollingLink) and target.connection.has_sessions:
            entry.set_pending(False)
        else:
            entry.set_pending(True)
            entry.note_use()
        if target is None:
            self._open_session(request)
        elif isinstance(target, HandshakeRefusal):
            self._refuse(target)
        elif request.method == "GET":
            target.poll(self._answer_poll)
        elif target.connection.link is target:
            target.post(body, self._answer_post, is_read_in_turn=True)
        else:
            target.posting = False
            self._refuse(engineio.BAD_REQUEST)  # the session moved to a WebSocket while this was still coming

    def _open_session(self, request: PlainRequest) -> None:
        connections, headers = self._connections, read_block(request.block)
        handshake = Handshake(
            address=self._find_client(headers.get("x-forwarded-for", ())),
            headers=headers,
            query=read_query(request.query),
            secure=isinstance(self._sock, SecureSocket),
        )
        packet = open_session(connections, handshake)
        if isinstance(packet, AdmissionRefusal):
            fields = b"Retry-After: %d\r\n" % packet.retry_after
            self._answer(503, TEXT, packet.message.encode(), fields, Why(packet.reason, packet.message))
        else:
            self._answer(200, PAYLOAD, packet)

    def _answer_poll(self, payload: bytes | None) -> None:
        if payload is None:
            self._refuse(engineio.BAD_POLL)
        else:
            self._answer(200, PAYLOAD, payload)

    def _answer_post(self) -> None:
        link = self._target
        if isinstance(link, PollingLink):
            link.posting = False
            if link.failure:
                self._refuse(link.describe_failure())
            else:
                self._answer(200, HTML, b"ok")

    def _refuse(self, refusal: HandshakeRefusal) -> None:
        self._connections.counters.refusals[refusal.reason] += 1
        self._answer(refusal.status, JSON, refusal.body, why=Why(refusal.reason, refusal.detail))

    # Answering

    def _answer(
        self,
        status: int,
        media_type: bytes,
        body: bytes,
        fields: bytes = b"",
        why: Why | None = None,
    ) -> None:
        if self._closed:
            return
        if self._request is not None and self._request.closes:
            fields += b"Connection: close\r\n"
        data = encode_answer(status, media_type, body, self._cors_fields + fields)
        if is_logged(status):
            self._log(status, why)
        try:
            sent = self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._drop()
            return
        if sent == len(data):
            self._finish_request()
            return
        self._pending = bytearray(memoryview(data)[sent:])
        self._set_deadline(ANSWER_TIMEOUT)
        target, request = self._target, self._request
        if isinstance(target, PollingLink) and request is not None and request.method == "GET":
            target.answering = self
        self._connections.poller.add_writer(self._sock, self._on_writable)

    def _on_writable(self) -> None:
        pending = self._pending
        if pending is None:
            return
        try:
            del pending[: self._sock.send(pending)]
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._drop()
            return
        if not pending:
            if isinstance(self._target, PollingLink):
                self._target.answering = None
            self._stop_writing()
            self._finish_request()

    def _finish_request(self) -> None:
        """Wait for the next request; if it is here already, other work has its turn first."""
        closes = self._request is not None and self._request.closes
        self._request = self._target = None
        if closes:
            self._drop()
            return
        self._serving = False
        self._set_deadline(IDLE_TIMEOUT)
        if self._data:
            self._connections.backlog.add(self)

    def proceed(self) -> bool:
        """Serve the next request, which is here already; the one behind it waits for its turn."""
        if not self._closed and self._request is None:
            self._set_reading(wanted=True)
            self._take_safely(b"")
        return False

    def _log(self, status: int, why: Why | None) -> None:
        request = self._request
        if request is not None:
            address = self._find_client(read_block(request.block).get("x-forwarded-for", ()))
            took = self._connections.now() - self._started
            log_answer(request.method, self._connections.options.path, status, address, took, why=why)

    def _find_client(self, forwarded: tuple[str, ...]) -> str:
        return self._connections.proxies.find_client(self._peer, forwarded)

    # Time

    def _set_deadline(self, seconds: float) -> None:
        self._deadline = self._connections.now() + seconds
        if self.due > self._deadline:
            self._connections.arm(self, self._deadline)

    def tick(self, now: float) -> float | None:
        """Close the socket if the client's time is over."""
        if self._closed:
            return None
        if now < self._deadline:
            return self._deadline
        counters = self._connections.counters
        if self._pending is not None:
            counters.answer_timeouts += 1
            self._drop()
        elif self._data or self._request is not None:
            if self._request is None:
                counters.header_timeouts += 1
            else:
                counters.body_timeouts += 1
            self._drop(encode_last_answer(408, "the request did not come in time"))
        else:
            self._drop()
        return None

    # The end

    @property
    def unread(self) -> int:
        """The number of bytes of an answer that the kernel has not taken."""
        return len(self._pending or b"")

    def abort(self) -> None:
        """Close at once."""
        self._drop()

    def abandon(self) -> None:
        """Close at once, since an error of ours left the socket in an unknown state."""
        self._drop()

    def shed(self) -> None:
        """Close at once: others need the socket's place."""
        self._drop()

    def _drop(self, answer: bytes = b"") -> None:
        """Close the socket, with a last answer if any, and cut off the request that is under way."""
        if self._closed:
            return
        self._release()
        if answer:
            self._connections.lingerers.linger(self._sock, answer)
        else:
            self._sock.close()
        link, request = self._target, self._request
        if isinstance(link, PollingLink) and request is not None:
            if request.method == "POST":
                link.posting = False
            link.cut()

    def _hand_back(self, data: bytes) -> None:
        """Give the socket to Tornado; `data` begins with a request that is not plain."""
        self._release()
        self._http.serve_other(self._sock, self._peer, data)

    def _release(self) -> None:
        self._closed = True
        self._connections.holders.discard(self)
        self._connections.disarm(self)
        # Before the socket is closed: its number may be another's at once.
        self._set_reading(wanted=False)
        self._stop_writing()

    def _stop_writing(self) -> None:
        if self._pending is not None:
            self._pending = None
            self._connections.poller.remove_writer(self._sock)

    def _set_reading(self, *, wanted: bool) -> None:
        if wanted and not self._reading:
            self._connections.poller.add_reader(self._sock, self._on_readable)
        elif self._reading and not wanted:
            self._connections.poller.remove_reader(self._sock)
        self._reading = wanted
