"""Fuzz targets of the HTTP entry: heads of requests, origins, and addresses behind proxies."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from tornado.httputil import HTTPHeaders, HTTPInputError

from compartmentd.protocol.forwarded import TrustedProxies
from compartmentd.protocol.http1 import (
    MAX_HEAD,
    NotPlain,
    PlainRequest,
    RequestReader,
    compile_request_line,
    is_plain,
    read_block,
    read_head,
)
from compartmentd.protocol.origins import OPAQUE, OriginPattern, OriginPolicy, PageHeaders
from tests.fuzz.choices import Choices

_LINE = compile_request_line("/socket.io/")
_GET = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n"
_POST = b"POST /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\n"
_HOST = b"Host: localhost:8000\r\n"


def http_head(data: bytes) -> None:
    """Read a request; a whole HTTP server finds the same fields, and any piece of it is awaited or handed on."""
    choices = Choices(data)
    start = choices.one_of((b"", _GET, _POST, _GET + _HOST, _POST + _HOST))
    text = start + choices.rest()
    found = _read(text)
    if isinstance(found, PlainRequest):
        assert text[: found.size].endswith(b"\r\n\r\n")
        assert _read(text[: found.size]) == found, "what follows a request changes it"
        for cut in {0, 1, found.size // 2, found.size - 1}:
            assert _read(text[:cut]) is None, "a part of a plain request is not awaited"
        _check_with_tornado(found)
        again = RequestReader(_LINE)
        assert [again.read(text), again.read(text)] == [found, found], "fields that are remembered differ"
        _check_first_request(found, text)
    elif found is None:
        assert len(text) <= MAX_HEAD
    read_head(text)


def _read(text: bytes) -> PlainRequest | bool | None:
    try:
        return RequestReader(_LINE).read(text)
    except NotPlain:
        return False


def _check_with_tornado(found: PlainRequest) -> None:
    try:
        headers = HTTPHeaders.parse(found.block.decode("latin-1"))
    except HTTPInputError as error:
        raise AssertionError("a head is plain that Tornado refuses") from error
    ours = {name: list(values) for name, values in read_block(found.block).items()}
    theirs = {
        name.lower(): headers.get_list(name) for name in dict.fromkeys(key for key, _ in headers.get_all())
    }
    assert ours == theirs
    assert int(headers.get("Content-Length", "0")) == found.fields.length
    assert is_plain(found.method, "HTTP/1.1", read_block(found.block), found.fields.length)


def _check_first_request(found: PlainRequest, text: bytes) -> None:
    """Compare with `read_head`, which reads a socket's first request whatever its path."""
    first = read_head(text)
    if found.method == "GET" and b"HTTP/1.1\r\n" in text[: found.size]:
        assert first is not None
        assert (first.query, first.size) == (found.query, found.size)
        assert first.headers == read_block(found.block)


# --- origins ---

_SITES = ("same-origin", "same-site", "cross-site", "none", None)


def origins(data: bytes) -> None:
    """Judge an Origin by several policies; what the policies allow agrees with the standard library's reading."""
    choices = Choices(data)
    origin, host = choices.text(60), choices.one_of((None, "localhost:8000", "", choices.text(40)))
    fetch_site = choices.one_of(_SITES)
    default, anything = OriginPolicy(), OriginPolicy(["*"])
    page = PageHeaders(origin, host, fetch_site)
    allowed = default.allows(page)
    assert isinstance(allowed, bool)
    assert not allowed or anything.allows(page), "`*` allows less than the default"
    if allowed:
        _check_same_host(origin, host)
    strict = OriginPolicy(cookies=["rt"])
    assert strict.allows(PageHeaders(None, host, fetch_site, ("rt=1",))) is (fetch_site == "same-origin")
    _check_pattern(choices.text(60), origin)


def _check_same_host(origin: str, host: str | None) -> None:
    ours, theirs = urlsplit(origin.lower()), urlsplit(f"//{(host or '').lower()}")
    assert ours.hostname == theirs.hostname
    assert [ours.path, ours.query, ours.fragment, ours.username] == ["", "", "", None]


def _check_pattern(pattern: str, origin: str) -> None:
    try:
        OriginPattern.parse(pattern)
        policy = OriginPolicy([pattern])
    except ValueError:
        return
    if pattern in OPAQUE:
        assert policy.allows(PageHeaders(origin, "localhost")) is (origin == pattern)
    elif policy.allows(PageHeaders(origin, "localhost")):
        scheme, _, rest = origin.lower().partition("://")
        assert pattern.lower().startswith(f"{scheme}://")
        wanted = urlsplit(pattern.lower().replace(":*", "")).hostname or ""
        found = urlsplit(f"//{rest}").hostname or ""
        if wanted.startswith("*."):
            assert found.endswith(wanted[1:])
            assert "." not in found.removesuffix(wanted[1:])
        else:
            assert found == wanted
    elif "*" not in pattern:
        assert not policy.allows(PageHeaders(origin, "localhost"))
        assert policy.allows(PageHeaders(pattern, "localhost")), (
            "a pattern without a wildcard does not allow itself"
        )


# --- addresses ---

_NETWORKS = ("10.0.0.0/8", "127.0.0.0/8", "::1/128", "fd00::/8", "192.0.2.1/32")
_ADDRESSES = (
    "10.1.2.3",
    "127.0.0.1",
    "::1",
    "fd00::1",
    "192.0.2.1",
    "198.51.100.7",
    "2001:db8::1",
    "::ffff:10.0.0.1",
)
_TRUSTED = TrustedProxies(_NETWORKS)


def forwarded(data: bytes) -> None:
    """Find the client behind proxies; a naive reader that goes through the list from the right finds the same."""
    choices = Choices(data)
    peer = choices.one_of(_ADDRESSES)
    lines = choices.some(3, lambda: ", ".join(choices.some(4, lambda: _draw_address(choices))))
    found = _TRUSTED.find_client(peer, lines)
    assert found == _find_naively(peer, lines)
    assert TrustedProxies().find_client(peer, lines) == peer, "without a trusted proxy the header counts"
    if _is_trusted(peer):
        # Whatever stands left of the first address that is not trusted is the client's own invention.
        assert _TRUSTED.find_client(peer, [choices.text(20), *lines, "198.51.100.7"]) == "198.51.100.7"


def _draw_address(choices: Choices) -> str:
    if choices.flag():
        return choices.one_of(
            (*_ADDRESSES, "[::1]:80", "127.0.0.1:8080", "unknown", "", "_hidden", "[fd00::1", "1:2")
        )
    return choices.text(20)


def _find_naively(peer: str, lines: list[str]) -> str:
    client = peer
    if not lines or not _is_trusted(peer):
        return peer
    entries = [entry.strip(" \t") for line in lines for entry in line.split(",")]
    while entries:
        address = _parse_naively(entries.pop())
        if address is None:
            return client
        client = address
        if not _is_trusted(client):
            return client
    return client


def _parse_naively(entry: str) -> str | None:
    if entry.startswith("["):
        entry = entry[1:].partition("]")[0]
    elif entry.count(":") == 1:
        entry = entry.partition(":")[0]
    try:
        address = ip_address(entry)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _is_trusted(text: str) -> bool:
    address = ip_address(_parse_naively(text) or text)
    return any(
        address in ip_network(network)
        for network in _NETWORKS
        if ip_network(network).version == address.version
    )
