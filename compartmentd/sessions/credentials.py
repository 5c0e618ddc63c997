"""Where a token may stand, and the one token that a CONNECT brings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from compartmentd.protocol.application import Handshake


class Credential(msgspec.Struct, frozen=True):
    """The result of a search: a token, none (`token` is `None`), or a value that is none (`malformed`)."""

    token: str | None = None
    malformed: str = ""


def find_credential(places: tuple[str, ...], auth: bytes | None, handshake: Handshake) -> Credential:
    """Look at the places of `token_from` and return the one token.

    A token in two places is malformed: which of them counts must not depend on our taste (RFC 6750, 2). What is
    there but is not a non-empty string is malformed too; absent, null, and an Authorization header of another
    scheme than Bearer are no token.
    """
    found: list[str] = []
    for place in places:
        for value in _find_values(place, auth, handshake):
            if not isinstance(value, str) or not value:
                return Credential(malformed=f"the token in `{place}` is not a non-empty string")
            found.append(value)
    if len(found) > 1:
        return Credential(malformed="a token was sent in more than one place")
    return Credential(token=found[0] if found else None)


def _find_values(place: str, auth: bytes | None, handshake: Handshake) -> Iterator[Any]:
    kind, _, name = place.partition(":")
    if kind == "auth":
        yield from _find_in_auth(auth)
    elif kind == "header":
        for header in handshake.headers.get("authorization", ()):
            scheme, _, value = header.strip().partition(" ")
            if scheme.lower() == "bearer":
                yield value.strip()
    elif kind == "cookie":
        for header in handshake.headers.get("cookie", ()):
            yield from _find_in_cookies(header, name)
    else:
        yield from handshake.query.get(name, ())


def _find_in_auth(auth: bytes | None) -> Iterator[Any]:
    if auth is None:
        return
    try:
        payload = msgspec.json.decode(auth)
    except (msgspec.DecodeError, RecursionError):
        payload = _read_loosely(auth)
    value = payload.get("token") if isinstance(payload, dict) else None
    if value is not None:
        yield "" if isinstance(value, str) and _has_surrogates(value) else value


def _has_surrogates(text: str) -> bool:
    # Signed tokens are ASCII, which a string knows by itself: to look at each character took 20 µs of a CONNECT.
    return not text.isascii() and _SURROGATE.search(text) is not None


_SURROGATE = re.compile("[\ud800-\udfff]")


def _read_loosely(auth: bytes) -> Any:
    """Return JSON whose other members may be what is not taken elsewhere, such as half a surrogate, or depth."""
    try:
        return json.loads(auth)
    except (ValueError, RecursionError):
        return {"token": ""}  # not to be read, and so a token that is none


def _find_in_cookies(header: str, name: str) -> Iterator[str]:
    # A browser may send one name several times (other paths and domains); each counts as a place of its own.
    for pair in header.split(";"):
        key, separator, value = pair.strip().partition("=")
        if separator and key == name:
            yield _unquote(value)


# Possessive, and not `http.cookies`: that takes time with the square of the backslashes, 0.5 s for one header,
# before Python 3.11.10 and 3.12.6 (CVE-2024-7592).
_QUOTED = re.compile(r'"((?:[^"\\]++|\\.)*+)"')
_ESCAPED = re.compile(r"\\(?:([0-3][0-7][0-7])|(.))")


def _unquote(value: str) -> str:
    """Return a cookie's value without its quotes (RFC 2109, 4.1), empty where they are broken."""
    if not value.startswith('"'):
        return value
    found = _QUOTED.fullmatch(value)
    return "" if found is None else _ESCAPED.sub(lambda it: it[2] or chr(int(it[1], 8)), found[1])
