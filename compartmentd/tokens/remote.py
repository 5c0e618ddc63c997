"""The rules for the URLs of discovery documents and key sets.

Anyone who can change a key set in transit can sign tokens, so it is fetched over TLS. Plain HTTP is allowed for
a provider on this machine, or if the operator allows it for an entry, which gives a warning. The same rules
apply to a URL in the configuration and to one in a discovery document.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from compartmentd.problems import Problem
from compartmentd.tokens.entry import IssuerEntry

WELL_KNOWN = "/.well-known/openid-configuration"
"""OpenID Connect Discovery 1.0, 4."""

_LONGEST_URL = 2048
_PRINTABLE = re.compile(r"[!-~]+")


def build_discovery_url(issuer: str) -> str:
    """Return the URL of an issuer's discovery document: below its path, without a final slash (Discovery, 4.1)."""
    return issuer.removesuffix("/") + WELL_KNOWN


def check_url(url: str, *, allow_http: bool) -> str | None:
    """Return why a URL must not be fetched, or `None`; the answer does not quote the URL."""
    if len(url) > _LONGEST_URL or not _PRINTABLE.fullmatch(url):
        return f"is not a URL of at most {_LONGEST_URL} printable ASCII characters"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # both raise where the authority is malformed
    except ValueError:
        return "is not a well-formed URL"
    if parts.scheme not in ("https", "http") or not host:
        return "is not an `https://` URL with a host"
    if parts.username is not None or parts.fragment:
        return "has a user name or a fragment, which a key set's address does not have"
    return _check_scheme(parts, host, allow_http=allow_http)


def _check_scheme(parts: SplitResult, host: str, *, allow_http: bool) -> str | None:
    if parts.scheme == "https" or allow_http or is_loopback_host(host):
        return None
    return "must be `https://`: over plain HTTP anyone on the network path can replace the keys"


def show_url(url: str) -> str:
    """Return a URL for logs and administrators, without its query, which may hold a key of the provider's API."""
    address, mark, _ = url.partition("?")
    return f"{address}?…" if mark else address


def is_loopback_host(host: str) -> bool:
    """Return whether a URL's host is this machine, whatever a name server says."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def warn_of_plain_http(entry: IssuerEntry) -> Problem | None:
    """Return a warning for an entry whose keys may come over plain HTTP, or `None`; each start logs it, too."""
    if not entry.allow_http or entry.remote is None:
        return None
    return Problem(
        "warning",
        "issuer.allow-http",
        f"the keys of `{entry.name}` may come over plain HTTP: anyone on the network path can sign its tokens",
        entry.span,
        "use `https://`, and leave `allow_http` out",
    )
