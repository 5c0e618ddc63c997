"""The page of the codes that clients are told, from the table of codes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from compartmentd.policy.codes import MEANINGS, Code
from docs.generate.markdown import code, heading, join_page, table


class Advice(NamedTuple):
    """When a code is sent, and what helps."""

    when: str
    do: str


ADVICE: Mapping[Code, Advice] = {
    Code.INVALID_NAMESPACE: Advice(
        "The namespace is not declared. The client gets Socket.IO's own `Invalid namespace`, which has no "
        "code; this one stands in the log and in the metrics.",
        "Check the name that the client connects to; the log line has it in `name`.",
    ),
    Code.INVALID_PAYLOAD: Advice(
        "The request has arguments of the wrong number or type, or the data of an event does not satisfy "
        "its schema.",
        "Correct the call or the data.",
    ),
    Code.RATE_LIMITED: Advice(
        "`message_rate`, `byte_rate` or `join_rate` is exceeded, of the session or of the room.",
        "Wait for `after` milliseconds and send again.",
    ),
    Code.UNKNOWN_ROOM: Advice(
        "No template of the namespace fits the room's name.",
        "Check the name against the templates and the form of their parameters.",
    ),
    Code.NOT_A_MEMBER: Advice(
        "The session publishes to a room in which it is not, and `publish` requires `members`.",
        "Join the room first; after a reconnect, again.",
    ),
    Code.UNKNOWN_EVENT: Advice(
        "The room or namespace does not declare the event.", "Add the event to `events`, or correct its name."
    ),
    Code.TOO_LARGE: Advice("The data exceeds `message_size`.", "Send less, or raise the limit."),
    Code.RULE_DENIED: Advice(
        "The rule of the namespace, room or event is not true for this token.",
        "The log line with the `ref` of the refusal names the rule with its file and line.",
    ),
    Code.SCOPE_MISSING: Advice(
        "A rule wants a scope that the token does not have.",
        "Let the provider issue the token with the scope.",
    ),
    Code.TOO_MANY: Advice(
        "`rooms_per_session`, `sessions_per_user` or `namespaces_per_connection` is reached.",
        "Leave a room, or close a session, and try again.",
    ),
    Code.ROOM_FULL: Advice("The room's `capacity` is reached.", "Try again later."),
    Code.TOKEN_MISSING: Advice(
        "A token is needed here and none was sent.", "Sign in and send the token in `auth`."
    ),
    Code.TOKEN_INVALID: Advice(
        "The token does not pass a check: signature, issuer, audience, type, a required claim.",
        "`compartmentd explain-token` shows every check of a token.",
    ),
    Code.TOKEN_EXPIRED: Advice(
        "The token has expired, at the connect or during the session.",
        "Get a new token and connect again. To keep a session, answer `expiring` by `refresh`.",
    ),
    Code.KEYS_UNAVAILABLE: Advice(
        "The provider's keys could not be fetched, so that no signature can be checked.",
        "Try again later; the operator looks at `keys` in `compartmentd status`.",
    ),
    Code.UNAVAILABLE: Advice(
        "The server cannot decide right now.", "Try again later; the operator finds the cause in the log."
    ),
    Code.REVOKED: Advice("The operator has revoked the token.", "Sign in again."),
    Code.LOGGED_OUT: Advice("The identity provider has reported a logout.", "Sign in again."),
    Code.POLICY_CHANGED: Advice(
        "A reload of the configuration has taken the right away: sent with `left` and `closing`.",
        "Nothing; the configuration no longer allows it.",
    ),
    Code.SLOW: Advice(
        "More than `send_buffer` bytes wait for this client.",
        "Connect again after `after` milliseconds. If it happens often, see `volatile` events.",
    ),
    Code.REPLACED: Advice(
        "The user has `sessions_per_user` sessions, and a newer one was let in: sent with `closing`.",
        "Ask the user before you connect again: two clients that both reconnect replace each other.",
    ),
}
"""INVARIANT: every code has advice (held by a test)."""


def page() -> str:
    """Return the page of the codes."""
    return join_page(_lines())


def _lines() -> Iterator[str]:
    yield "# Codes for clients"
    yield ""
    yield "A refusal is `{ok: false, error: {code, message, retry, after?, ref?}}` in an acknowledgement,"
    yield "and `err.data` of `connect_error`. The end of a session is `closing` with `{code, retry,"
    yield "after?}`, the loss of a room is `left` with `{room, code}`. Codes are stable. Messages may be"
    yield "reworded; they never tell the policy."
    yield ""
    rows = [[f"[`{one}`](#{one})", meaning.text, _retry(one)] for one, meaning in MEANINGS.items()]
    yield from table(["code", "means", "worth another try"], rows)
    for one, meaning in MEANINGS.items():
        advice = ADVICE[one]
        yield from ("", heading(2, code(one), one), "")
        yield f"{meaning.text[0].upper()}{meaning.text[1:]}. {advice.when}"
        yield from ("", f"**What to do:** {advice.do}")


def _retry(one: Code) -> str:
    meaning = MEANINGS[one]
    if meaning.retry:
        return "yes"
    return "when the session ended by it" if meaning.retry_closing else "no"
