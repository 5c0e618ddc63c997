"""The checked configuration: the result of the compiler, and the only form of it that later stages read."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from compartmentd.policy.claim_path import ClaimPath
from compartmentd.policy.model import Policy
from compartmentd.problems import Span
from compartmentd.tokens.entry import IssuerEntry
from compartmentd.util.listen_address import ListenAddress, TcpAddress

Transport: TypeAlias = Literal["websocket", "polling"]


class TlsFiles(msgspec.Struct, frozen=True):
    """The PEM files of a certificate chain (the server's own certificate first) and its private key, with spans."""

    cert: str
    key: str
    cert_span: Span
    key_span: Span


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`server`, with every default filled in; durations are seconds, sizes bytes, rates per second.

    `origins` is `None` for the default (same host and port), else the allowed patterns as written.
    `trusted_proxies` holds networks in CIDR notation, and `unix`. `token_from` holds `auth`, `header`,
    `cookie:NAME`, `query:NAME` in the order written. `connections_per_address` is by default a quarter of
    `connections`, and not for addresses of this machine.
    """

    listen: tuple[ListenAddress, ...] = (TcpAddress("127.0.0.1", 8000),)
    admin: tuple[ListenAddress, ...] = ()
    admin_hosts: tuple[str, ...] = ()
    path: str = "/socket.io/"
    origins: tuple[str, ...] | None = None
    transports: tuple[Transport, ...] = ("websocket", "polling")
    tls: TlsFiles | None = None
    trusted_proxies: tuple[str, ...] = ()
    token_from: tuple[str, ...] = ("auth", "header")
    ping_interval: float = 25.0
    ping_timeout: float = 20.0
    connect_timeout: float = 10.0
    send_buffer: int = 1 << 20
    connections: int | None = 16000
    connections_per_address: int | Literal["default"] | None = "default"
    connect_rate: float | None = None
    pending: int | None = 4000
    failed_tokens: float | None = None
    header_timeout: float = 10.0
    body_timeout: float = 15.0
    drain: float = 30.0
    state: str | None = None
    watch: bool = True
    client: bool = True
    health: str = "/healthz"


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`log`: the claims that decisions are logged with, each as a path, and which decisions are logged."""

    claims: tuple[ClaimPath, ...] = ()
    decisions: Literal["refused", "all", "none"] = "refused"


class FileUse(msgspec.Struct, frozen=True):
    """A file that the configuration names, with the place that names it; `kind` is its use."""

    kind: Literal["include", "schema", "jwks_file", "public_key_file", "secret_file", "ca_file", "tls_file"]
    path: str
    span: Span


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration without errors.

    `files` are all files that it names, except the main one. `server_spans` has the place of each key of `server`
    that the operator wrote.
    """

    server: ServerSettings
    issuers: tuple[IssuerEntry, ...]
    policy: Policy
    files: tuple[FileUse, ...]
    log: LogSettings = LogSettings()
    server_spans: dict[str, Span] = {}

    @property
    def named_claims(self) -> frozenset[str]:
        """The names of the top-level claims that something reads: policy, entries or log."""
        names = {*self.policy.claims, *(path[0] for path in self.log.claims)}
        for entry in self.issuers:
            names.update((entry.subject[0], entry.audience_claim, *entry.scopes, *entry.require))
        return frozenset(names)

    @property
    def max_payload(self) -> int:
        """The largest accepted Engine.IO message in bytes: the larger of 1,000,000 and `message_size` + 16 KiB."""
        sizes = [
            limits.message_size
            for namespace in self.policy.namespaces.values()
            for limits in (namespace.limits, *(room.limits for room in namespace.rooms))
            if limits.message_size is not None
        ]
        return max([1_000_000, *(size + 16 * 1024 for size in sizes)])
