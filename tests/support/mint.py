"""Tokens as an identity provider would issue them, and the key files that the daemon checks them with."""

from __future__ import annotations

import functools
import json
import secrets
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

minted: list[str] = []
"""Every token made in this process; the daemon's logs are searched for them after each test."""


@functools.cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """Return a key pair, made once per name and process (making one takes a good part of a second)."""
    del name  # it tells one key from another, no more
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Issuer:
    """An identity provider, signing with RS256, or for `algorithm="HS256"` with a secret.

    `settings()` is its entry in the configuration, and `write_keys(directory)` writes the file that it names.
    """

    def __init__(
        self, name: str, *, algorithm: str = "RS256", audience: str = "realtime", key: str = "1"
    ) -> None:
        self.name = name
        self.algorithm = algorithm
        self.audience = audience
        self.url = f"https://{name}.example.com"
        self.kid = f"{name}-{key}"
        self.symmetric = algorithm.startswith("HS")
        self.secret = secrets.token_urlsafe(48) if self.symmetric else ""

    @property
    def file(self) -> str:
        """The key file's name, relative to the configuration."""
        return f"{self.name}.secret" if self.symmetric else f"{self.name}.jwks.json"

    def settings(self, **more: Any) -> dict[str, Any]:
        """Return the entry under `issuers`, with further keys."""
        source = "secret_file" if self.symmetric else "jwks_file"
        return {
            "issuer": self.url,
            "audience": self.audience,
            source: self.file,
            "algorithms": [self.algorithm],
            **more,
        }

    def write_keys(self, directory: Path) -> None:
        """Write the key file: the secret, or the public key as a JWK set."""
        (directory / self.file).write_text(self.secret + "\n" if self.symmetric else self.jwks())

    def jwks(self) -> str:
        """Return the public key as a JWK set (RFC 7517, 5)."""
        public = rsa_key(self.kid).public_key()
        jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(public))
        return json.dumps({"keys": [{**jwk, "kid": self.kid, "use": "sig", "alg": self.algorithm}]})

    def token(
        self, sub: str, /, *, lifetime: float = 3600, headers: dict[str, Any] | None = None, **claims: Any
    ) -> str:
        """Return a signed token; a claim given as `...` is left out, any other replaces the default."""
        now = int(time.time())
        body: dict[str, Any] = {
            "iss": self.url,
            "aud": self.audience,
            "sub": sub,
            "iat": now,
            "exp": now + lifetime,
            **claims,
        }
        payload = {name: value for name, value in body.items() if value is not ...}
        key: Any = self.secret if self.symmetric else rsa_key(self.kid)
        token = jwt.encode(
            payload, key, algorithm=self.algorithm, headers={"kid": self.kid, **(headers or {})}
        )
        minted.append(token)
        return token
