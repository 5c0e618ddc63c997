"""What bounds one connection; durations in seconds, sizes in bytes."""

from __future__ import annotations

import msgspec


class ConnectionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that a connection takes with it from its handshake, which told the client some of them.

    `connect_timeout` is how long a connection may live without a session. `namespaces` bounds how many one
    connection may hold, those that the server ended included. `max_payload` bounds one message, the body of a
    POST, and the attachments of one packet together.
    """

    ping_interval: float = 25.0
    ping_timeout: float = 20.0
    connect_timeout: float = 10.0
    max_payload: int = 1_000_000
    namespaces: int = 64
