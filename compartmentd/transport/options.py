"""The options of the Socket.IO server, each with its default."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from compartmentd.protocol.options import ConnectionOptions


class NoticedPart(NamedTuple):
    """A part of a first request whose presence is noted under `label`.

    `kind` is `header`, `cookie` or `query`; the name of a header field is in lower case.
    """

    label: str
    kind: str
    name: str


class KeptParts(msgspec.Struct, frozen=True):
    """The parts of a first request that are kept with its connection, by name; header fields in lower case.

    Of the parts that are `noticed` it is kept that they were there, and nothing of their values.
    """

    headers: tuple[str, ...] = ()
    cookies: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    noticed: tuple[NoticedPart, ...] = ()


class ServerOptions(ConnectionOptions, frozen=True, kw_only=True):
    """Durations in seconds, sizes in bytes, rates per second; `None` means unlimited.

    `origins` holds patterns as `protocol.origins` reads them, `None` is the default policy; `token_cookies` are the
    names of cookies in which tokens are taken: with one of them a page has to be of an allowed origin.
    `send_buffer` is the most that may wait for one client. `trusted_proxies`
    are networks as `protocol.forwarded` reads them. `connect_rate` counts handshakes of the whole server. `pending`
    is the most sockets and connections without a session; `header_timeout` is for the head of a request,
    `body_timeout` for its body. `limits_loopback` is false where `connections_per_address` is a default.
    `kept` is the part of a first request that the application reads, `None` for all of it.
    """

    path: str = "/socket.io/"
    transports: tuple[str, ...] = ("websocket", "polling")
    origins: tuple[str, ...] | None = None
    token_cookies: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    upgrade_timeout: float = 10.0
    send_buffer: int = 1 << 20
    connections: int | None = 16000
    connections_per_address: int | None = None
    limits_loopback: bool = True
    connect_rate: float | None = None
    pending: int | None = 4000
    header_timeout: float = 10.0
    body_timeout: float = 15.0
    kept: KeptParts | None = None
