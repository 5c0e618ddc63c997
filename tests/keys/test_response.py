"""What an answer means, before anything of it is used."""

from __future__ import annotations

import json
import time

import pytest
from tornado.httputil import HTTPHeaders

from compartmentd.keys.response import (
    MOST_BYTES,
    MOST_PARTS,
    FetchFailure,
    Response,
    check_response,
    read_freshness,
    read_jwks_uri,
)
from tests.keys.provider import keyset
from tests.tokens import forge

ISSUER = "https://corp.example.com"
GOOD = {"issuer": ISSUER, "jwks_uri": "https://keys.example.com/jwks?v=1"}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Cache-Control": "max-age=300"}, 300.0),
        ({"Cache-Control": "public, Max-Age = 300 , must-revalidate"}, 300.0),
        ({"Cache-Control": 'max-age="300"'}, 300.0),
        ({"Cache-Control": "max-age=300, max-age=200"}, 200.0),
        ({"Cache-Control": "max-age=300", "Age": "100"}, 200.0),
        ({"Cache-Control": "max-age=300", "Age": "1000"}, 0.0),
        ({"Cache-Control": "max-age=300", "Age": "soon"}, 300.0),
        ({"Cache-Control": "no-store"}, 0.0),
        ({"Cache-Control": "no-cache, max-age=300"}, 0.0),
        ({"Cache-Control": "max-age=-1"}, None),
        ({"Cache-Control": "max-age=1e9"}, None),
        ({"Cache-Control": "max-age=" + "9" * 5000}, None),
        ({"Cache-Control": "s-maxage=300"}, None),
        ({"Cache-Control": ",,="}, None),
    ],
)
def test_cache_control(headers: dict[str, str], seconds: float | None) -> None:
    assert read_freshness(HTTPHeaders(headers)) == seconds


@pytest.mark.parametrize(
    ("response", "why"),
    [
        (Response(500, {}, b"{}"), "answers 500"),
        (Response(404, {}, b"{}"), "answers 404"),
        (Response(204, {}, b""), "answers 204"),
        (Response(302, {"Location": "https://x"}, b""), "redirects are not followed"),
        (Response(200, {"Content-Encoding": "gzip"}, b"{}"), "compressed"),
        (Response(200, {}, b"x" * (MOST_BYTES + 1)), "more than 256 KiB"),
        (Response(200, {}, b"[" * (MOST_PARTS + 1)), "more than 5000 members and items"),
        (Response(200, {}, b"{" * MOST_PARTS + b","), "more than 5000 members and items"),
    ],
)
def test_an_answer_that_is_not_read(response: Response, why: str) -> None:
    refused = check_response(response)
    assert refused is not None
    assert why in refused.why


@pytest.mark.parametrize(
    "response",
    [
        Response(200, {}, b"{}"),
        Response(200, {"Content-Encoding": " Identity"}, b"{}"),
        Response(200, {}, keyset(*map(str, range(50)))),
    ],
)
def test_an_answer_that_is_read(response: Response) -> None:
    assert check_response(response) is None


def test_the_document_names_the_keys() -> None:
    assert read_jwks_uri(forge.entry(), json.dumps(GOOD).encode()) == "https://keys.example.com/jwks?v=1"


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (b"<html>", "is not JSON"),
        (b"[]", "is not a JSON object"),
        (b"", "is not JSON"),
        (b"\xff", "is not UTF-8"),
        (b'{"issuer": "%s", "issuer": "x"}' % ISSUER.encode(), "names a member twice"),
        ({}, "names nothing as issuer"),
        ({**GOOD, "issuer": 7}, "names nothing as issuer"),
        ({**GOOD, "issuer": ISSUER + "/"}, f"names `{ISSUER}/` as issuer instead of `{ISSUER}`"),
        ({**GOOD, "issuer": ISSUER.upper()}, "as issuer instead of"),
        ({"issuer": ISSUER}, "names no `jwks_uri`"),
        ({**GOOD, "jwks_uri": ["https://a.example.com"]}, "names no `jwks_uri`"),
        ({**GOOD, "jwks_uri": "http://keys.example.com/jwks"}, "must be `https://`"),
        ({**GOOD, "jwks_uri": "file:///etc/passwd"}, "is not an `https://` URL"),
        ({**GOOD, "jwks_uri": "https://user:word@keys.example.com/"}, "user name"),
        ({**GOOD, "jwks_uri": "https://a.example.com/\r\nX: y"}, "printable"),
    ],
)
def test_a_document_that_is_refused(document: bytes | dict[str, object], why: str) -> None:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    refused = read_jwks_uri(forge.entry(), body)
    assert isinstance(refused, FetchFailure)
    assert why in refused.why


def test_no_refusal_quotes_an_address() -> None:
    refused = read_jwks_uri(
        forge.entry(), json.dumps({**GOOD, "jwks_uri": "http://h.example/?secret"}).encode()
    )
    assert isinstance(refused, FetchFailure)
    assert "secret" not in refused.why


def test_with_allow_http_the_keys_may_be_anywhere() -> None:
    document = json.dumps({**GOOD, "jwks_uri": "http://keys.example.com/jwks"}).encode()
    assert read_jwks_uri(forge.entry(allow_http=True), document) == "http://keys.example.com/jwks"


@pytest.mark.parametrize("item", [b"{},", b"1,", b"1.5,", b'{"a":1},', b"[],"])
def test_no_answer_that_is_read_takes_long_to_read(item: bytes) -> None:
    parts = usable_parts(item)
    body = b'{"issuer":[' + item * parts + b"1]}"
    assert check_response(Response(200, {}, body)) is None
    started = time.process_time()
    read_jwks_uri(forge.entry(), body)
    assert time.process_time() - started < 0.1  # 200 ms without the bound on parts; 5 to 10 with it


def usable_parts(item: bytes) -> int:
    """Return how often an item may be repeated."""
    return MOST_PARTS // sum(item.count(mark) for mark in (b",", b"{", b"[")) - 2
