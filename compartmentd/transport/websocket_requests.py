"""Requests for a WebSocket: checked in one way for both readers, and served once they are answered by 101."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, cast

from compartmentd.net.sock import Sock
from compartmentd.protocol import engineio
from compartmentd.protocol.application import Handshake
from compartmentd.protocol.connection import EngineConnection
from compartmentd.protocol.lifecycle import Phase
from compartmentd.protocol.opening import Headers, Opening, build_switching_response, read_opening
from compartmentd.protocol.origins import PageHeaders
from compartmentd.protocol.websocket import encode_text_frame
from compartmentd.transport.connections import Connections
from compartmentd.transport.options import ServerOptions
from compartmentd.transport.polling_link import PollingLink
from compartmentd.transport.polling_requests import find_transport, make_sid
from compartmentd.transport.requests import EngineQuery, read_query
from compartmentd.transport.upgrade import UpgradeProbe
from compartmentd.transport.websocket_link import WebSocketLink


class WebSocketRequest(NamedTuple):
    """The head of a request for a WebSocket on our path.

    `address` is the client's, behind trusted proxies; `peer` is where the connection comes from.
    """

    method: str
    version: str
    query: str
    headers: Headers
    address: str
    peer: str
    secure: bool


class AcceptedRequest(NamedTuple):
    """A request that can be served: `probed` is the connection that it would upgrade, `None` for a new one."""

    opening: Opening
    query: Mapping[str, tuple[str, ...]]
    probed: EngineConnection | None = None

    @property
    def text_only(self) -> bool:
        """Whether the client cannot take binary frames."""
        return "b64" in self.query


class HttpRefusal(NamedTuple):
    """The answer to a request that is not served: status, media type and body, and why."""

    status: int
    media_type: str
    body: bytes
    reason: str
    detail: str

    @classmethod
    def from_engineio(cls, refusal: engineio.HandshakeRefusal) -> HttpRefusal:
        """Return the answer that Engine.IO defines."""
        return cls(refusal.status, "application/json", refusal.body, refusal.reason, refusal.detail)


def check_request(connections: Connections, request: WebSocketRequest) -> AcceptedRequest | HttpRefusal:
    """Check a request by its head; changes and counts nothing, and does not ask whether there is a place."""
    headers = request.headers
    opening = read_opening(request.method, request.version, headers)
    if not isinstance(opening, Opening):
        text = opening.message.encode()
        return HttpRefusal(opening.status, "text/plain", text, "websocket", opening.message)
    foreign = connections.check_origin(PageHeaders.from_headers(headers), request.peer)
    if foreign is not None:
        return HttpRefusal.from_engineio(foreign)
    try:
        parameters = read_query(request.query)
    except ValueError:
        return HttpRefusal.from_engineio(engineio.BAD_QUERY)
    query = EngineQuery.from_parameters(parameters)
    refusal = query.check(connections.options.transports, "GET", upgrade=True)
    if refusal is None and query.transport != "websocket":
        refusal = engineio.BAD_UPGRADE
    if refusal is not None:
        return HttpRefusal.from_engineio(refusal)
    if query.sid is None:
        return AcceptedRequest(opening, parameters)
    connection = connections.find(query.sid)
    if connection is None or connection.phase is Phase.CLOSED:
        return HttpRefusal.from_engineio(engineio.UNKNOWN_SID)
    if query.version != engineio.VERSION:
        return HttpRefusal.from_engineio(engineio.BAD_REQUEST)
    return AcceptedRequest(opening, parameters, connection)


class NewConnection(NamedTuple):
    """A connection that is about to begin on a WebSocket, and the options that it begins with."""

    sid: str
    handshake: Handshake
    options: ServerOptions
    opening: Opening

    @classmethod
    def prepare(
        cls, request: WebSocketRequest, accepted: AcceptedRequest, options: ServerOptions
    ) -> NewConnection:
        """Return the connection that an accepted request begins."""
        handshake = Handshake(request.address, request.headers, accepted.query, request.secure)
        return cls(make_sid(), handshake, options, accepted.opening)

    @property
    def greeting(self) -> bytes:
        """The answer to the request: 101 and the first packet, sent in one piece."""
        options = self.options
        packet = engineio.build_open_packet(
            self.sid,
            upgrades=(),
            ping_interval=options.ping_interval,
            ping_timeout=options.ping_timeout,
            max_payload=options.max_payload,
        )
        return build_switching_response(self.opening) + encode_text_frame(packet)


def open_connection(connections: Connections, new: NewConnection, sock: Sock, early: bytes) -> None:
    """Begin a connection, whose place is taken, on a socket that was sent the greeting.

    `early` is what came behind the request.
    """
    connection = connections.make(connections, new.sid, new.handshake, new.options)
    link = WebSocketLink(
        connections,
        sock,
        connection,
        options=new.options,
        send_buffer=new.options.send_buffer,
        text_only="b64" in new.handshake.query,
    )
    connection.link, connection.phase = link, Phase.WEBSOCKET
    link.note_sessions(has=connection.has_sessions)
    connections.add(connection)
    link.start(early)


def start_probe(
    connections: Connections, connection: EngineConnection, sock: Sock, early: bytes, *, text_only: bool
) -> None:
    """Let a WebSocket, answered by 101, probe a connection; one that comes too late is closed at once."""
    polling = connection.link if find_transport(connection) == "polling" else None
    probe = UpgradeProbe(connections, connection, cast(PollingLink | None, polling))
    link = WebSocketLink(
        connections,
        sock,
        probe,
        options=connection.options,
        send_buffer=connections.options.send_buffer,
        text_only=text_only,
    )
    probe.begin(link)
    link.start(early)
