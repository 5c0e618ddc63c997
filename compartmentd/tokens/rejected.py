"""The rejection of a token: a code for the client, a reason and a sentence for the operator.

The client gets only the code. The sentence says what must change. Of the token it names only `iss`, `aud`,
`typ` and `alg` (quoted and bounded, so that they cannot break a log line): no other claim, and never the token
itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

import msgspec

from compartmentd.names import EntryName
from compartmentd.policy.codes import Code

_LONGEST_QUOTE = 120


class RejectReason(StrEnum):
    """Stable words for logs, metrics and searches, one for each cause that an operator can act on."""

    NOT_A_JWT = "not_a_jwt"
    TOO_LONG = "too_long"
    BAD_HEADER = "bad_header"
    BAD_PAYLOAD = "bad_payload"
    CRITICAL_HEADER = "critical_header"
    UNKNOWN_ISSUER = "unknown_issuer"
    NOT_FOR_THIS_USE = "not_for_this_use"
    NOT_ACCEPTED_HERE = "not_accepted_here"
    NO_KEYS = "no_keys"
    WRONG_TYPE = "wrong_type"
    WRONG_ALGORITHM = "wrong_algorithm"
    UNKNOWN_KEY = "unknown_key"
    AMBIGUOUS_KEY = "ambiguous_key"
    BAD_SIGNATURE = "bad_signature"
    BAD_TIME = "bad_time"
    EXPIRED = "expired"
    TOO_OLD = "too_old"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_AUDIENCE = "wrong_audience"
    BAD_SUBJECT = "bad_subject"
    REQUIREMENT = "requirement"
    KEY_REMOVED = "key_removed"
    LOGGED_OUT = "logged_out"
    REVOKED = "revoked"
    NO_LOGOUT_EVENT = "no_logout_event"
    HAS_NONCE = "has_nonce"
    REPLAYED = "replayed"
    TOO_MANY_FAILED = "too_many_failed"


class MissingKey(NamedTuple):
    """A key that a token needs, and that its provider may publish by now.

    `kid` is `None` if the token names none.
    """

    entry: EntryName
    kid: str | None


class KeyStatus(StrEnum):
    """The status of a key that is not known."""

    PENDING = "pending"
    """A running fetch may bring it."""

    ABSENT = "absent"
    """The provider does not have it, or did not have it when its keys were fetched a moment ago."""

    LATER = "later"
    """Unknown: the provider did not answer, and is asked again soon."""


class Rejected(msgspec.Struct, frozen=True):
    """A token that is not accepted; the client gets `code` alone.

    `missing` is set if the token may be accepted once the keys of its entry have been fetched again.
    """

    code: Code
    reason: RejectReason
    detail: str
    missing: MissingKey | None = None


def reject(reason: RejectReason, detail: str) -> Rejected:
    """Return a rejection as `token_invalid`, where trying again cannot help."""
    return Rejected(Code.TOKEN_INVALID, reason, detail)


def quote(text: str) -> str:
    """Return a text in backticks, bounded, with unprintable characters escaped."""
    short = text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…"
    return "`" + "".join(map(_escape, short)) + "`"


def _escape(character: str) -> str:
    if character == "`":
        return "'"
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")


def quote_list(texts: Iterable[str], most: int = 5) -> str:
    """Return several texts, quoted and separated by commas, the first `most` of them."""
    known = list(texts)
    shown = ", ".join(quote(text) for text in known[:most])
    return shown if len(known) <= most else f"{shown} and {len(known) - most} more"
