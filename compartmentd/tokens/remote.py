"""Where keys may be fetched from: the rules for the addresses of discovery documents and key sets.

Whoever can change a key set on its way can sign tokens, so the way is TLS. Plain HTTP is for a provider on this
machine, or where the operator says so for an entry, and then it is warned of for as long as it stands. The same
rules hold for an address that the operator wrote and for one that a discovery document names.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from compartmentd.problems import Problem
from compartmentd.tokens.entry import REMOTE, IssuerEntry

WELL_KNOWN = "/.well-known/openid-configuration"
"""OpenID Connect Discovery 1.0, 4."""

_LONGEST_URL = 2048
_PRINTABLE = re.compile(r"[!-~]+")


def build_discovery_url(issuer: str) -> str:
    """Return where an issuer's discovery document is: below its path, less one final slash (Discovery, 4.1)."""
    return issuer.removesuffix("/") + WELL_KNOWN


def check_url(url: str, *, allow_http: bool) -> str | None:
    """Return why nothing may be fetched from there, or `None`; the answer does not quote the URL."""
    if len(url) > _LONGEST_URL or not _PRINTABLE.fullmatch(url):
        return f"is no URL of at most {_LONGEST_URL} printable ASCII characters"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # both raise where the authority is malformed
    except ValueError:
        return "is no well-formed URL"
    if parts.scheme not in ("https", "http") or not host:
        return "is no `https://` URL with a host"
    if parts.username is not None or parts.fragment:
        return "has a user name or a fragment, which a key set's address has not"
    return _check_scheme(parts, host, allow_http=allow_http)


def _check_scheme(parts: SplitResult, host: str, *, allow_http: bool) -> str | None:
    if parts.scheme == "https" or allow_http or is_loopback(host):
        return None
    return "must be `https://`: over plain HTTP anyone on the way can replace the keys"


def is_loopback(host: str) -> bool:
    """Tell whether a host, as a URL names it, is this machine whatever a name server says."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def warn_of_plain_http(entry: IssuerEntry) -> Problem | None:
    """Return the warning that an entry deserves whose keys may come over plain HTTP; told at each start, too."""
    if not entry.allow_http or entry.keys.kind not in REMOTE:
        return None
    return Problem(
        "warning",
        "issuer.allow-http",
        f"the keys of `{entry.name}` may come over plain HTTP: whoever is on the way can sign its tokens",
        entry.span,
        "use `https://`, and leave `allow_http` out",
    )
