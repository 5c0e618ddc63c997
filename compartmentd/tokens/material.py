"""Key material: the algorithms of a key, its thumbprint, and the verification of a signature.

A key is bound to its algorithms when it is read, so that the `alg` of a token can choose only among those that the
operator allowed for exactly this kind of key (RFC 8725, 3.1): a public key is never used as an HMAC secret. PyJWT
provides the cryptography.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm, get_default_algorithms

PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
"""The shortest secret of each algorithm: the size of its hash (RFC 7518, 3.2)."""

LEAST_RSA_BITS = 2048
"""RFC 7518, 3.3 and 3.5."""

MOST_RSA_BITS = 8192
"""A key of twice this size would hold the loop for 5 ms a token, whether the signature is good or not."""

MAX_TRIED = 8
"""Keys tried for a token that names none: anyone can cause this many operations with public keys."""

_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}

ALGORITHMS = frozenset({*SECRET_BYTES, *_RSA, *_CURVES.values(), "EdDSA"})
"""All algorithms that an entry can allow; `none` is not among them."""

_VERIFIERS = {name: algorithm for name, algorithm in get_default_algorithms().items() if name in ALGORITHMS}


def normalize_algorithm(algorithm: str) -> str:
    """Return the name that is used here for an algorithm: `Ed25519` (RFC 9864) is `EdDSA` (RFC 8037)."""
    return "EdDSA" if algorithm == "Ed25519" else algorithm


def find_algorithms(key: PublicKey) -> frozenset[str]:
    """Return the algorithms that a key can verify; none for a curve that no algorithm uses."""
    if isinstance(key, RSAPublicKey):
        return _RSA
    if isinstance(key, EllipticCurvePublicKey):
        return frozenset({_CURVES[key.curve.name]} if key.curve.name in _CURVES else ())
    return frozenset({"EdDSA"})


def compute_thumbprint(key: PublicKey) -> str:
    """Return the key's JWK thumbprint with SHA-256 (RFC 7638, 3; RFC 8037, 2)."""
    if isinstance(key, RSAPublicKey):
        jwk = RSAAlgorithm.to_jwk(key, as_dict=True)
    elif isinstance(key, EllipticCurvePublicKey):
        jwk = ECAlgorithm.to_jwk(key, as_dict=True)
    else:
        jwk = OKPAlgorithm.to_jwk(key, as_dict=True)
    required = {name: jwk[name] for name in ("crv", "e", "kty", "n", "x", "y") if name in jwk}
    return _encode_base64url(hashlib.sha256(json.dumps(required, separators=(",", ":")).encode()).digest())


def compute_secret_thumbprint(secret: bytes) -> str:
    """Return a name for a secret that reveals nothing to anyone who cannot guess the secret.

    It is not the thumbprint of RFC 7638, which is the plain hash of the secret (section 7 there): this one is
    useless elsewhere, and cannot be mistaken for a public key's thumbprint.
    """
    digest = hmac.digest(secret, b"compartmentd: thumbprint of a secret", "sha256")
    return "secret:" + _encode_base64url(digest)


def verify_signature(algorithm: str, key: PublicKey | bytes, signed: bytes, signature: bytes) -> bool:
    """Return whether `signature` is a valid signature of `signed`; the key must be bound to `algorithm`."""
    return _VERIFIERS[algorithm].verify(signed, key, signature)


def _encode_base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
