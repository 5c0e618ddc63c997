"""Says where a token lay that `token_from` does not read, for the log line of a refusal: names, never values."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from compartmentd.protocol.application import Handshake

_HEADER = "header"
_NAMES = ("token", "access_token", "id_token", "jwt", "auth_token")
_IN_AUTH = (
    *_NAMES,
    "accessToken",
    "idToken",
    "authToken",
    "bearer",
    "authorization",
    "Authorization",
    "Token",
)


class UsualPlace(NamedTuple):
    """A place where clients send tokens: `label` is its entry in `token_from`, `kind` and `name` are its parts."""

    label: str
    kind: str
    name: str


_PLACES = (
    UsualPlace(_HEADER, "header", "authorization"),
    *(UsualPlace(f"{kind}:{name}", kind, name) for kind in ("query", "cookie") for name in _NAMES),
)


def list_unread_places(token_from: tuple[str, ...]) -> list[UsualPlace]:
    """Return the places where clients send tokens and that `token_from` does not read."""
    return [place for place in _PLACES if place.label not in token_from]


def explain_missing_token(token_from: tuple[str, ...], auth: bytes | None, handshake: Handshake) -> str:
    """Return what a client without a token sent instead, and what to do; empty where nothing looks like a token.

    Args:
        token_from: The places that are read.
        auth: The payload of the CONNECT, as JSON.
        handshake: The first request, whose `noticed` are labels of `list_unread_places`.
    """
    found = list(_look_into_auth(auth, is_read="auth" in token_from))
    if _HEADER in token_from and handshake.headers.get("authorization"):
        found.append("the Authorization header does not begin with `Bearer `")
    found += [
        f"something lies in `{label}`, which server.token_from does not read" for label in handshake.noticed
    ]
    return "; ".join(found)


def _look_into_auth(auth: bytes | None, *, is_read: bool) -> list[str]:
    try:
        payload: Any = None if auth is None else msgspec.json.decode(auth)
    except (msgspec.DecodeError, RecursionError):
        return []
    if not isinstance(payload, dict) or not payload:
        return []
    if not is_read:
        return (
            ["`auth` has `token`, but server.token_from does not read auth"] if payload.get("token") else []
        )
    if "token" in payload:
        return ["`token` in `auth` is null"]
    other = next((name for name in _IN_AUTH if name in payload), None)
    return ["`auth` has no `token`" + ("" if other is None else f", but `{other}`: send it as `token`")]
