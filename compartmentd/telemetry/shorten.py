"""Bounds the texts of clients, and omits tokens from them, wherever an operator reads what a client sent."""

from __future__ import annotations

import re

LONGEST = 256
"""Characters that are shown of a text from a client, and of a claim's value as JSON."""

_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{10}")
"""The beginning of the header of every JWS: `{"` in base64url (RFC 7515, 3.3)."""


def shorten(text: str) -> str:
    """Return the beginning of a text; a text that may contain a token, which clients put anywhere, is omitted."""
    if _TOKEN.search(text):
        return "(omitted: it looks like a token)"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
