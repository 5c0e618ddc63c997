"""Hosts, origins and bearer tokens of the admin listeners."""

from __future__ import annotations

import pytest

from compartmentd.http.admin.access import is_own_host, is_own_origin, read_bearer_token

HOSTS = [
    ("127.0.0.1:8001", True),
    ("127.0.0.1", True),
    ("[::1]:8001", True),
    ("[::1]", True),
    ("10.0.0.7:1", True),
    ("localhost", True),
    ("LOCALHOST:8001", True),
    ("admin.example.com", True),
    ("Admin.Example.Com:443", True),
    ("", False),
    (":8001", False),
    ("evil.example.com:8001", False),
    ("admin.example.com.evil.net", False),
    ("x.admin.example.com", False),
    ("localhost.evil.net", False),
    ("127.0.0.1.evil.net", False),
    ("127.0.0.1@evil.net", False),
    ("127.1", False),
    ("2130706433", False),
    ("0x7f.0.0.1", False),
    ("[::1", False),
    ("[::1]x", False),
    ("[localhost]x:1", False),
    ("localhost:80x", False),
    ("localhost:1:2", False),
]


@pytest.mark.parametrize(("host", "own"), HOSTS)
def test_a_host_is_an_ip_literal_localhost_or_declared(host: str, own: bool) -> None:
    assert is_own_host(host, ["admin.example.com"]) is own


def test_declared_hosts_are_compared_without_case() -> None:
    assert is_own_host("admin.example.com", ["ADMIN.example.com"])


ORIGINS = [
    ("http://127.0.0.1:8001", True),
    ("https://127.0.0.1:8001", True),
    ("HTTP://127.0.0.1:8001", True),
    ("http://127.0.0.1:8000", False),
    ("http://127.0.0.1", False),
    ("http://localhost:8001", False),
    ("http://evil.example.com", False),
    ("http://127.0.0.1:8001.evil.net", False),
    ("http://user@127.0.0.1:8001", False),
    ("file://127.0.0.1:8001", False),
    ("null", False),
    ("", False),
    ("http://[", False),
]


@pytest.mark.parametrize(("origin", "own"), ORIGINS)
def test_an_origin_is_own_if_it_names_the_host_that_was_asked(origin: str, own: bool) -> None:
    assert is_own_origin(origin, "127.0.0.1:8001") is own


AUTHORIZATIONS = [
    ("Bearer abc", "abc"),
    ("bearer abc", "abc"),
    ("Bearer  abc ", "abc"),
    ("Bearer", None),
    ("Bearer ", None),
    ("Bearer a b", None),
    ("Basic abc", None),
    ("", None),
    ("abc", None),
]


@pytest.mark.parametrize(("header", "token"), AUTHORIZATIONS)
def test_only_one_bearer_token_is_read(header: str, token: str | None) -> None:
    assert read_bearer_token(header) == token
