"""Distinguishes security events from access tokens, whatever their header is (RFC 8417, 4.5; RFC 8725, 3.12)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
"""The member of `events` that makes a token a logout token (OpenID Connect Back-Channel Logout 1.0, 2.4)."""

_EVENTS = ("http://schemas.openid.net/event/", "https://schemas.openid.net/secevent/")


def is_security_event(claims: Mapping[str, Any]) -> bool:
    """Return whether the claims are those of a security event: a logout, or one of the Shared Signals.

    It is recognised by its event instead of its `typ`: older providers send logout tokens without `typ`, and if the
    client's id is also the audience of access tokens, nothing else distinguishes the two.
    """
    events = claims.get("events")
    return isinstance(events, dict) and any(name.startswith(_EVENTS) for name in events)
