"""The limits of one connection; durations in seconds, sizes in bytes."""

from __future__ import annotations

import msgspec


class ConnectionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options that a connection keeps from its handshake, in which the client was told some of them.

    `connect_timeout` is the time that a connection may last without a session. `namespaces` is the most that one
    connection may have, including those that the server has ended, before it is closed: for applications that set
    no limit of their own. `max_payload` limits one message, the body of a
    POST, and the attachments of one packet together; `first_payload` the same while there is no session.
    """

    ping_interval: float = 25.0
    ping_timeout: float = 20.0
    connect_timeout: float = 10.0
    max_payload: int = 1_000_000
    first_payload: int = 1 << 16
    namespaces: int = 4096
