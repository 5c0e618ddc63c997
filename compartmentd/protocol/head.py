"""The head of a plain GET, read at once where all of it has arrived.

This reads what nearly every WebSocket client sends, and nothing else: printable ASCII, one space where one
belongs, no folded lines. Whatever differs is `None` here, which is no verdict: a full HTTP parser is asked
instead. So this one can be small, and can only be too strict.
"""

from __future__ import annotations

import re
from typing import NamedTuple

LONGEST = 4096
"""Bytes that are looked at: more than browsers send with a few cookies."""

MAX_FIELDS = 100
"""Header lines of one request."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)

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
        if not colon or (name is None and not _NAME.fullmatch(spelled)):
            return None
        if name is None:
            name = spelled.lower()
        values = (value.strip(" "),)
        headers[name] = values if name not in headers else headers[name] + values
    return headers
