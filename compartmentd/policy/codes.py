"""The table of refusal and closing codes: the text that a client gets, and whether trying again can help.

Codes are stable and documented. Texts are fixed: they tell a client what to do and reveal nothing of the policy.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Code(StrEnum):
    """Why a request was refused, or a session ended."""

    INVALID_NAMESPACE = "invalid_namespace"
    INVALID_PAYLOAD = "invalid_payload"
    RATE_LIMITED = "rate_limited"
    UNKNOWN_ROOM = "unknown_room"
    NOT_A_MEMBER = "not_a_member"
    UNKNOWN_EVENT = "unknown_event"
    TOO_LARGE = "too_large"
    RULE_DENIED = "rule_denied"
    SCOPE_MISSING = "scope_missing"
    TOO_MANY = "too_many"
    ROOM_FULL = "room_full"
    TOKEN_MISSING = "token_missing"  # noqa: S105 - a code, not a secret
    TOKEN_INVALID = "token_invalid"  # noqa: S105 - a code, not a secret
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - a code, not a secret
    KEYS_UNAVAILABLE = "keys_unavailable"
    UNAVAILABLE = "unavailable"
    REVOKED = "revoked"
    LOGGED_OUT = "logged_out"
    POLICY_CHANGED = "policy_changed"
    SLOW = "slow"
    REPLACED = "replaced"


class Meaning(NamedTuple):
    """What a code tells a client: `retry` applies to a refusal, `retry_closing` to the end of a session."""

    text: str
    retry: bool = False
    retry_closing: bool = False


MEANINGS: dict[Code, Meaning] = {
    # Only the operator sees this one: the client gets Socket.IO's own answer, which has no code.
    Code.INVALID_NAMESPACE: Meaning("no such namespace"),
    Code.INVALID_PAYLOAD: Meaning("the request or its data does not have the declared form"),
    Code.RATE_LIMITED: Meaning("too many requests in a short time", retry=True),
    Code.UNKNOWN_ROOM: Meaning("no such kind of room"),
    Code.NOT_A_MEMBER: Meaning("join the room first"),
    Code.UNKNOWN_EVENT: Meaning("no such event here"),
    Code.TOO_LARGE: Meaning("the data is too large"),
    Code.RULE_DENIED: Meaning("not allowed"),
    Code.SCOPE_MISSING: Meaning("the token lacks a scope"),
    Code.TOO_MANY: Meaning("too many at once", retry=True),
    Code.ROOM_FULL: Meaning("the room is full", retry=True),
    Code.TOKEN_MISSING: Meaning("a token is needed"),
    Code.TOKEN_INVALID: Meaning("the token is not accepted"),
    Code.TOKEN_EXPIRED: Meaning("the token has expired", retry_closing=True),
    Code.KEYS_UNAVAILABLE: Meaning("the token cannot be checked right now", retry=True),
    Code.UNAVAILABLE: Meaning("this cannot be decided right now", retry=True),
    Code.REVOKED: Meaning("the token is no longer accepted"),
    Code.LOGGED_OUT: Meaning("the user has logged out"),
    Code.POLICY_CHANGED: Meaning("the policy no longer allows this"),
    Code.SLOW: Meaning("the connection fell too far behind", retry_closing=True),
    Code.REPLACED: Meaning("another session of this user has taken its place"),
}
"""INVARIANT: every code has a meaning (a test checks it)."""
