"""Allowed origins."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from compartmentd.protocol.origins import OriginPattern, OriginPolicy, PageHeaders


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
        ("*", "null", True),
        ("*", "file://", True),
        ("null", "null", True),
        ("null", "file://", False),
        ("null", "NULL", False),
        ("file://", "file://", True),
        ("file://", "null", False),
        ("file://", "file:///", False),
        ("file://", "file://host", False),
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
    assert OriginPolicy([pattern]).allows(PageHeaders(origin, "a.example")) is allowed
    assert (
        OriginPolicy(["https://other.example", pattern]).allows(PageHeaders(origin, "a.example")) is allowed
    )


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
    assert OriginPolicy().allows(PageHeaders(origin, host)) is allowed


@pytest.mark.parametrize(
    ("cookies", "fetch_site", "allowed"),
    [
        ((), None, True),
        (("other=1; rts=2; xrt=3",), None, True),
        (("rt=1",), None, False),
        (("a=1; rt=2",), "cross-site", False),
        (("a=1", "b=2;  rt =3"), "none", False),
        (("rt",), "same-site", False),
        (("a=1;rt=",), "same-origin", True),
        ((), "cross-site", True),
    ],
)
def test_without_an_origin_a_cookie_that_may_hold_a_token_is_refused(
    cookies: tuple[str, ...], fetch_site: str | None, allowed: bool
):
    page = PageHeaders(None, "a.example", fetch_site, cookies)
    for patterns in (None, ["https://a.example"]):
        policy = OriginPolicy(patterns, cookies=["rt", "st"])
        assert policy.allows(page) is allowed
        assert OriginPolicy(patterns).allows(page)
        if not allowed:
            assert "`rt`" in policy.explain(page)


def test_a_cookie_does_not_make_an_origin_allowed_or_refused():
    policy = OriginPolicy(["https://a.example"], cookies=["rt"])
    assert policy.allows(PageHeaders("https://a.example", "x", "cross-site", ("rt=1",)))
    assert not policy.allows(PageHeaders("https://evil.example", "x", "same-origin", ("rt=1",)))


@pytest.mark.parametrize(
    ("forwarded", "proxied", "allowed"),
    [
        ((), True, False),
        (("app.example",), True, True),
        (("app.example",), False, False),
        (("evil.example, app.example",), True, True),
        (("app.example, evil.example",), True, False),
        (("app.example:443",), True, True),
        (("app.example:8443",), True, False),
        (("app.example", "app.example"), True, False),
        (("",), True, False),
    ],
)
def test_the_host_is_the_one_that_a_trusted_proxy_names(
    forwarded: tuple[str, ...], proxied: bool, allowed: bool
):
    page = PageHeaders("https://app.example", "10.0.0.7:8000", forwarded_hosts=forwarded)
    assert OriginPolicy().allows(page, proxied=proxied) is allowed


@pytest.mark.parametrize(
    ("patterns", "page", "told"),
    [
        (
            None,
            PageHeaders("https://app.example", "app.example:8080"),
            ["`https://app.example`", "Host `app.example:8080`", "`server.origins`", "proxy"],
        ),
        (None, PageHeaders("https://app.example", None), ["`https://app.example`", "Host ``"]),
        (
            None,
            PageHeaders("https://a.example", "x", forwarded_hosts=("b.example",)),
            ["X-Forwarded-Host `b.example`"],
        ),
        (None, PageHeaders("null", "a.example"), ["`null`", "`server.origins`"]),
        (
            ["https://a.example", "http://b.example"],
            PageHeaders("https://c.example", "x"),
            ["`https://c.example`", "`https://a.example`, `http://b.example`"],
        ),
        (
            [f"https://{number}.example" for number in range(20)],
            PageHeaders("https://c.example", "x"),
            ["`https://7.example`, …"],
        ),
        (["*"], PageHeaders("https://a.example/x", "x"), ["`https://a.example/x`", "scheme://host"]),
        (["*"], PageHeaders("\x1b[31m" + "x" * 5000, "x"), ["?[31mxxx", "…"]),
    ],
)
def test_a_refusal_says_what_was_compared_and_what_to_set(
    patterns: list[str] | None, page: PageHeaders, told: list[str]
):
    policy = OriginPolicy(patterns)
    assert not policy.allows(page, proxied=True)
    text = policy.explain(page, proxied=True)
    assert [part for part in told if part not in text] == []
    assert len(text) < 700


@pytest.mark.parametrize(
    "text",
    ["", "a.example", "https://", "https://a.example/", "https://a b", "https://*", "https://a.*", "https://a.*.example",
     "https://a:b", "https://a:123456", "https://*.*.example", "NULL", "file:", "https://user@a"],
)  # fmt: skip
def test_what_is_no_pattern(text: str):
    with pytest.raises(ValueError, match="origin"):
        OriginPattern.parse(text)


@given(st.text(max_size=30), st.none() | st.text(max_size=30), st.none() | st.text(max_size=12))
def test_any_headers_are_judged(origin: str, host: str | None, fetch_site: str | None):
    page = PageHeaders(origin, host, fetch_site)
    for policy in (OriginPolicy(), OriginPolicy(["*"]), OriginPolicy(["https://*.a:*"], cookies=["rt"])):
        assert policy.allows(page) or policy.explain(page)
