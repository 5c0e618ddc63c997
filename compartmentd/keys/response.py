"""Reads a provider's response: whether it is usable, how long it is fresh, and where its keys are. Pure.

A failure is a sentence for the operator. Of the response it quotes only the issuer and the address that a discovery
document names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus

import msgspec

from compartmentd.tokens.entry import IssuerEntry
from compartmentd.tokens.rejected import quote
from compartmentd.tokens.remote import check_url, show_url
from compartmentd.util.strict_json import JsonError, read_object

MOST_BYTES = 256 * 1024
"""The largest response that is read; real ones have less than 20 KiB."""

MOST_PARTS = 5000
"""Members and items of a response's JSON, counted by its commas and brackets; a key has about eight, so this allows
hundreds of keys. Without this bound, 256 KiB of nothing but brackets would hold the loop for 200 ms."""

_MAX_AGE = re.compile(r"max-age\s*=\s*\"?(\d{1,10})\"?", re.IGNORECASE)


class Response(msgspec.Struct, frozen=True):
    """An HTTP response; the mapping `headers` ignores the case of names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class FetchFailure(msgspec.Struct, frozen=True):
    """Why a fetch brought nothing usable; `why` is a sentence without its subject."""

    why: str


class KeyRequest(msgspec.Struct, frozen=True):
    """A request of a fetch, for administrators: the URL without its query, and a status or why there is none."""

    url: str
    answer: str


def check_response(response: Response) -> FetchFailure | None:
    """Return why a response cannot be used, before its body is parsed; `None` if it can."""
    if 300 <= response.status < 400:
        return FetchFailure(
            f"answers {response.status}, and redirects are not followed: configure the final address"
        )
    if response.status != HTTPStatus.OK:
        return FetchFailure(f"answers {response.status}")
    if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        # Never decompressed: a few bytes could become a hundred MiB.
        return FetchFailure("answers in compressed form, which was not requested")
    return _check_size(response.body)


def _check_size(body: bytes) -> FetchFailure | None:
    if len(body) > MOST_BYTES:
        return FetchFailure(f"sends more than {MOST_BYTES >> 10} KiB")
    if sum(body.count(mark) for mark in (b",", b"{", b"[")) > MOST_PARTS:
        return FetchFailure(f"sends more than {MOST_PARTS} members and items")
    return None


def read_freshness(headers: Mapping[str, str]) -> float | None:
    """Return for how many seconds a response is fresh (RFC 9111, 4.2), or `None` if it does not say."""
    directives = [part.strip() for part in headers.get("Cache-Control", "").split(",")]
    if any(part.lower() in ("no-store", "no-cache") for part in directives):
        return 0.0
    ages = [int(match[1]) for part in directives if (match := _MAX_AGE.fullmatch(part))]
    if not ages:
        return None
    return float(max(0, min(ages) - _read_age(headers)))


def _read_age(headers: Mapping[str, str]) -> int:
    age = headers.get("Age", "").strip()
    return int(age) if re.fullmatch(r"[0-9]{1,10}", age) else 0


def read_jwks_uri(entry: IssuerEntry, document: bytes) -> str | FetchFailure:
    """Return the URL of the key set in a discovery document (OpenID Connect Discovery 1.0, 3 and 4.3)."""
    try:
        members = read_object(document)
    except JsonError as bad:
        return FetchFailure(f"{bad}")
    issuer, uri = members.get("issuer"), members.get("jwks_uri")
    if issuer != entry.issuer:
        # Exactly equal, or one provider could impersonate another (Discovery, 4.3 and 7.2).
        return FetchFailure(_describe_other_issuer(entry, issuer, uri))
    if not isinstance(uri, str):
        return FetchFailure("names no `jwks_uri`")
    refused = check_url(uri, allow_http=entry.allow_http)
    return uri if refused is None else FetchFailure(f"names a `jwks_uri` that {refused}")


def _describe_other_issuer(entry: IssuerEntry, issuer: object, uri: object) -> str:
    """Return what is wrong with a document of another issuer, and both ways to go on."""
    ours = quote(entry.issuer)
    told = f"names {quote(issuer) if isinstance(issuer, str) else 'nothing'} as issuer instead of {ours}"
    usable = isinstance(uri, str) and check_url(uri, allow_http=entry.allow_http) is None
    ways = [f"`jwks_url: {show_url(str(uri))}` if {ours} is the `iss` of its tokens"] if usable else []
    ways += (
        [f"`issuer: {issuer}` if that is"]
        if isinstance(issuer, str) and quote(issuer) == f"`{issuer}`"
        else []
    )
    return f"{told}: write {', or '.join(ways)}" if ways else told
