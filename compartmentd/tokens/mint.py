"""Mints tokens for the playground with a development secret; it refuses every other key.

The only module of the package that uses randomness, in `make_development_secret`.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import jwt

from compartmentd.errors import UsageError
from compartmentd.tokens.entry import IssuerEntry
from compartmentd.tokens.key import DEVELOPMENT_PREFIX
from compartmentd.tokens.keyfile import extract_secret
from compartmentd.tokens.material import SECRET_BYTES
from compartmentd.tokens.rejected import quote

LIFETIME = 3600
"""Seconds until a minted token expires, unless its claims set `exp`."""


def make_development_secret() -> bytes:
    """Return the content of a new development key file: the prefix, 256 random bits, and a newline."""
    return DEVELOPMENT_PREFIX + secrets.token_urlsafe(32).encode("ascii") + b"\n"


def mint_token(entry: IssuerEntry, secret: bytes, claims: Mapping[str, Any], now: float) -> str:
    """Return a token of an entry with some claims.

    Args:
        entry: The entry.
        secret: The content of its key file.
        claims: The claims. `iss`, the audience, `iat`, `exp` and what the entry requires are added unless they are
            given, so `verify` accepts the token unless the claims prevent it.
        now: Wall time in seconds.

    Raises:
        UsageError: the entry has no development secret, or the claims are not JSON.
    """
    key = extract_secret(secret)
    algorithm = next((name for name in entry.algorithms if name in SECRET_BYTES), None)
    if algorithm is None or not key.startswith(DEVELOPMENT_PREFIX):
        raise UsageError(
            f"the entry {quote(entry.name)} has no development key: tokens are minted only with a secret "
            f"that `serve --dev` made (it begins with `{DEVELOPMENT_PREFIX.decode()}`)"
        )
    filled = {
        **entry.require,
        "iss": entry.issuer,
        entry.audience_claim: entry.audience[0],
        "iat": int(now),
        "exp": int(now) + LIFETIME,
        **claims,
    }
    try:
        return jwt.encode(filled, key, algorithm=algorithm, headers={"typ": _choose_type(entry)})
    except (TypeError, ValueError):
        raise UsageError("the claims cannot be written as a token: they must be plain JSON") from None


def _choose_type(entry: IssuerEntry) -> str:
    """Return a `typ` that the entry accepts; an empty one is left out of the header."""
    names = [name for name in entry.types if name is not None]
    return "" if not names else next((name for name in names if name.upper() == "JWT"), names[0])
