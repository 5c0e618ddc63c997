"""Decides which web pages may open connections, by the Origin header and the origins that the operator allows.

Browsers apply no same-origin policy to WebSocket, and send simple cross-origin POSTs without asking, so every
polling request, handshake and upgrade is checked. An Origin that cannot be read (`null`, or with a path) is never
allowed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

ANY = "*"

_ALLOW = "Access-Control-Allow-Origin"

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_HOST = r"\[[0-9a-f:.]+\]|[a-z0-9_.-]+"
_ORIGIN = re.compile(rf"([a-z][a-z0-9+.-]*)://({_HOST})(?::([0-9]{{1,5}}))?", re.ASCII)
_PATTERN = re.compile(rf"([a-z][a-z0-9+.-]*)://((?:\*\.)?(?:{_HOST}))(?::([0-9]{{1,5}}|\*))?", re.ASCII)
_AUTHORITY = re.compile(rf"({_HOST})(?::([0-9]{{1,5}}))?", re.ASCII)


class OriginPattern(NamedTuple):
    """`scheme://host[:port]`; a host may begin with `*.` (for one label), and `*` may stand for the port.

    `port` is `ANY` for any, and `None` for schemes that have none.
    """

    scheme: str
    host: str
    port: int | str | None

    @classmethod
    def parse(cls, text: str) -> OriginPattern:
        """Read a pattern as the operator writes it; `*` alone is no pattern.

        Raises:
            ValueError: the text is no pattern.
        """
        found = _PATTERN.fullmatch(text.lower())
        if found is None:
            raise ValueError(f"`{text}` is no origin: write scheme://host or scheme://host:port")
        scheme, host, port = found.groups()
        return cls(scheme, host, ANY if port == ANY else _find_port(scheme, port))

    def matches(self, scheme: str, host: str, port: int | None) -> bool:
        """Return whether an origin, in lower case and with its port filled in, matches."""
        if scheme != self.scheme or self.port not in (ANY, port):
            return False
        if self.host.startswith("*."):
            label, dot, rest = host.partition(".")
            return bool(label and dot) and rest == self.host[2:]
        return host == self.host


class OriginPolicy:
    """The origins that are allowed.

    Without patterns the host and port of the Origin must be those of the Host header, whatever our own scheme,
    since TLS may end in front of us. `strict` is for servers that take tokens from cookies, which browsers attach
    by themselves: there a request needs an allowed Origin, or a Sec-Fetch-Site of `same-origin`.
    """

    __slots__ = ("_patterns", "any", "explicit", "strict")

    def __init__(self, patterns: Sequence[str] | None = None, *, strict: bool = False) -> None:
        """Read the patterns; `None` is the default policy.

        Raises:
            ValueError: one of the texts is no pattern.
        """
        self.any = patterns is not None and ANY in patterns
        self.explicit = patterns is not None and not self.any
        self.strict = strict
        self._patterns = tuple(OriginPattern.parse(text) for text in patterns or () if text != ANY)

    def allows(self, origin: str | None, host: str | None, fetch_site: str | None = None) -> bool:
        """Return whether a request with these headers (Origin, Host, Sec-Fetch-Site) is allowed."""
        if origin is None:
            return not self.strict or fetch_site == "same-origin"
        found = _ORIGIN.fullmatch(origin.lower())
        if found is None:
            return False
        scheme, name, port_text = found.groups()
        port = _find_port(scheme, port_text)
        if self.any:
            return True
        if self.explicit:
            return any(pattern.matches(scheme, name, port) for pattern in self._patterns)
        return (name, port) == _read_authority(scheme, host)

    def build_headers(self, origin: str | None) -> Sequence[tuple[str, str]]:
        """Return the headers that let the pages of an allowed origin read an answer (Fetch, "CORS protocol")."""
        if origin is None:
            return ()
        if self.any:
            return ((_ALLOW, "*"),)
        # With credentials, for load balancers that keep sessions together by a cookie.
        return ((_ALLOW, origin), ("Vary", "Origin"), ("Access-Control-Allow-Credentials", "true"))


def _find_port(scheme: str, port: str | None) -> int | None:
    return _PORTS.get(scheme) if port is None else int(port)


def _read_authority(scheme: str, host: str | None) -> tuple[str, int | None] | None:
    """Return host and port of a Host header; a missing port is that of the origin's scheme."""
    found = _AUTHORITY.fullmatch((host or "").lower())
    return None if found is None else (found[1], _find_port(scheme, found[2]))
