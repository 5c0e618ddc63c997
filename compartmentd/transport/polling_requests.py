"""Requests of HTTP long-polling: judged alike whoever read them, and the session that a first one begins."""

from __future__ import annotations

import secrets

from compartmentd.protocol import engineio
from compartmentd.protocol.application import Handshake
from compartmentd.protocol.connection import EngineConnection
from compartmentd.protocol.engineio import Refusal
from compartmentd.transport.admission import TooMany
from compartmentd.transport.connections import Connections
from compartmentd.transport.polling_link import PollingLink
from compartmentd.transport.requests import Asked

SMALL_BODY = 1 << 16
"""A refused request whose body is no longer is read to its end: the connection can be used again."""


def new_sid() -> str:
    """Return an Engine.IO session id: the only secret of a polling client, so never shown to others."""
    return secrets.token_urlsafe(15)


def transport_of(connection: EngineConnection | None) -> str | None:
    """Return the transport that a session's requests must name."""
    if connection is None:
        return None
    return "polling" if isinstance(connection.link, PollingLink) else "websocket"


def judge(connections: Connections, method: str, query: str) -> PollingLink | Refusal | None:
    """Return the session that a request is for, or why it is not served; `None` is one for a new session.

    Changes and counts nothing; whether there is a place for a new session is asked afterwards.
    """
    try:
        asked = Asked.read(query)
    except ValueError:
        return engineio.BAD_REQUEST
    refusal = asked.refusal(connections.options.transports, method, upgrade=False)
    if refusal is not None:
        return refusal
    if asked.sid is None:
        return None
    connection = connections.find(asked.sid)
    link = None if connection is None else connection.link
    if isinstance(link, PollingLink):
        served = asked.transport == "polling" and asked.version == engineio.VERSION and method in _METHODS
        return link if served else engineio.BAD_REQUEST
    return asked.refusal_for(transport_of(connection)) or engineio.BAD_REQUEST


def begin(connections: Connections, handshake: Handshake) -> bytes | TooMany:
    """Begin a session if there is a place for it; return its open packet, or why there is none."""
    options = connections.options
    refused = connections.admission.enter(handshake.address, options, connections.now())
    if refused is not None:
        return refused
    connection = connections.make(connections, new_sid(), handshake, options)
    connection.link = PollingLink(connections, connection, options)
    connections.add(connection)
    return engineio.open_packet(
        connection.sid,
        upgrades=[name for name in options.transports if name == "websocket"],
        ping_interval=options.ping_interval,
        ping_timeout=options.ping_timeout,
        max_payload=options.max_payload,
    )


_METHODS = frozenset({"GET", "POST"})
