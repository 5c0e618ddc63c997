"""Requests of HTTP long-polling: routed in one way for both readers, and the session that a first one begins."""

from __future__ import annotations

import secrets

from compartmentd.protocol import engineio
from compartmentd.protocol.application import Handshake
from compartmentd.protocol.connection import EngineConnection
from compartmentd.protocol.engineio import HandshakeRefusal
from compartmentd.transport.admission import AdmissionRefusal
from compartmentd.transport.connections import Connections
from compartmentd.transport.polling_link import PollingLink
from compartmentd.transport.requests import EngineQuery

SMALL_BODY = 1 << 16
"""Bytes: a refused request with a body up to this length is read to its end, so that its socket can be used
again."""


def make_sid() -> str:
    """Return a new Engine.IO session id: the only secret of a polling client, so it is shown to no one else."""
    return secrets.token_urlsafe(15)


def find_transport(connection: EngineConnection | None) -> str | None:
    """Return the transport that requests of this session must name, `None` if there is no session."""
    if connection is None:
        return None
    return "polling" if isinstance(connection.link, PollingLink) else "websocket"


def route_request(connections: Connections, method: str, query: str) -> PollingLink | HandshakeRefusal | None:
    """Return the session of a request, or the refusal; `None` for a request that begins a session.

    Changes and counts nothing, and does not ask whether there is a place for a new session.
    """
    try:
        parsed = EngineQuery.parse(query)
    except ValueError:
        return engineio.BAD_QUERY
    refusal = parsed.check(connections.options.transports, method, upgrade=False)
    if refusal is not None:
        return refusal
    if parsed.sid is None:
        return None
    connection = connections.find(parsed.sid)
    link = None if connection is None else connection.link
    if isinstance(link, PollingLink):
        served = parsed.transport == "polling" and parsed.version == engineio.VERSION and method in _METHODS
        return link if served else engineio.BAD_REQUEST
    return parsed.check_transport(find_transport(connection)) or engineio.BAD_REQUEST


def open_session(connections: Connections, handshake: Handshake) -> bytes | AdmissionRefusal:
    """Begin a session if there is a place for it; return its open packet, or the refusal."""
    options = connections.options
    refused = connections.admission.enter(handshake.address, options, connections.now())
    if refused is not None:
        return refused
    connection = connections.make(connections, make_sid(), handshake, options)
    link = PollingLink(connections, connection, options)
    connection.link = link
    connections.add(connection)
    link.note_sessions(has=connection.has_sessions)
    return engineio.build_open_packet(
        connection.sid,
        upgrades=[name for name in options.transports if name == "websocket"],
        ping_interval=options.ping_interval,
        ping_timeout=options.ping_timeout,
        max_payload=options.max_payload,
    )


_METHODS = frozenset({"GET", "POST"})
