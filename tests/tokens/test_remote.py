"""Where keys may be fetched from."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from compartmentd.tokens.entry import KeySource
from compartmentd.tokens.remote import build_discovery_url, check_url, is_loopback_host, warn_of_plain_http
from tests.tokens import forge

ALLOWED = [
    "https://id.example.com",
    "https://id.example.com:8443/realms/main/certs?v=1",
    "https://[2001:db8::1]/jwks",
    "http://127.0.0.1:8080/jwks",
    "http://127.9.9.9/jwks",
    "http://[::1]:8080/jwks",
    "http://localhost/jwks",
    "http://LOCALHOST/jwks",
    "HTTPS://id.example.com/jwks",
]

PLAIN = [
    "http://id.example.com/jwks",
    "http://10.0.0.1/jwks",
    "http://169.254.169.254/latest/meta-data",
    "http://localhost.example.com/jwks",
    "http://127.0.0.1.example.com/jwks",
    "http://127.1/jwks",
    "http://2130706433/jwks",
]

REFUSED = [
    "",
    "id.example.com",
    "/jwks",
    "//id.example.com/jwks",
    "https://",
    "https:///jwks",
    "https://:443/jwks",
    "https://id.example.com:port/jwks",
    "https://id.example.com:99999/jwks",
    "https://[::1/jwks",
    "https://user@id.example.com/",
    "https://user:word@id.example.com/",
    "https://id.example.com/#fragment",
    "https://id.example.com/ jwks",
    "https://id.example.com/\r\nHost: evil",
    "https://id.example.com/\x00",
    "https://bücher.example/jwks",
    "file:///etc/passwd",
    "ftp://id.example.com/jwks",
    "unix:/run/idp.sock",
    "javascript:alert(1)",
    "https://id.example.com/" + "x" * 2048,
]


@pytest.mark.parametrize("url", ALLOWED)
def test_allowed(url: str) -> None:
    assert check_url(url, allow_http=False) is None


@pytest.mark.parametrize("url", PLAIN)
def test_plain_http_is_for_loopback_or_by_choice(url: str) -> None:
    assert "must be `https://`" in str(check_url(url, allow_http=False))
    assert check_url(url, allow_http=True) is None


@pytest.mark.parametrize("url", REFUSED)
@pytest.mark.parametrize("allow_http", [False, True])
def test_refused(url: str, allow_http: bool) -> None:
    assert check_url(url, allow_http=allow_http) is not None


@given(st.text() | st.text().map("https://".__add__), st.booleans())
def test_whatever_it_is_there_is_an_answer_that_does_not_quote_it(url: str, allow_http: bool) -> None:
    refused = check_url(url, allow_http=allow_http)
    assert refused is None or len(url) < 10 or url not in refused


@pytest.mark.parametrize(
    ("issuer", "url"),
    [
        ("https://id.example.com", "https://id.example.com/.well-known/openid-configuration"),
        ("https://id.example.com/", "https://id.example.com/.well-known/openid-configuration"),
        (
            "https://id.example.com/realms/a",
            "https://id.example.com/realms/a/.well-known/openid-configuration",
        ),
        ("https://id.example.com/a/", "https://id.example.com/a/.well-known/openid-configuration"),
    ],
)
def test_where_the_discovery_document_is(issuer: str, url: str) -> None:
    assert build_discovery_url(issuer) == url


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "[::1]", "localhost.", "127.0.0.1 "])
def test_what_is_not_certainly_this_machine(host: str) -> None:
    assert not is_loopback_host(host)


def test_plain_http_is_warned_of_wherever_it_is_allowed() -> None:
    source = KeySource("jwks_url", "http://id.example.com/jwks", forge.SPAN)
    warning = warn_of_plain_http(forge.entry(sources=(source,), allow_http=True))
    assert warning is not None
    assert (warning.severity, warning.code, warning.span) == ("warning", "issuer.allow-http", forge.SPAN)
    assert warn_of_plain_http(forge.entry(sources=(source,))) is None
    assert warn_of_plain_http(forge.entry(allow_http=True)) is None
