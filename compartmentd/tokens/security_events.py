"""What tells security events from access tokens, whatever their header says (RFC 8417, 4.5; RFC 8725, 3.12)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
"""The member of `events` that makes a token a logout token (OpenID Connect Back-Channel Logout 1.0, 2.4)."""

_EVENTS = ("http://schemas.openid.net/event/", "https://schemas.openid.net/secevent/")


def is_security_event(claims: Mapping[str, Any]) -> bool:
    """Tell whether the claims are those of a security event: a logout, or one of the Shared Signals.

    By its event and not by `typ`: older providers send logout tokens without one, and where the client's id is
    the audience of access tokens, too, nothing else would tell the two apart.
    """
    events = claims.get("events")
    return isinstance(events, dict) and any(name.startswith(_EVENTS) for name in events)
