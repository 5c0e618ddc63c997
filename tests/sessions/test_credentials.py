from __future__ import annotations

import time

import pytest

from compartmentd.protocol.application import Handshake
from compartmentd.sessions.credentials import find_credential

EVERYWHERE = ("auth", "header", "cookie:session", "query:access_token")


def ask(
    auth: bytes | None = None,
    *,
    places: tuple[str, ...] = EVERYWHERE,
    authorization: tuple[str, ...] = (),
    cookie: tuple[str, ...] = (),
    query: tuple[str, ...] = (),
) -> str | None:
    """Return the token, `None` for none, or `!` for something that cannot be one."""
    headers = {"authorization": authorization, "cookie": cookie}
    found = find_credential(places, auth, Handshake("", headers, {"access_token": query}))
    return "!" if found.malformed else found.token


@pytest.mark.parametrize(
    ("given", "token"),
    [
        ({}, None),
        ({"auth": b"{}"}, None),
        ({"auth": b'{"token":null}'}, None),
        ({"auth": b'{"token":"a.b.c"}'}, "a.b.c"),
        ({"auth": b'{"token":"a","pid":"x","offset":"y","other":1}'}, "a"),
        ({"auth": b'{"token":""}'}, "!"),
        ({"auth": b'{"token":5}'}, "!"),
        ({"auth": b'{"token":["a"]}'}, "!"),
        ({"auth": b'{"token":false}'}, "!"),
        ({"auth": b'{"token":"\\ud800"}'}, "!"),
        ({"authorization": ("Bearer abc",)}, "abc"),
        ({"authorization": ("bearer  abc ",)}, "abc"),
        ({"authorization": ("Bearer ",)}, "!"),
        ({"authorization": ("Bearer",)}, "!"),
        ({"authorization": ("Basic abc",)}, None),
        ({"authorization": ("Bearer a", "Bearer b")}, "!"),
        ({"cookie": ("session=abc",)}, "abc"),
        ({"cookie": ('a=1; session="abc"; b=2',)}, "abc"),
        ({"cookie": (r'session="a\"\054\b"',)}, 'a",b'),
        ({"cookie": ('session="abc',)}, "!"),
        ({"cookie": ('session="a"bc"',)}, "!"),
        ({"cookie": ('session="abc\\"',)}, "!"),
        ({"cookie": ('session=""',)}, "!"),
        ({"cookie": ("session=",)}, "!"),
        ({"cookie": ("other=abc; xsession=d",)}, None),
        ({"cookie": ("session=a; session=b",)}, "!"),
        ({"query": ("abc",)}, "abc"),
        ({"query": ("",)}, "!"),
        ({"query": ("a", "a")}, "!"),
        ({"auth": b'{"token":"a"}', "authorization": ("Bearer a",)}, "!"),
        ({"authorization": ("Bearer a",), "cookie": ("session=a",)}, "!"),
        ({"auth": b'{"token":null}', "query": ("a",)}, "a"),
    ],
)
def test_one_token_in_one_place(given: dict[str, object], token: str | None) -> None:
    assert ask(**given) == token  # type: ignore[arg-type]  # a table of keyword arguments


def test_places_that_are_not_listed_are_not_looked_at() -> None:
    found = ask(
        b'{"token":"a"}',
        places=("auth",),
        authorization=("Bearer b",),
        cookie=("session=c",),
        query=("d",),
    )
    assert found == "a"
    assert ask(b'{"token":"a"}', places=("header",)) is None


@pytest.mark.parametrize("quoted", ["\\" * 15_000, r"\a" * 7_500, r"\0" * 7_500, '\\"' * 7_500, '"' * 15_000])
def test_a_cookie_of_escapes_takes_no_time(quoted: str):
    began = time.process_time()
    ask(cookie=(f'session="{quoted}"',))
    assert time.process_time() - began < 0.05
