"""The opening handshake of WebSocket (RFC 6455, 4.2): checks the head of a request, and makes the answer's."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import NamedTuple

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)

Headers = Mapping[str, tuple[str, ...]]
"""Header fields by lower-cased name, each with all values in order."""


class Opening(NamedTuple):
    """An acceptable request; `subprotocol` is the first that it offers, if any."""

    key: str
    subprotocol: str | None


class OpeningRefusal(NamedTuple):
    """The refusal of a request for a WebSocket: HTTP status and text."""

    status: int
    message: str


def wants_websocket(headers: Headers) -> bool:
    """Return whether a request asks for a WebSocket, in the right form or not."""
    return "websocket" in _split_list(headers, "upgrade")


def read_opening(method: str, version: str, headers: Headers) -> Opening | OpeningRefusal:
    """Check the head of a request by RFC 6455, 4.2.1."""
    if method != "GET" or version != "HTTP/1.1":
        return OpeningRefusal(400, "a WebSocket is asked for by GET and HTTP/1.1")
    if "upgrade" not in _split_list(headers, "connection"):
        return OpeningRefusal(400, "the Connection header does not say Upgrade")
    if len(headers.get("host", ())) != 1:
        return OpeningRefusal(400, "one Host header is needed")
    # A body would arrive where frames are expected.
    if headers.get("transfer-encoding") or headers.get("content-length", ("0",)) != ("0",):
        return OpeningRefusal(400, "a request for a WebSocket has no body")
    if headers.get("sec-websocket-version") != ("13",):
        return OpeningRefusal(426, "WebSocket version 13 is spoken here")
    key = headers.get("sec-websocket-key", ())
    if len(key) != 1 or not _is_key(key[0]):
        return OpeningRefusal(400, "Sec-WebSocket-Key is not 16 bytes in base64")
    return Opening(key[0], _find_subprotocol(headers))


def build_switching_response(opening: Opening) -> bytes:
    """Return the head of the answer (4.2.2); no extension is agreed on."""
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {compute_accept_value(opening.key)}",
    ]
    if opening.subprotocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {opening.subprotocol}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def compute_accept_value(key: str) -> str:
    """Return the proof that the key was read (4.2.2, 5.4)."""
    digest = hashlib.sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")


def _split_list(headers: Headers, name: str) -> list[str]:
    return [item.strip().lower() for value in headers.get(name, ()) for item in value.split(",")]


def _is_key(key: str) -> bool:
    try:
        return len(binascii.a2b_base64(key, strict_mode=True)) == 16
    except ValueError:
        return False


def _find_subprotocol(headers: Headers) -> str | None:
    """Return the first offer: a client that makes offers gives up if none is taken, and any will do for us."""
    offers = headers.get("sec-websocket-protocol", ())
    first = offers[0].split(",")[0].strip() if offers else ""
    return first if _TOKEN.fullmatch(first) else None
