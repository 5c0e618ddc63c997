"""Decides which web pages may open connections, by the Origin header and the origins that the operator allows.

Browsers apply no same-origin policy to WebSocket, and send simple cross-origin POSTs without asking, so every
polling request, handshake and upgrade is checked. An Origin that cannot be read, such as one with a path, is never
allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

ANY = "*"

OPAQUE = ("null", "file://")
"""The origins of pages without a host of their own: from a disk, in a sandboxed frame, in an application."""

_ALLOW = "Access-Control-Allow-Origin"

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_HOST = r"\[[0-9a-f:.]+\]|[a-z0-9_.-]+"
_ORIGIN = re.compile(rf"([a-z][a-z0-9+.-]*)://({_HOST})(?::([0-9]{{1,5}}))?", re.ASCII)
_PATTERN = re.compile(rf"([a-z][a-z0-9+.-]*)://((?:\*\.)?(?:{_HOST}))(?::([0-9]{{1,5}}|\*))?", re.ASCII)
_AUTHORITY = re.compile(rf"({_HOST})(?::([0-9]{{1,5}}))?", re.ASCII)


class PageHeaders(NamedTuple):
    """The header fields of a request that say which page it comes from.

    Several lines of one field are one value (RFC 9110, 5.3), so that none hides another; `cookies` and
    `forwarded_hosts` have a value for each line.
    """

    origin: str | None
    host: str | None
    fetch_site: str | None = None
    cookies: tuple[str, ...] = ()
    forwarded_hosts: tuple[str, ...] = ()

    @classmethod
    def from_headers(cls, headers: Mapping[str, tuple[str, ...]]) -> PageHeaders:
        """Take the fields from headers by lower-cased name."""

        def join(name: str) -> str | None:
            values = headers.get(name)
            return ",".join(values) if values else None

        return cls(
            join("origin"),
            join("host"),
            join("sec-fetch-site"),
            headers.get("cookie", ()),
            headers.get("x-forwarded-host", ()),
        )

    def find_host(self, *, proxied: bool) -> str | None:
        """Return the host that the page has asked.

        Args:
            proxied: whether a trusted proxy passed the request on. Its X-Forwarded-Host counts if there is one such
                field, by its last value: what is further left, or in another field, may be the client's.
        """
        if proxied and len(self.forwarded_hosts) == 1:
            return self.forwarded_hosts[0].rpartition(",")[2].strip()
        return self.host


class OriginPattern(NamedTuple):
    """`scheme://host[:port]`; a host may begin with `*.` (for one label), and `*` may stand for the port.

    `port` is `ANY` for any, and `None` for schemes that have none. `null` and `file://` stand for themselves.
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
        if text in OPAQUE:
            return cls(text, "", None)
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
    since TLS may end in front of us. `cookies` are the names of those that may hold a token. Browsers attach them
    by themselves, so a request that brings one needs an allowed Origin, or a Sec-Fetch-Site of `same-origin`.
    """

    __slots__ = ("_cookies", "_patterns", "_texts", "any", "explicit")

    def __init__(self, patterns: Sequence[str] | None = None, *, cookies: Iterable[str] = ()) -> None:
        """Read the patterns; `None` is the default policy.

        Raises:
            ValueError: one of the texts is no pattern.
        """
        self.any = patterns is not None and ANY in patterns
        self.explicit = patterns is not None and not self.any
        self._cookies = frozenset(cookies)
        self._texts = tuple(patterns or ())
        self._patterns = tuple(OriginPattern.parse(text) for text in self._texts if text != ANY)

    def allows(self, page: PageHeaders, *, proxied: bool = False) -> bool:
        """Return whether a request is allowed; `proxied` says whether a trusted proxy passed it on."""
        if page.origin is None:
            return page.fetch_site == "same-origin" or self._find_cookie(page.cookies) is None
        origin = _read_origin(page.origin)
        if origin is None:
            return False
        if self.any:
            return True
        if self.explicit:
            return any(pattern.matches(*origin) for pattern in self._patterns)
        return origin[1:] == _read_authority(origin[0], page.find_host(proxied=proxied))

    def explain(self, page: PageHeaders, *, proxied: bool = False) -> str:
        """Return why a request is not allowed: its Origin, what it was compared with, and the key to set."""
        if page.origin is None:
            cookie = self._find_cookie(page.cookies)
            return (
                f"the request brings the cookie `{cookie}`, which may hold a token, and neither an Origin nor "
                "`Sec-Fetch-Site: same-origin`: name the page's origin in `server.origins`, and connect from there"
            )
        shown = f"the Origin `{_show(page.origin)}`"
        if _read_origin(page.origin) is None:
            return f"{shown} is not of the form scheme://host or scheme://host:port"
        if self.explicit:
            listed = ", ".join(f"`{text}`" for text in self._texts[:_MOST_SHOWN])
            more = ", …" if len(self._texts) > _MOST_SHOWN else ""
            return f"{shown} is none of `server.origins`: {listed}{more}"
        host = page.find_host(proxied=proxied)
        if page.origin in OPAQUE:
            return f"{shown} is that of a page without a host: list it in `server.origins`"
        name = "X-Forwarded-Host" if proxied and len(page.forwarded_hosts) == 1 else "Host"
        return (
            f"{shown} is not {name} `{_show(host or '')}`: list it in `server.origins`, or let the proxy pass the "
            "client's Host on, with its port"
        )

    def _find_cookie(self, headers: Iterable[str]) -> str | None:
        """Return the name of a cookie that may hold a token, if one is there."""
        if not self._cookies:
            return None
        names = (pair.partition("=")[0].strip() for header in headers for pair in header.split(";"))
        return next((name for name in names if name in self._cookies), None)

    def build_headers(self, origin: str | None) -> Sequence[tuple[str, str]]:
        """Return the headers that let the pages of an allowed origin read an answer (Fetch, "CORS protocol")."""
        if origin is None:
            return ()
        if self.any:
            return ((_ALLOW, "*"),)
        # With credentials, for load balancers that keep sessions together by a cookie.
        return ((_ALLOW, origin), ("Vary", "Origin"), ("Access-Control-Allow-Credentials", "true"))


_MOST_SHOWN = 8
"""Patterns that the explanation of a refusal lists."""

_LONGEST_SHOWN = 128
"""Characters of a header field that the explanation of a refusal shows."""


def _show(text: str) -> str:
    shown = "".join(char if char.isprintable() else "?" for char in text[:_LONGEST_SHOWN])
    return shown if len(text) <= _LONGEST_SHOWN else f"{shown}…"


def _read_origin(text: str) -> tuple[str, str, int | None] | None:
    """Return scheme, host and port of an Origin, in lower case, its port filled in; `None` if it is none."""
    if text in OPAQUE:
        return text, "", None
    found = _ORIGIN.fullmatch(text.lower())
    if found is None:
        return None
    scheme, host, port = found.groups()
    return scheme, host, _find_port(scheme, port)


def _find_port(scheme: str, port: str | None) -> int | None:
    return _PORTS.get(scheme) if port is None else int(port)


def _read_authority(scheme: str, host: str | None) -> tuple[str, int | None] | None:
    """Return host and port of a Host header; a missing port is that of the origin's scheme."""
    found = _AUTHORITY.fullmatch((host or "").lower())
    return None if found is None else (found[1], _find_port(scheme, found[2]))
