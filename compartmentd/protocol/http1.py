"""Requests of HTTP/1.1 (RFC 9112) as long-polling clients make them over and over: the plain ones alone.

On a connection that is kept open a request differs from the one before in its target and in little else. So the
header fields that were read last are kept, as bytes and with what they say: fields that are the same bytes say the
same, and need no second reading. That takes 0.1 µs where twelve fields of a browser take 9.

Whatever is not plain is not judged here at all, but `Unusual`: whoever asked hands the connection, from the first
byte of that request on, to a whole HTTP server. `read_head` does the same for the first request of a socket,
whatever its path, and answers `None`. Plain is so little that two readers cannot find different ends of one
request, which is what smuggling needs (11.2): lines end in CRLF, with no CR or LF elsewhere (2.2); no field is
folded (5.2) or has a space before its colon (5.1); there is one Host (3.2) and no Transfer-Encoding (6.1), no
Content-Length but one of digits (6.3), and none on a GET.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from compartmentd.protocol.opening import Headers

MAX_HEAD = 16 * 1024
"""Bytes of a request's head."""

LONGEST = 4096
"""Bytes that are looked at: more than browsers send with a few cookies."""

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
"""Fields that ask for something else than one answer to one body of known length."""

_OPTIONS = frozenset({"close", "keep-alive", "upgrade"})
"""What Connection may say; proxies say `close` at every request, or `upgrade` where nobody asks for one."""


class Unusual(Exception):
    """A request that is not plain: well-formed or not is for others to say."""


class Fields(NamedTuple):
    """What the header fields of a plain request say that every request is asked.

    `length` is its body's; `closes` tells whether the connection ends with its answer.
    """

    length: int
    closes: bool
    origin: str | None
    host: str
    fetch_site: str | None


class Request(NamedTuple):
    """The head of a plain request to our path.

    `closes` tells whether the connection ends with its answer, `block` are its header fields as they came, for
    `read_block`, and `size` is how many bytes the head has.
    """

    method: str
    query: str
    closes: bool
    fields: Fields
    block: bytes
    size: int


class RequestReader:
    """Reads the requests of one connection to one path; it remembers the last fields, see above."""

    __slots__ = ("_block", "_fields", "_line")

    def __init__(self, line: re.Pattern[bytes]) -> None:
        """Read requests whose first line is of this form, see `request_line`."""
        self._line = line
        self._block = b""
        self._fields: Fields | None = None

    def read(self, data: bytes) -> Request | None:
        """Return the request whose head stands at the start of `data`, `None` while it is incomplete.

        Raises:
            Unusual: it is not plain, or longer than `MAX_HEAD`.
        """
        end = data.find(b"\r\n\r\n")
        if end < 0:
            # An empty line after a bare LF ends the head for lenient readers: they must not wait for us.
            if len(data) > MAX_HEAD or b"\n\r\n" in data or b"\n\n" in data:
                raise Unusual
            return None
        line = self._line.match(data)
        if line is None or end > MAX_HEAD:
            raise Unusual
        block = data[line.end() : end + 2]
        fields = self._fields
        if fields is None or block != self._block:
            fields = self._fields = _judge(read_block(block))
            self._block = block
        method, query, version = line.groups(b"")
        if fields.length and method == b"GET":
            raise Unusual
        closes = fields.closes or version != b"1.1"
        return Request(method.decode(), query.decode(), closes, fields, block, end + 4)


def request_line(path: str) -> re.Pattern[bytes]:
    """Return the form of a plain request's first line (RFC 9112, 3), for this path and any query."""
    return re.compile(rb"(GET|POST) %b(?:\?([!-~]*))? HTTP/(1\.[01])\r\n" % re.escape(path.encode()))


class Head(NamedTuple):
    """A request's head: `GET`, HTTP/1.1; `size` is how many bytes it took, the empty line included."""

    path: str
    query: str
    headers: dict[str, tuple[str, ...]]
    size: int


def read_head(data: bytes) -> Head | None:
    """Return the head that `data` begins with, `None` where it is not complete or not plain."""
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
    """Return what header lines say, `None` where they are not plain."""
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
        Unusual: they are not of the right form.
    """
    lines = block.decode("latin-1").split("\r\n")
    headers = read_fields(lines[:-1]) if block.isascii() else None
    if headers is None or lines[-1]:
        raise Unusual
    return headers


def is_plain(method: str, version: str, headers: Headers, longest: int) -> bool:
    """Tell whether a request that somebody else has read would be plain here, with a body of at most `longest`."""
    try:
        fields = _judge(headers)
    except Unusual:
        return False
    most = {"GET": 0, "POST": longest}.get(method, -1)
    return version in {"HTTP/1.0", "HTTP/1.1"} and fields.length <= most


def _judge(headers: Headers) -> Fields:
    """Return what the header fields of a plain request say; raises Unusual."""
    hosts, connection = headers.get("host", ()), headers.get("connection", ())
    if len(hosts) != 1 or _HOST.fullmatch(hosts[0]) is None or any(name in headers for name in _ELSEWHERE):
        raise Unusual
    options = {word.strip().lower() for word in ",".join(connection).split(",")} if connection else set()
    if not options <= _OPTIONS:
        raise Unusual
    if headers.get("content-type", ("",))[0].startswith("application/octet-stream"):
        raise Unusual
    return Fields(
        _length(headers.get("content-length", ("0",))),
        "close" in options,
        _only(headers, "origin"),
        hosts[0],
        _only(headers, "sec-fetch-site"),
    )


def _length(values: tuple[str, ...]) -> int:
    if len(values) != 1 or _LENGTH.fullmatch(values[0]) is None:
        raise Unusual
    return int(values[0])


def _only(headers: Headers, name: str) -> str | None:
    values = headers.get(name)
    if values is None:
        return None
    if len(values) != 1:
        raise Unusual
    return values[0]
