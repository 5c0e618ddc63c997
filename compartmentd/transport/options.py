"""What the Socket.IO server may be told, each with its default."""

from __future__ import annotations

from compartmentd.protocol.options import ConnectionOptions


class ServerOptions(ConnectionOptions, frozen=True, kw_only=True):
    """Durations in seconds, sizes in bytes, rates per second; `None` means unlimited.

    `origins` holds patterns as `protocol.origins` reads them, `None` being the default policy;
    `strict_origins` is for servers that take tokens from cookies. `send_buffer` bounds what waits for one
    client. `trusted_proxies` is what `protocol.forwarded` reads. `connect_rate` counts handshakes of the whole
    server. `kept_headers` are those of a handshake that the application reads; Engine.IO's own parameters are
    not kept, either, where these are given.
    """

    path: str = "/socket.io/"
    transports: tuple[str, ...] = ("websocket", "polling")
    origins: tuple[str, ...] | None = None
    strict_origins: bool = False
    trusted_proxies: tuple[str, ...] = ()
    upgrade_timeout: float = 10.0
    send_buffer: int = 1 << 20
    connections: int | None = 16000
    connections_per_address: int | None = None
    connect_rate: float | None = None
    kept_headers: tuple[str, ...] | None = None
