"""A connection of HTTP on which clients poll and post, request after request, on a raw socket.

Tornado serves any request; but a message to 500 polling clients is 500 answers and 500 requests for the next, and a
parser, a coroutine and two futures for each were nine tenths of what they cost: 255 µs of CPU, of which 18 are left
(Node's: 38). So plain requests to our path are served here; `protocol.http1` says what is plain. At the first other
one, whatever it is, the connection goes to Tornado, with every byte from that request on. Both judge alike
(`polls.judge`), and an answer that comes before its request was read to its end is always Tornado's.

One request at a time: what a client sends behind one that is being served waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache
from math import inf
from typing import Any, TypeAlias

from compartmentd.net.quiet_handler import is_told, tell_request
from compartmentd.net.sock import Sock
from compartmentd.net.tls_socket import SecureSocket
from compartmentd.protocol import engineio
from compartmentd.protocol.application import Handshake
from compartmentd.protocol.engineio import Refusal
from compartmentd.protocol.http1 import Fields, Request, RequestReader, Unusual, read_block
from compartmentd.protocol.origins import OriginPolicy
from compartmentd.transport.admission import TooMany
from compartmentd.transport.connections import Connections
from compartmentd.transport.polling_link import PollingLink
from compartmentd.transport.polling_requests import SMALL_BODY, begin, judge
from compartmentd.transport.requests import peer_address, read_query

HEAD_TIMEOUT = 20.0
"""Seconds for a request's head, and between two requests of one connection."""

BODY_TIMEOUT = 15.0
"""Seconds for a request's body."""

_STALL_TIMEOUT = 20.0
"""Seconds in which a client takes nothing of its answer until it is given up."""

_BUFFER = bytearray(1 << 16)
_VIEW = memoryview(_BUFFER)

_JSON, _HTML, _TEXT = b"application/json", b"text/html", b"text/plain"
_PAYLOAD = b"text/plain; charset=UTF-8"
_REASONS = {200: b"OK", 400: b"Bad Request", 403: b"Forbidden", 503: b"Service Unavailable"}

_ANSWER = b"""\
HTTP/1.1 %d %b\r
Date: %b\r
Content-Type: %b\r
Cache-Control: no-store\r
%bContent-Length: %d\r
\r
%b"""

GiveBack: TypeAlias = Callable[[Sock, Any, bytes], None]
"""Take a socket, its peer's address as `accept` told it, and what was read of it."""


@lru_cache(maxsize=1)
def _date(second: int) -> bytes:
    """Return the value of Date (RFC 9110, 6.6.1), made once a second."""
    return formatdate(second, usegmt=True).encode("ascii")


class KeptAlive:
    """One connection, from its first plain request to its end, or to the first that is not plain."""

    __slots__ = (
        "_address",
        "_allowed",
        "_closed",
        "_connections",
        "_data",
        "_deadline",
        "_fields",
        "_give_back",
        "_judged",
        "_pending",
        "_policy",
        "_reader",
        "_reading",
        "_request",
        "_serving",
        "_shared",
        "_sock",
        "_started",
        "due",
    )

    def __init__(self, connections: Connections, sock: Sock, address: Any, give_back: GiveBack) -> None:
        """Take a socket, with the address that `accept` told; nothing happens before `start`."""
        self.due = inf
        self._connections = connections
        self._sock = sock
        self._address = address
        self._give_back = give_back
        self._reader = RequestReader(connections.request_line)
        self._data: bytes | bytearray = b""  # read, and not used yet: of a head, of a body, or behind
        self._reading = False
        self._closed = False
        self._deadline = inf
        # The request that is under way: its head, whom it is for, and whether it is here as a whole.
        self._request: Request | None = None
        self._judged: PollingLink | Refusal | None = None
        self._serving = False
        self._started = 0.0
        self._pending: bytearray | None = None  # of its answer, what the kernel did not take
        # What its fields mean by the policy about origins, until either changes.
        self._fields: Fields | None = None
        self._policy: OriginPolicy | None = None
        self._allowed = False
        self._shared = b""

    def start(self, data: bytes = b"") -> None:
        """Begin to read; `data` has been read already, from the start of a request."""
        self._connections.guests.add(self)
        self._set_reading(wanted=True)
        self._set_deadline(HEAD_TIMEOUT)
        if data:
            self._guarded(data)
        else:
            self._readable()

    # Reading

    def _readable(self) -> None:
        try:
            count = self._sock.recv_into(_BUFFER)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            count = 0
        if count:
            self._guarded(bytes(_VIEW[:count]))
        else:
            self._gone()

    def _guarded(self, data: bytes) -> None:
        try:
            self._take(data)
        except Exception as error:  # noqa: BLE001 - the loop would go on with a request that is half served
            self._connections.failed("a connection is closed for an error while it was served", error)
            self._gone()

    def _take(self, data: bytes) -> None:
        if self._data:
            self._data += data
        else:
            self._data = data
        request = self._request
        if request is None:
            self._next()
        elif self._serving:
            self._set_reading(wanted=False)
        elif len(self._data) >= request.fields.length:
            self._serve(request)
        elif not isinstance(self._data, bytearray):
            self._data = bytearray(self._data)  # so that a body in many pieces is not copied at each

    def _next(self) -> None:
        """Read the head of a request, if it is here."""
        data = bytes(self._data)
        try:
            request = self._reader.read(data)
        except Unusual:
            self._leave(data)
            return
        if request is None:
            return
        policy = self._connections.origins
        if request.fields is not self._fields or policy is not self._policy:
            self._meet(request.fields, policy)
        judged = (
            judge(self._connections, request.method, request.query) if self._allowed else engineio.FORBIDDEN
        )
        if self._is_for_tornado(request, judged):
            self._leave(data)
            return
        self._request, self._judged = request, judged
        self._data = data[request.size :]
        self._started = self._connections.now()
        if request.method == "POST" and isinstance(judged, PollingLink):
            judged.posting = True
        if request.fields.length <= len(self._data):
            self._serve(request)
        else:
            self._set_deadline(BODY_TIMEOUT)

    def _meet(self, fields: Fields, policy: OriginPolicy) -> None:
        """Judge the origin that a request names, as long as its fields and the policy are the same."""
        self._fields, self._policy = fields, policy
        self._allowed = policy.allows(fields.origin, fields.host, fields.fetch_site)
        shared = policy.shared_with(fields.origin) if self._allowed else ()
        self._shared = b"".join([f"{name}: {value}\r\n".encode("latin-1") for name, value in shared])

    @staticmethod
    def _is_for_tornado(request: Request, judged: PollingLink | Refusal | None) -> bool:
        """Tell whether the answer will come before the body was read, and end the connection."""
        if isinstance(judged, PollingLink):
            limit = judged.connection.options.max_payload
            return request.fields.length > limit or (judged.posting and request.method == "POST")
        return request.fields.length > SMALL_BODY

    # Serving

    def _serve(self, request: Request) -> None:
        """Do what was asked for; all of it is here, and what is behind it waits."""
        self._serving = True
        self._deadline = inf
        length = request.fields.length
        body, self._data = bytes(self._data[:length]), self._data[length:]
        if self._data:
            self._set_reading(wanted=False)
        judged = self._judged
        if judged is None:
            self._handshake(request)
        elif isinstance(judged, Refusal):
            self._refuse(judged)
        elif request.method == "GET":
            judged.poll(self._polled)
        elif judged.connection.link is judged:
            judged.post(body, self._consumed)
        else:
            judged.posting = False
            self._refuse(engineio.BAD_REQUEST)  # it moved to a WebSocket while this was still coming

    def _handshake(self, request: Request) -> None:
        connections, headers = self._connections, read_block(request.block)
        handshake = Handshake(
            address=self._client(headers.get("x-forwarded-for", ())),
            headers=headers,
            query=read_query(request.query),
            secure=isinstance(self._sock, SecureSocket),
        )
        packet = begin(connections, handshake)
        if isinstance(packet, TooMany):
            self._answer(503, _TEXT, packet.message.encode(), b"Retry-After: %d\r\n" % packet.retry_after)
        else:
            self._answer(200, _PAYLOAD, packet)

    def _polled(self, payload: bytes | None) -> None:
        if payload is None:
            self._answer(400, _HTML, b"")
        else:
            self._answer(200, _PAYLOAD, payload)

    def _consumed(self) -> None:
        link = self._judged
        if isinstance(link, PollingLink):
            link.posting = False
            if link.failed:
                self._answer(400, _HTML, b"")
            else:
                self._answer(200, _HTML, b"ok")

    def _refuse(self, refusal: Refusal) -> None:
        if refusal is engineio.FORBIDDEN:
            self._connections.counters.refused_origin += 1
        self._answer(refusal.status, _JSON, refusal.body)

    # Answering

    def _answer(self, status: int, kind: bytes, body: bytes, more: bytes = b"") -> None:
        if self._closed:
            return
        if self._request is not None and self._request.closes:
            more += b"Connection: close\r\n"
        head = (status, _REASONS[status], _date(int(time.time())), kind, self._shared + more, len(body), body)
        data = _ANSWER % head
        if is_told(status):
            self._tell(status)
        try:
            sent = self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._gone()
            return
        if sent == len(data):
            self._answered()
            return
        self._pending = bytearray(memoryview(data)[sent:])
        self._set_deadline(_STALL_TIMEOUT)
        self._connections.sockets.add_writer(self._sock, self._writable)

    def _writable(self) -> None:
        pending = self._pending
        if pending is None:
            return
        try:
            del pending[: self._sock.send(pending)]
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._gone()
            return
        if pending:
            self._set_deadline(_STALL_TIMEOUT)
        else:
            self._stop_writing()
            self._answered()

    def _answered(self) -> None:
        """Wait for the next request; if it is here, let others have their turn before."""
        closes = self._request is not None and self._request.closes
        self._request = self._judged = None
        if closes:
            self._gone()
            return
        self._serving = False
        self._set_deadline(HEAD_TIMEOUT)
        if self._data:
            self._connections.loop.call_soon(self._again)

    def _again(self) -> None:
        if self._closed or self._request is not None:
            return
        self._set_reading(wanted=True)
        self._guarded(b"")

    def _tell(self, status: int) -> None:
        request = self._request
        if request is not None:
            address = self._client(read_block(request.block).get("x-forwarded-for", ()))
            took = self._connections.now() - self._started
            tell_request(request.method, self._connections.options.path, status, address, took)

    def _client(self, forwarded: tuple[str, ...]) -> str:
        return self._connections.proxies.client(peer_address(self._address), forwarded)

    # Time

    def _set_deadline(self, seconds: float) -> None:
        self._deadline = self._connections.now() + seconds
        if self.due > self._deadline:
            self._connections.arm(self, self._deadline)

    def tick(self, now: float) -> float | None:
        """Close if the client's time is over."""
        if self._closed:
            return None
        if now < self._deadline:
            return self._deadline
        self._gone()
        return None

    # The end

    def abort(self) -> None:
        """Close at once."""
        self._gone()

    def _gone(self) -> None:
        """The client has left, or has to: what it had asked for is cut off."""
        if self._closed:
            return
        self._let_go()
        self._sock.close()
        link, request = self._judged, self._request
        if isinstance(link, PollingLink) and request is not None:
            if request.method == "POST":
                link.posting = False
            link.cut()

    def _leave(self, data: bytes) -> None:
        """Give the connection to Tornado; `data` begins with a request that is not plain."""
        self._let_go()
        self._give_back(self._sock, self._address, data)

    def _let_go(self) -> None:
        self._closed = True
        self._connections.guests.discard(self)
        self._connections.disarm(self)
        # Before the socket is closed: its number may be another's at once.
        self._set_reading(wanted=False)
        self._stop_writing()

    def _stop_writing(self) -> None:
        if self._pending is not None:
            self._pending = None
            self._connections.sockets.remove_writer(self._sock)

    def _set_reading(self, *, wanted: bool) -> None:
        if wanted and not self._reading:
            self._connections.sockets.add_reader(self._sock, self._readable)
        elif self._reading and not wanted:
            self._connections.sockets.remove_reader(self._sock)
        self._reading = wanted
