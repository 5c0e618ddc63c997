"""Reads requests to the Engine.IO path, and checks them as far as both transports need it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from tornado.httputil import HTTPHeaders

from compartmentd.protocol.application import Handshake
from compartmentd.protocol.engineio import (
    BAD_METHOD,
    BAD_REQUEST,
    BAD_UPGRADE,
    BAD_VERSION,
    UNKNOWN_SID,
    UNKNOWN_TRANSPORT,
    VERSION,
    HandshakeRefusal,
)
from compartmentd.transport.options import KeptParts, NoticedPart

MAX_FIELDS = 100
"""Query parameters, and header lines, of one request."""


class EngineQuery(NamedTuple):
    """Engine.IO's parameters of a query; each is `None` if it is absent, and empty if it was given twice."""

    transport: str | None
    sid: str | None
    version: str | None

    @classmethod
    def from_parameters(cls, query: Mapping[str, tuple[str, ...]]) -> EngineQuery:
        """Take the parameters from a query that was read."""
        return cls(_get_single(query, "transport"), _get_single(query, "sid"), _get_single(query, "EIO"))

    @classmethod
    def parse(cls, query: str) -> EngineQuery:
        """Parse a query string: `from_parameters(read_query(query))` without a table, since each poll has a query.

        Raises:
            ValueError: there are more than `MAX_FIELDS` parameters.
        """
        transport = sid = version = None
        for name, value in _split_fields(query):
            if name == "sid":
                sid = value if sid is None else ""
            elif name == "transport":
                transport = value if transport is None else ""
            elif name == "EIO":
                version = value if version is None else ""
        return cls(transport, sid, version)

    def check(self, transports: tuple[str, ...], method: str, *, upgrade: bool) -> HandshakeRefusal | None:
        """Return the refusal that does not depend on the session, in the reference implementation's order."""
        if self.transport not in transports:
            return UNKNOWN_TRANSPORT
        if self.sid is None:
            if method != "GET":
                return BAD_METHOD
            if (self.transport == "websocket") != upgrade:
                return BAD_UPGRADE
            if self.version != VERSION:
                return BAD_VERSION
        return None

    def check_transport(self, transport: str | None) -> HandshakeRefusal | None:
        """Return the refusal of a request with a sid whose session is on this transport; `None` is no session."""
        if transport is None:
            return UNKNOWN_SID
        if self.transport != transport or self.version != VERSION:
            return BAD_REQUEST
        return None


def read_query(query: str) -> dict[str, tuple[str, ...]]:
    """Return the parameters of a query string.

    Raises:
        ValueError: there are more than `MAX_FIELDS`.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name, value in _split_fields(query):
        found[name] = (*found.get(name, ()), value)
    return found


def _split_fields(query: str) -> list[tuple[str, str]]:
    if "%" in query or "+" in query:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    # Nothing to decode, as in nearly all: 1 µs instead of 8.
    if query.count("&") >= MAX_FIELDS:
        raise ValueError("too many fields")
    parts = (field.partition("=") for field in query.split("&") if field)
    return [(name, value) for name, _, value in parts]


def read_headers(headers: HTTPHeaders) -> dict[str, tuple[str, ...]]:
    """Return the headers by lower-cased name."""
    return {name.lower(): tuple(headers.get_list(name)) for name in headers}


def find_peer_address(address: object) -> str:
    """Return the peer's IP address from the address that `accept` returned; empty for a unix socket.

    An IPv4 peer of an IPv6 listener has its IPv4 address, so that one peer has one address.
    """
    if not isinstance(address, tuple):
        return ""
    host: str = address[0]
    return host.removeprefix("::ffff:") if "." in host else host


def find_client_address(context: Any) -> str:
    """Return the client's address, which `tornado_edge` has noted; empty for the peer of a unix socket."""
    address: str = context.remote_ip
    return address


def build_handshake(
    context: Any, headers: Mapping[str, tuple[str, ...]], query: Mapping[str, tuple[str, ...]]
) -> Handshake:
    """Return a first request as applications may read it."""
    return Handshake(
        address=find_client_address(context), headers=headers, query=query, secure=context.protocol == "https"
    )


def trim_handshake(handshake: Handshake, kept: KeptParts | None) -> Handshake:
    """Return the part of a first request that is kept with its connection.

    A browser sends 2 KiB of header fields, as much as everything else that an idle connection takes, and a client
    that means harm 32 KiB.
    """
    if kept is None:
        return handshake
    headers = {name: handshake.headers[name] for name in kept.headers if name in handshake.headers}
    cookies = "; ".join(_find_cookies(handshake.headers.get("cookie", ()), kept.cookies))
    if cookies:
        headers["cookie"] = (cookies,)
    query = {name: handshake.query[name] for name in kept.parameters if name in handshake.query}
    noticed = tuple(each.label for each in kept.noticed if _is_present(handshake, each))
    return Handshake(handshake.address, headers or _NOTHING, query or _NOTHING, handshake.secure, noticed)


def _is_present(handshake: Handshake, part: NoticedPart) -> bool:
    if part.kind == "query":
        return part.name in handshake.query
    if part.kind == "header":
        return part.name in handshake.headers
    return any(_find_cookies(handshake.headers.get("cookie", ()), (part.name,)))


def _find_cookies(headers: tuple[str, ...], names: tuple[str, ...]) -> Iterator[str]:
    """Yield the pairs of these names as they were sent, each as often as it stands there."""
    if not names:
        return
    for header in headers:
        for pair in header.split(";"):
            if pair.partition("=")[0].strip() in names:
                yield pair.strip()


_NOTHING: Mapping[str, tuple[str, ...]] = MappingProxyType({})


def _get_single(query: Mapping[str, tuple[str, ...]], name: str) -> str | None:
    values = query.get(name)
    if values is None:
        return None
    return values[0] if len(values) == 1 else ""
