"""Tokens for the load: RS256, a subject each, signed once and kept in the build directory for some hours.

Client `i` belongs to a group of every size that is measured, `SIZE-NUMBER` with NUMBER = i // SIZE, and its token
says so in the claim `groups`: who holds `50-3` may join the room `room:50-3`. So any run of SIZE clients that
begins at a multiple of SIZE fills one room, and a sender is one of its members.
"""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

BUILD = Path(__file__).parent / "build"
"""Files that runs keep for later ones; Git ignores the directory."""

ISSUER = "https://id.bench.example"
AUDIENCE = "bench"
SCOPE = "chat"
SIZES = (2, 50, 500, 5000)
COUNT = 20_000
LIFETIME = 12 * 3600
"""Seconds that a token counts."""

FRESH = 6 * 3600
"""Seconds for which kept tokens are taken: a run that begins then has hours left."""


class Tokens(NamedTuple):
    """The files of a run: tokens one a line, and the public key that they are checked by, in two forms."""

    file: Path
    jwks: Path
    pem: Path

    def read(self) -> list[str]:
        """Return the tokens; the one at `i` belongs to client `i`."""
        return self.file.read_text().split()


def room(size: int, number: int) -> str:
    """Return the name of the room of a group."""
    return f"room:{size}-{number}"


def claims(client: int, now: int) -> dict[str, Any]:
    """Return the claims of a client's token."""
    return {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": f"user-{client:05}",
        "scope": SCOPE,
        "groups": [f"{size}-{client // size}" for size in SIZES],
        "iat": now,
        "exp": now + LIFETIME,
    }


def _sign(pem: bytes, clients: range, now: int) -> str:
    """Return the tokens of some clients, one a line."""
    key: Any = load_pem_private_key(pem, None)
    sign = jwt.PyJWT().encode
    return "".join(
        sign(claims(client, now), key, algorithm="RS256", headers={"kid": "bench"}) + "\n"
        for client in clients
    )


def make(count: int = COUNT, directory: Path = BUILD) -> Tokens:
    """Return tokens for so many clients: kept ones if they are fresh, else new ones of a new key."""
    directory.mkdir(exist_ok=True)
    tokens = Tokens(*(directory / name for name in ("tokens.txt", "jwks.json", "public.pem")))
    if _usable(tokens, count):
        return tokens
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    tokens.jwks.write_text(json.dumps({"keys": [{**jwk, "kid": "bench", "use": "sig", "alg": "RS256"}]}))
    tokens.pem.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    now, part = int(time.time()), 500
    shares = [range(first, min(first + part, count)) for first in range(0, count, part)]
    # A signature takes some 0.7 ms: 20,000 of them are a matter of all cores.
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        lines = pool.map(_sign, [pem] * len(shares), shares, [now] * len(shares))
        tokens.file.write_text("".join(lines))
    return tokens


def _usable(tokens: Tokens, count: int) -> bool:
    """Return whether the kept tokens are enough, and fresh enough."""
    if not all(file.exists() for file in tokens) or time.time() - tokens.file.stat().st_mtime > FRESH:
        return False
    with tokens.file.open("rb") as lines:
        return sum(1 for _ in lines) >= count
