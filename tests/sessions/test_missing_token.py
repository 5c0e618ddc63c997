from __future__ import annotations

import pytest

from compartmentd.daemon.listeners import list_kept_parts
from compartmentd.protocol.application import Handshake
from compartmentd.sessions.missing_token import explain_missing_token
from compartmentd.transport.requests import trim_handshake

SECRET = "eyJhbGciOi.eyJzdWIi.c2lnbmF0dXJl"
QUERY = "something lies in `query:{}`, which server.token_from does not read"


@pytest.mark.parametrize(
    ("token_from", "auth", "headers", "query", "told"),
    [
        ("auth", None, {}, {}, ""),
        ("auth", "{}", {}, {}, ""),
        ("auth", "{", {}, {}, ""),
        ("auth", "[1]", {}, {}, ""),
        ("auth", '{"jwt": "SECRET"}', {}, {}, "`auth` has no `token`, but `jwt`: send it as `token`"),
        (
            "auth",
            '{"accessToken": 1}',
            {},
            {},
            "`auth` has no `token`, but `accessToken`: send it as `token`",
        ),
        ("auth", '{"SECRET": "SECRET"}', {}, {}, "`auth` has no `token`"),
        ("auth", '{"token": null}', {}, {}, "`token` in `auth` is null"),
        ("header", '{"jwt": "SECRET"}', {}, {}, ""),
        (
            "header",
            '{"token": "SECRET"}',
            {},
            {},
            "`auth` has `token`, but server.token_from does not read auth",
        ),
        ("auth", None, {}, {"token": "SECRET"}, QUERY.format("token")),
        ("auth", None, {}, {"access_token": "SECRET", "t": "SECRET"}, QUERY.format("access_token")),
        ("auth query:token", None, {}, {"jwt": "SECRET"}, QUERY.format("jwt")),
        ("auth", None, {"authorization": "Bearer SECRET"}, {}, QUERY.format("").replace("query:", "header")),
        (
            "auth header",
            None,
            {"authorization": "SECRET"},
            {},
            "the Authorization header does not begin with `Bearer `",
        ),
        ("auth", None, {"cookie": "a=b; jwt=SECRET"}, {}, QUERY.format("jwt").replace("query", "cookie")),
        ("auth cookie:jwt", None, {"cookie": "sid=SECRET"}, {}, ""),
        (
            "auth",
            '{"jwt": 1}',
            {},
            {"token": "SECRET"},
            f"`auth` has no `token`, but `jwt`: send it as `token`; {QUERY.format('token')}",
        ),
    ],
)
def test_where_a_token_lay_that_is_not_read_is_told_by_names_alone(
    token_from: str, auth: str | None, headers: dict[str, str], query: dict[str, str], told: str
) -> None:
    places = tuple(token_from.split())
    sent = Handshake(
        "",
        {name: (value.replace("SECRET", SECRET),) for name, value in headers.items()},
        {name: (value.replace("SECRET", SECRET),) for name, value in query.items()},
    )
    kept = trim_handshake(sent, list_kept_parts(places))
    payload = None if auth is None else auth.replace("SECRET", SECRET).encode()
    explained = explain_missing_token(places, payload, kept)
    assert explained == told
    assert "eyJ" not in explained + repr(kept.noticed)
