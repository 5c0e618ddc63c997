"""Allowed origins."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from compartmentd.protocol.origins import OriginPattern, OriginPolicy


@pytest.mark.parametrize(
    ("pattern", "origin", "allowed"),
    [
        ("https://a.example", "https://a.example", True),
        ("https://a.example", "https://a.example:443", True),
        ("https://a.example:443", "https://a.example", True),
        ("https://A.Example", "HTTPS://a.EXAMPLE", True),
        ("https://a.example", "http://a.example", False),
        ("https://a.example", "https://a.example:8443", False),
        ("https://a.example", "https://b.a.example", False),
        ("https://a.example", "https://a.example.evil", False),
        ("https://a.example", "https://xa.example", False),
        ("http://localhost:*", "http://localhost", True),
        ("http://localhost:*", "http://localhost:3000", True),
        ("http://localhost:*", "https://localhost:3000", False),
        ("http://localhost:3000", "http://localhost:3000", True),
        ("http://localhost:3000", "http://localhost:30000", False),
        ("https://*.a.example", "https://b.a.example", True),
        ("https://*.a.example", "https://a.example", False),
        ("https://*.a.example", "https://c.b.a.example", False),
        ("https://*.a.example", "https://.a.example", False),
        ("https://*.a.example", "https://evil-a.example", False),
        ("https://*.a.example:*", "https://b.a.example:1", True),
        ("http://[::1]:3000", "http://[::1]:3000", True),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000", True),
        ("capacitor://localhost", "capacitor://localhost", True),
        ("chrome-extension://abcdef", "chrome-extension://abcdef", True),
        ("https://a.example", "null", False),
        ("*", "https://any.example:1", True),
        ("*", "null", False),
        ("*", "", False),
        ("*", "https://a.example/path", False),
        ("*", "https://user@a.example", False),
        ("*", "https://a.example https://b.example", False),
        ("*", "https://a.example\n", False),
        ("*", "//a.example", False),
        ("*", "https://b.example:\u0661", False),
    ],
)
def test_patterns(pattern: str, origin: str, allowed: bool):
    assert OriginPolicy([pattern]).allows(origin, "a.example") is allowed
    assert OriginPolicy(["https://other.example", pattern]).allows(origin, "a.example") is allowed


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        ("https://a.example", "a.example", True),
        ("http://a.example", "a.example", True),
        ("https://a.example", "A.EXAMPLE", True),
        ("https://a.example", "a.example:443", True),
        ("http://a.example", "a.example:80", True),
        ("http://a.example", "a.example:443", False),
        ("http://a.example:8000", "a.example:8000", True),
        ("http://a.example:8000", "a.example", False),
        ("http://a.example", "b.example", False),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("http://a.example", None, False),
        ("http://a.example", "", False),
        ("http://a.example", "a.example/path", False),
        ("null", "null", False),
    ],
)
def test_by_default_the_origin_is_the_host(origin: str, host: str | None, allowed: bool):
    assert OriginPolicy().allows(origin, host) is allowed


@pytest.mark.parametrize(
    ("strict", "fetch_site", "allowed"),
    [
        (False, None, True),
        (True, None, False),
        (True, "same-origin", True),
        (True, "same-site", False),
        (True, "cross-site", False),
        (True, "none", False),
    ],
)
def test_requests_without_an_origin(strict: bool, fetch_site: str | None, allowed: bool):
    for patterns in (None, ["https://a.example"]):
        assert OriginPolicy(patterns, strict=strict).allows(None, "a.example", fetch_site) is allowed


def test_strictness_does_not_allow_what_is_not_allowed():
    policy = OriginPolicy(["https://a.example"], strict=True)
    assert policy.allows("https://a.example", "x", "cross-site")
    assert not policy.allows("https://evil.example", "x", "same-origin")


@pytest.mark.parametrize(
    "text",
    ["", "a.example", "https://", "https://a.example/", "https://a b", "https://*", "https://a.*", "https://a.*.example",
     "https://a:b", "https://a:123456", "https://*.*.example", "null", "https://user@a"],
)  # fmt: skip
def test_what_is_no_pattern(text: str):
    with pytest.raises(ValueError, match="origin"):
        OriginPattern.parse(text)


@given(st.text(max_size=30), st.none() | st.text(max_size=30), st.none() | st.text(max_size=12))
def test_any_headers_are_judged(origin: str, host: str | None, fetch_site: str | None):
    for policy in (OriginPolicy(), OriginPolicy(["*"]), OriginPolicy(["https://*.a:*"], strict=True)):
        policy.allows(origin, host, fetch_site)
