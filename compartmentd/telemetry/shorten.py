"""Bounds the texts of clients, and omits tokens from them, wherever an operator reads what a client sent.

A client may put anything anywhere: a token lands in a path, in the name of a namespace, room or event.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

LONGEST = 256
"""Characters that are shown of a text from a client, and of a claim's value as JSON."""

OMITTED = "(omitted: it looks like a token)"

_JWS = re.compile(r"eyJ[A-Za-z0-9_-]{10}")
"""The beginning of the header of every JWS: `{"` in base64url (RFC 7515, 3.3)."""

_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")

_RUN = re.compile(r"[A-Za-z0-9_+=~.-]{32,}")
"""Runs that may be an opaque token: 24 random bytes have 32 characters in base64. Shorter ones are mostly ids."""

_HEX = re.compile(r"[0-9A-Fa-f]{40,}")

_WORD = re.compile(r"[A-Za-z0-9]{12,}")
"""Parts of a run in which a mixture of cases and digits is none of words, such as `roomOfTeam7`."""


def shorten(text: str) -> str:
    """Return the beginning of a name that the policy knows; one that may contain a signed token is omitted."""
    return OMITTED if _has_signed_token(text) else _cut(text)


def shorten_unknown(text: str) -> str:
    """Return the beginning of a text that the policy does not know; opaque tokens are omitted, too.

    Rooms and subjects that a provider names may look like opaque tokens, so this is not for them.
    """
    return OMITTED if _has_signed_token(text) or _has_opaque_token(text) else _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _has_signed_token(text: str) -> bool:
    return _JWS.search(_decode(text)) is not None


def _has_opaque_token(text: str) -> bool:
    """Return whether a text holds many random characters in a row; UUIDs, short ids and words are none."""
    plain = _UUID.sub(" ", _decode(text))
    return _HEX.search(plain) is not None or any(_is_random(run) for run in _RUN.findall(plain))


def _decode(text: str) -> str:
    """Return a text without percent-encoding, in which a token could be hidden."""
    return unquote(text) if "%" in text else text


def _is_random(run: str) -> bool:
    return any(
        any(map(str.isdigit, word)) and any(map(str.isupper, word)) and any(map(str.islower, word))
        for word in _WORD.findall(run)
    )
