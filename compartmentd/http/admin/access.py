"""Access to the admin listeners: hosts, origins and bearer tokens, as pure functions of header fields."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from urllib.parse import urlsplit

_HOST = re.compile(r"(?P<name>\[[^\[\]]*\]|[^:\[\]]*)(?::[0-9]*)?")


def read_host_name(host: str) -> str | None:
    """Return the lower-cased name in a Host header, without port and brackets; `None` if it has none."""
    found = _HOST.fullmatch(host)
    return found["name"].strip("[]").lower() if found else None


def is_own_host(host: str, admin_hosts: Collection[str]) -> bool:
    """Return whether the Host header names this server: an IP literal, `localhost`, or one of `server.admin_hosts`.

    The page of an attacker whose name was made to resolve to our address (DNS rebinding) has that name here. Its
    browser takes us for the page's own origin, so no other check would notice it.
    """
    name = read_host_name(host)
    if name is None:
        return False
    return name == "localhost" or name in {other.lower() for other in admin_hosts} or _is_ip(name)


def is_own_origin(origin: str, host: str) -> bool:
    """Return whether the Origin header names the host of the request; its scheme may differ behind a proxy."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and parts.netloc.lower() == host.lower()


def read_bearer_token(authorization: str) -> str | None:
    """Return the token of an Authorization header (RFC 6750, 2.1), or `None` for any other scheme or form."""
    scheme, _, token = authorization.partition(" ")
    token = token.strip(" ")
    return token if scheme.lower() == "bearer" and token and " " not in token else None


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
