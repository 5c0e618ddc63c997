"""Which web pages may open connections: the Origin header against what the operator allows.

Browsers apply no same-origin policy to WebSocket, and send simple cross-origin POSTs without asking, so this
is asked at every polling request, handshake and upgrade. An Origin that is there and cannot be read (`null`,
a path behind it) is never allowed.
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
    """`scheme://host[:port]`; a host may begin with `*.` (one label), and `*` may stand for the port.

    `port` is `ANY` for any, and `None` for schemes that have none.
    """

    scheme: str
    host: str
    port: int | str | None

    @classmethod
    def parse(cls, text: str) -> OriginPattern:
        """Read a pattern as the operator writes it; `*` alone is no pattern.

        Raises:
            ValueError: it is none.
        """
        found = _PATTERN.fullmatch(text.lower())
        if found is None:
            raise ValueError(f"`{text}` is no origin: write scheme://host or scheme://host:port")
        scheme, host, port = found.groups()
        return cls(scheme, host, ANY if port == ANY else _port(scheme, port))

    def matches(self, scheme: str, host: str, port: int | None) -> bool:
        """Tell whether an origin, in lower case and with its port filled in, is of this form."""
        if scheme != self.scheme or self.port not in (ANY, port):
            return False
        if self.host.startswith("*."):
            label, dot, rest = host.partition(".")
            return bool(label and dot) and rest == self.host[2:]
        return host == self.host


class OriginPolicy:
    """What `server.origins` says, made ready to ask.

    Without patterns the Origin's host and port must be those of the Host header, whatever our own scheme: TLS
    may end in front of us. `strict` is for servers whose tokens come in cookies, which browsers attach by
    themselves: there a request must bring an allowed Origin, or say that it comes from the same one.
    """

    __slots__ = ("_patterns", "any", "explicit", "strict")

    def __init__(self, patterns: Sequence[str] | None = None, *, strict: bool = False) -> None:
        """Read the patterns; `None` is the default policy.

        Raises:
            ValueError: one of them is no pattern.
        """
        self.any = patterns is not None and ANY in patterns
        self.explicit = patterns is not None and not self.any
        self.strict = strict
        self._patterns = tuple(OriginPattern.parse(text) for text in patterns or () if text != ANY)

    def allows(self, origin: str | None, host: str | None, fetch_site: str | None = None) -> bool:
        """Tell whether a request with these headers (Origin, Host, Sec-Fetch-Site) is served."""
        if origin is None:
            return not self.strict or fetch_site == "same-origin"
        found = _ORIGIN.fullmatch(origin.lower())
        if found is None:
            return False
        scheme, name, port_text = found.groups()
        port = _port(scheme, port_text)
        if self.any:
            return True
        if self.explicit:
            return any(pattern.matches(scheme, name, port) for pattern in self._patterns)
        return (name, port) == _authority(scheme, host)

    def shared_with(self, origin: str | None) -> Sequence[tuple[str, str]]:
        """Return the headers that let the pages of an allowed origin read an answer (Fetch, "CORS protocol")."""
        if origin is None:
            return ()
        if self.any:
            return ((_ALLOW, "*"),)
        # With credentials, for load balancers that keep sessions together by a cookie.
        return ((_ALLOW, origin), ("Vary", "Origin"), ("Access-Control-Allow-Credentials", "true"))


def _port(scheme: str, port: str | None) -> int | None:
    return _PORTS.get(scheme) if port is None else int(port)


def _authority(scheme: str, host: str | None) -> tuple[str, int | None] | None:
    """Return a Host header's host and port; a port left out is the one that the origin's scheme implies."""
    found = _AUTHORITY.fullmatch((host or "").lower())
    return None if found is None else (found[1], _port(scheme, found[2]))
