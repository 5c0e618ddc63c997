"""Parses a token: JWS Compact Serialization (RFC 7515, 7.1), more strictly than PyJWT does.

Each token has exactly one text: no padding, no bits beyond the last byte, no surplus segment. So changing a
character always makes another token, and a token that is cached by its hash has no second spelling. Of the
header only `alg`, `kid` and `typ` are used. Members that would let a token choose its own key (`jku`, `jwk`,
`x5u`, `x5c`) are ignored (RFC 8725, 3.10); members that would change how it is read (`crit`, `b64`) are refused
(RFC 7515, 4.1.11; RFC 7797, 3).
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from compartmentd.tokens.material import normalize_algorithm
from compartmentd.tokens.rejected import Rejected, RejectReason, reject
from compartmentd.util.strict_json import JsonError, read_object

MAX_TOKEN = 16 * 1024
"""Characters. Common proxies limit a header to 8 to 16 KiB, so they let no longer token through."""

_LONGEST_NAME = 256  # of kid, typ and alg; those of real issuers stay under 100
_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")
_URLSAFE = bytes.maketrans(b"-_", b"+/")
_LAST = {2: frozenset("AQgw"), 3: frozenset("AEIMQUYcgkosw048")}
"""The last characters that leave no spare bits, by the number of characters in the last group of four."""


class Segments(NamedTuple):
    """The decoded parts of a token, not yet parsed; `signed` are the bytes that the signature covers."""

    header: bytes
    payload: bytes
    signature: bytes
    signed: bytes


class Header(NamedTuple):
    """The members of a token's header that are used; `algorithm` is the normalized name."""

    algorithm: str
    kid: str | None
    typ: str | None


class UnverifiedToken(msgspec.Struct, frozen=True):
    """A well-formed token whose signature and claims are not verified."""

    header: Header
    claims: dict[str, Any]
    segments: Segments


def parse_token(token: str) -> UnverifiedToken | Rejected:
    """Return the parsed token, or why the text is no token. Total: any text gives a value."""
    segments = split_token(token)
    if isinstance(segments, Rejected):
        return segments
    header = read_header(segments)
    if isinstance(header, Rejected):
        return header
    claims = read_claims(segments)
    return claims if isinstance(claims, Rejected) else UnverifiedToken(header, claims, segments)


def split_token(token: str) -> Segments | Rejected:
    """Return the token's decoded parts, or why the text is no JWS in compact form."""
    if len(token) > MAX_TOKEN:
        return reject(RejectReason.TOO_LONG, f"the token is longer than {MAX_TOKEN} characters")
    segments = token.split(".")
    if len(segments) != 3:
        return reject(RejectReason.NOT_A_JWT, _explain_part_count(len(segments)))
    header, payload, signature = map(_decode_segment, segments)
    if header is None or payload is None or signature is None:
        return reject(RejectReason.NOT_A_JWT, _explain_encoding(token))
    return Segments(header, payload, signature, token[: token.rindex(".")].encode("ascii"))


def read_header(segments: Segments) -> Header | Rejected:
    """Return the token's header, or what is wrong with it."""
    if len(segments.header) > _USUAL_HEADER:
        return _read_header(segments.header)
    return _read_usual_header(segments.header)


def _read_header(header: bytes) -> Header | Rejected:
    try:
        members = read_object(header)
    except JsonError as bad:
        return reject(RejectReason.BAD_HEADER, f"the token's header {bad}")
    refused = _check_header(members)
    if refused is not None:
        return refused
    return Header(normalize_algorithm(members["alg"]), members.get("kid"), members.get("typ"))


_USUAL_HEADER = 256
_read_usual_header = lru_cache(maxsize=256)(_read_header)
"""Tokens of one key mostly have the same header, and parsing it took 4 of the 53 µs of verifying a token."""


def read_claims(segments: Segments) -> dict[str, Any] | Rejected:
    """Return the token's claims, which are not verified, or why the payload has none."""
    try:
        return read_object(segments.payload)
    except JsonError as bad:
        return reject(RejectReason.BAD_PAYLOAD, f"the token's payload {bad}")


def _decode_segment(segment: str) -> bytes | None:
    if not _SEGMENT.fullmatch(segment):
        return None
    left = len(segment) % 4
    # Bits after the last byte must be zero, else several texts would stand for one token (RFC 4648, 3.5).
    if left == 1 or (left and segment[-1] not in _LAST[left]):
        return None
    # Half the time of base64.urlsafe_b64decode; surplus padding is ignored.
    return a2b_base64(segment.encode("ascii").translate(_URLSAFE) + b"==")


def _check_header(members: dict[str, Any]) -> Rejected | None:
    for name in ("crit", "b64"):
        if name in members:
            return reject(
                RejectReason.CRITICAL_HEADER, f"the token's header has `{name}`, which is not supported"
            )
    if "alg" not in members:
        return reject(RejectReason.BAD_HEADER, "the token's header has no `alg`")
    for name in ("alg", "kid", "typ"):
        value = members.get(name, "")
        if not isinstance(value, str) or len(value) > _LONGEST_NAME:
            return reject(
                RejectReason.BAD_HEADER,
                f"`{name}` in the token's header is not a string of at most {_LONGEST_NAME} characters",
            )
    return None


def _explain_part_count(count: int) -> str:
    if count == 5:
        return "the token is encrypted (five parts): let the provider issue signed tokens (JWS)"
    if count == 1:
        return "the token is opaque (one part): ask the provider for a JWT, often by naming an audience"
    return f"the token has {count} parts, and a JWT has three"


def _explain_encoding(token: str) -> str:
    if token[:7].lower() == "bearer ":
        return "the token begins with `Bearer `: send the token alone"
    return "the token's parts are not base64url without padding"
