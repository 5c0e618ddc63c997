"""The bytes of HTTP/1.1 answers to polling requests."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache

JSON, HTML, TEXT = b"application/json", b"text/html", b"text/plain"
PAYLOAD = b"text/plain; charset=UTF-8"
"""Media types; `PAYLOAD` is that of Engine.IO packets."""

_REASONS = {
    200: b"OK",
    400: b"Bad Request",
    403: b"Forbidden",
    408: b"Request Timeout",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}

_ANSWER = b"""\
HTTP/1.1 %d %b\r
Date: %b\r
Content-Type: %b\r
Cache-Control: no-store\r
%bContent-Length: %d\r
\r
%b"""


def encode_answer(status: int, media_type: bytes, body: bytes, fields: bytes) -> bytes:
    """Return an answer; `fields` are further header fields, each ended by CRLF."""
    date = _format_date(int(time.time()))
    return _ANSWER % (status, _REASONS[status], date, media_type, fields, len(body), body)


def encode_last_answer(status: int, message: str) -> bytes:
    """Return an answer after which the socket closes."""
    return encode_answer(status, TEXT, message.encode(), b"Connection: close\r\n")


@lru_cache(maxsize=1)
def _format_date(second: int) -> bytes:
    """Return the value of the Date field (RFC 9110, 6.6.1), made once a second."""
    return formatdate(second, usegmt=True).encode("ascii")
