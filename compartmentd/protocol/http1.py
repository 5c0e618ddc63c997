"""Reads plain HTTP/1.1 requests (RFC 9112), as long-polling clients and browsers send them over and over.

On a socket that is kept open a request differs from the one before in little but its target. So the header fields
that were read last are kept, as bytes and parsed: the same bytes need not be parsed again. Comparing takes 0.1 µs
where parsing twelve fields of a browser takes 9.

A request that is not plain raises `NotPlain`, and the caller hands the socket, from the first byte of that request
on, to a complete HTTP server. `read_head` does the same for the first request of a socket, for any path, and
returns `None`. Plain means so little that two readers cannot find different ends of one request, on which request
smuggling depends (11.2): lines end in CRLF, with no CR or LF elsewhere (2.2); no field is folded (5.2) or has a
space before its colon (5.1); there is one Host (3.2), no Transfer-Encoding (6.1), at most one Content-Length, of
digits (6.3), and none on a GET.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from compartmentd.protocol.opening import Headers
from compartmentd.protocol.origins import PageHeaders

MAX_HEAD = 32 * 1024
"""Bytes of the head of a request: nginx passes on as many (`large_client_header_buffers`, 4 of 8 KiB)."""

LONGEST = 4096
"""Bytes of a first request that are looked at: more than browsers send with a few cookies."""

MAX_FIELDS = 100
"""Header lines of one request."""

_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)

_KNOWN = {
    spelled: name
    for name in (
        "accept-encoding",
        "accept-language",
        "authorization",
        "cache-control",
        "connection",
        "cookie",
        "host",
        "origin",
        "pragma",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-protocol",
        "sec-websocket-version",
        "upgrade",
        "user-agent",
        "x-forwarded-for",
    )
    for spelled in (name, name.title(), name.title().replace("Websocket", "WebSocket"))
}
"""Names as clients spell them: a look-up instead of two calls for each header."""

_LENGTH = re.compile(r"[0-9]{1,9}", re.ASCII)

_HOST = re.compile(r"[A-Za-z0-9._~:%!$&'()*+;=\[\]-]*")

_ELSEWHERE = ("transfer-encoding", "expect", "upgrade")
"""Fields that ask for more than one answer to one body of known length."""

_OPTIONS = frozenset({"close", "keep-alive", "upgrade"})
"""The options that Connection may have; proxies send `close` with every request, or `upgrade` without need."""


class NotPlain(Exception):
    """A request is not plain; it may be well-formed or not."""


class Fields(NamedTuple):
    """The header fields of a plain request that are checked for every request.

    `length` is that of the body; `closes` is whether the socket closes after the answer.
    """

    length: int
    closes: bool
    page: PageHeaders


class PlainRequest(NamedTuple):
    """The head of a plain request to our path.

    `closes` is whether the socket closes after the answer, `block` holds the header fields as they came, for
    `read_block`, and `size` is the number of bytes of the head.
    """

    method: str
    query: str
    closes: bool
    fields: Fields
    block: bytes
    size: int


class RequestReader:
    """Reads the requests of one socket to one path; it remembers the last header fields, see above."""

    __slots__ = ("_block", "_fields", "_line")

    def __init__(self, line: re.Pattern[bytes]) -> None:
        """Read requests whose first line matches, see `compile_request_line`."""
        self._line = line
        self._block = b""
        self._fields: Fields | None = None

    def read(self, data: bytes) -> PlainRequest | None:
        """Return the request whose head begins `data`, `None` while it is incomplete.

        Raises:
            NotPlain: it is not plain, or longer than `MAX_HEAD`.
        """
        end = data.find(b"\r\n\r\n")
        if end < 0:
            # An empty line after a bare LF ends the head for lenient readers, so such a head is not awaited here.
            if len(data) > MAX_HEAD or b"\n\r\n" in data or b"\n\n" in data:
                raise NotPlain
            return None
        line = self._line.match(data)
        if line is None or end > MAX_HEAD:
            raise NotPlain
        block = data[line.end() : end + 2]
        fields = self._fields
        if fields is None or block != self._block:
            fields = self._fields = _check_fields(read_block(block))
            self._block = block
        method, query, version = line.groups(b"")
        if fields.length and method == b"GET":
            raise NotPlain
        closes = fields.closes or version != b"1.1"
        return PlainRequest(method.decode(), query.decode(), closes, fields, block, end + 4)


def compile_request_line(path: str) -> re.Pattern[bytes]:
    """Return the pattern of a plain request's first line (RFC 9112, 3), for `list_paths(path)` and any query."""
    bare = re.escape(path.rstrip("/").encode())
    either = bare + b"/?" if bare else b"/"
    return re.compile(rb"(GET|POST) %b(?:\?([!-~]*))? HTTP/(1\.[01])\r\n" % either)


def list_paths(path: str) -> frozenset[str]:
    """Return a path with and without its final slash; clients may leave it out (`addTrailingSlash: false`)."""
    bare = path.rstrip("/")
    return frozenset({bare, f"{bare}/"} if bare else {"/"})


class Head(NamedTuple):
    """A request's head: `GET`, HTTP/1.1; `size` is how many bytes it took, the empty line included."""

    path: str
    query: str
    headers: dict[str, tuple[str, ...]]
    size: int


def read_head(data: bytes) -> Head | None:
    """Return the head that begins `data`, `None` if it is not complete or not plain."""
    end = data.find(b"\r\n\r\n")
    if end < 0 or not data.startswith(b"GET /"):
        return None
    head = data[:end]
    if not head.isascii():
        return None
    first, *lines = head.decode("ascii").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or words[2] != "HTTP/1.1" or not first.isprintable():
        return None
    headers = read_fields(lines)
    if headers is None:
        return None
    path, _, query = words[1].partition("?")
    return Head(path, query, headers, end + 4)


def read_fields(lines: list[str]) -> dict[str, tuple[str, ...]] | None:
    """Return the header fields of these lines, `None` if they are not plain."""
    if len(lines) > MAX_FIELDS or not "".join(lines).isprintable():
        return None
    headers: dict[str, tuple[str, ...]] = {}
    for line in lines:
        spelled, colon, value = line.partition(":")
        name = _KNOWN.get(spelled)
        if not colon or (name is None and not _FIELD_NAME.fullmatch(spelled)):
            return None
        if name is None:
            name = spelled.lower()
        values = (value.strip(" "),)
        headers[name] = values if name not in headers else headers[name] + values
    return headers


def read_block(block: bytes) -> Headers:
    """Return the header fields of a plain request, each line ended by CRLF.

    Raises:
        NotPlain: they do not have the right form.
    """
    lines = block.decode("latin-1").split("\r\n")
    headers = read_fields(lines[:-1]) if block.isascii() else None
    if headers is None or lines[-1]:
        raise NotPlain
    return headers


def is_plain(method: str, version: str, headers: Headers, longest: int) -> bool:
    """Return whether a request that Tornado has read would be plain here, with at most `longest` bytes of body."""
    try:
        fields = _check_fields(headers)
    except NotPlain:
        return False
    most = {"GET": 0, "POST": longest}.get(method, -1)
    return version in {"HTTP/1.0", "HTTP/1.1"} and fields.length <= most


def _check_fields(headers: Headers) -> Fields:
    """Return the checked header fields of a plain request; raises NotPlain."""
    hosts, connection = headers.get("host", ()), headers.get("connection", ())
    if len(hosts) != 1 or _HOST.fullmatch(hosts[0]) is None or any(name in headers for name in _ELSEWHERE):
        raise NotPlain
    if any(len(headers.get(name, ())) > 1 for name in ("origin", "sec-fetch-site")):
        raise NotPlain
    options = {word.strip().lower() for word in ",".join(connection).split(",")} if connection else set()
    if not options <= _OPTIONS:
        raise NotPlain
    if headers.get("content-type", ("",))[0].startswith("application/octet-stream"):
        raise NotPlain
    return Fields(
        _parse_length(headers.get("content-length", ("0",))),
        "close" in options,
        PageHeaders.from_headers(headers),
    )


def _parse_length(values: tuple[str, ...]) -> int:
    if len(values) != 1 or _LENGTH.fullmatch(values[0]) is None:
        raise NotPlain
    return int(values[0])
