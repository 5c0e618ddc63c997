"""Requests for a WebSocket: judged alike whoever read them, and what begins once one is answered by 101."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, cast

from compartmentd.net.sock import Sock
from compartmentd.protocol import engineio
from compartmentd.protocol.application import Handshake
from compartmentd.protocol.connection import EngineConnection
from compartmentd.protocol.lifecycle import Phase
from compartmentd.protocol.opening import Headers, Opening, read_opening, switching_protocols
from compartmentd.protocol.websocket import text_frame
from compartmentd.transport.connections import Connections
from compartmentd.transport.options import ServerOptions
from compartmentd.transport.polling_link import PollingLink
from compartmentd.transport.polling_requests import transport_of
from compartmentd.transport.requests import Asked, read_query
from compartmentd.transport.upgrade import UpgradeProbe
from compartmentd.transport.websocket_link import WebSocketLink


class Request(NamedTuple):
    """The head of a request for a WebSocket on our path; `address` is the client's, past trusted proxies."""

    method: str
    version: str
    query: str
    headers: Headers
    address: str
    secure: bool

    def handshake(self, wanted: Wanted) -> Handshake:
        """Return it as applications may read it."""
        return Handshake(self.address, self.headers, wanted.query, self.secure)


class Wanted(NamedTuple):
    """A request that is served: `probed` is the connection that it would upgrade, `None` for a new one."""

    opening: Opening
    query: Mapping[str, tuple[str, ...]]
    probed: EngineConnection | None = None

    @property
    def text_only(self) -> bool:
        """Whether the client cannot take binary frames."""
        return "b64" in self.query


class Refused(NamedTuple):
    """A request that is not served: the answer's status, type and body."""

    status: int
    kind: str
    body: bytes

    @classmethod
    def by(cls, refusal: engineio.Refusal) -> Refused:
        """Refuse in Engine.IO's words."""
        return cls(refusal.status, "application/json", refusal.body)


FOREIGN = Refused.by(engineio.FORBIDDEN)
"""The answer to a page of another origin."""


def judge(connections: Connections, request: Request) -> Wanted | Refused:
    """Judge a request by its head; changes and counts nothing. Whether there is a place is asked afterwards."""
    headers = request.headers
    opening = read_opening(request.method, request.version, headers)
    if not isinstance(opening, Opening):
        return Refused(opening.status, "text/plain", opening.message.encode())
    if not connections.origins.allows(
        _value(headers, "origin"), _value(headers, "host"), _value(headers, "sec-fetch-site")
    ):
        return FOREIGN
    try:
        query = read_query(request.query)
    except ValueError:
        return Refused.by(engineio.BAD_REQUEST)
    asked = Asked.of(query)
    refusal = asked.refusal(connections.options.transports, "GET", upgrade=True)
    if refusal is None and asked.transport != "websocket":
        refusal = engineio.BAD_REQUEST
    if refusal is not None:
        return Refused.by(refusal)
    if asked.sid is None:
        return Wanted(opening, query)
    connection = connections.find(asked.sid)
    if connection is None or connection.phase is Phase.CLOSED:
        return Refused.by(engineio.UNKNOWN_SID)
    if asked.version != engineio.VERSION:
        return Refused.by(engineio.BAD_REQUEST)
    return Wanted(opening, query, connection)


def greeting(sid: str, wanted: Wanted, options: ServerOptions) -> bytes:
    """Return the answer to a request for a new connection: 101 and the first packet, sent in one piece."""
    packet = engineio.open_packet(
        sid,
        upgrades=(),
        ping_interval=options.ping_interval,
        ping_timeout=options.ping_timeout,
        max_payload=options.max_payload,
    )
    return switching_protocols(wanted.opening) + text_frame(packet)


def begin(  # noqa: PLR0917 - who, by what, and on what
    connections: Connections, sid: str, handshake: Handshake, options: ServerOptions, sock: Sock, early: bytes
) -> None:
    """Begin a connection, whose place is taken, on a socket that was sent its greeting.

    `early` is what came behind the request.
    """
    connection = connections.make(connections, sid, handshake, options)
    link = WebSocketLink(
        connections,
        sock,
        connection,
        max_payload=options.max_payload,
        send_buffer=options.send_buffer,
        text_only="b64" in handshake.query,
    )
    connection.link, connection.phase = link, Phase.WEBSOCKET
    connections.add(connection)
    link.start(early)


def probe(
    connections: Connections, connection: EngineConnection, sock: Sock, early: bytes, *, text_only: bool
) -> None:
    """Let a WebSocket, answered by 101, probe a connection; one that comes too late is closed at once."""
    polling = connection.link if transport_of(connection) == "polling" else None
    owner = UpgradeProbe(connections, connection, cast(PollingLink | None, polling))
    link = WebSocketLink(
        connections,
        sock,
        owner,
        max_payload=connection.options.max_payload,
        send_buffer=connections.options.send_buffer,
        text_only=text_only,
    )
    owner.begin(link)
    link.start(early)


def _value(headers: Headers, name: str) -> str | None:
    """Return a header's value; several lines are one value (RFC 9110, 5.3), so that none hides another."""
    values = headers.get(name)
    return ",".join(values) if values else None
