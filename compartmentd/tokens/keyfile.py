"""Reads the bytes of an entry's key source into keys, or into problems: PEM files, secrets and JWK sets."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import HMACAlgorithm
from jwt.exceptions import InvalidKeyError

from compartmentd.problems import Problem
from compartmentd.tokens.entry import SECRETS, IssuerEntry, KeySource
from compartmentd.tokens.jwk_set import JwkSet, read_jwk_set
from compartmentd.tokens.key import (
    Key,
    UnusableKey,
    bind_public_key,
    build_key_problem,
    build_no_algorithm_error,
    build_private_error,
    select_algorithms,
)
from compartmentd.tokens.material import (
    MAX_TRIED,
    SECRET_BYTES,
    PublicKey,
    compute_secret_thumbprint,
    find_algorithms,
)

_PEM_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
"""A block of a PEM file (RFC 7468, 3); text outside of blocks is a comment."""

_HS = HMACAlgorithm(HMACAlgorithm.SHA256)

_FITTING_KINDS = "use an RSA key, an EC key on P-256, P-384 or P-521, or Ed25519"


def extract_secret(material: bytes) -> bytes:
    """Return the secret in the bytes of a file or variable: all of them without a final newline."""
    return material.removesuffix(b"\n")


def read_keys(
    entry: IssuerEntry, material: bytes, source: KeySource | None = None
) -> tuple[Key | Problem, ...]:
    """Read the bytes of one of an entry's key sources.

    Args:
        entry: The entry.
        material: The bytes behind the source.
        source: The source; by default the entry's first one.

    Returns:
        The keys, at least one, and warnings about keys that are left out; or every problem, at least one of them an
        error. Problems stand at the place where the entry names the source.
    """
    source = source or entry.sources[0]
    if source.kind == "public_key_file":
        return _read_public_keys(entry, material, source)
    if source.kind not in SECRETS:
        return _read_jwk_file(read_jwk_set(entry, material, source))
    try:
        return (_read_secret(entry, material),)
    except UnusableKey as bad:
        return (build_key_problem(source, bad),)


def _read_jwk_file(found: JwkSet) -> tuple[Key | Problem, ...]:
    """Return the keys of a set, and a warning for each that is left out; only errors if none may be used."""
    if not found.keys or any(problem.code == "key.private" for problem in found.problems):
        return found.problems
    return (*found.keys, *(msgspec.structs.replace(each, severity="warning") for each in found.problems))


def _read_secret(entry: IssuerEntry, material: bytes) -> Key:
    secret = extract_secret(material)
    allowed = select_algorithms(entry, SECRET_BYTES)
    if not allowed:
        raise build_no_algorithm_error(entry, "a secret", SECRET_BYTES)
    _check_secret(secret, allowed)
    return Key(
        entry=entry.name,
        kid=None,
        algorithms=allowed,
        thumbprint=compute_secret_thumbprint(secret),
        material=secret,
    )


def _check_secret(secret: bytes, algorithms: Iterable[str]) -> None:
    for algorithm in algorithms:
        least = SECRET_BYTES[algorithm]
        if len(secret) < least:
            raise UnusableKey(
                "secret.too-short",
                f"the secret has {len(secret)} bytes, and {algorithm} needs at least {least}",
                f"make one with `openssl rand -base64 {least}`, here and at the issuer",
            )
    try:
        _HS.prepare_key(secret)
    except InvalidKeyError:
        # A public key as HMAC secret lets everyone sign (RFC 8725, 2.1).
        raise UnusableKey(
            "secret.is-a-key",
            "the secret is a PEM, DER, SSH or JSON Web Key, not a secret",
            "use `public_key_file` or `jwks_file` for keys",
        ) from None


def _read_public_keys(
    entry: IssuerEntry, material: bytes, source: KeySource
) -> tuple[Key, ...] | tuple[Problem, ...]:
    """Read every PEM block of a file: two of them are the old and the new key of a rotation."""
    if b"PRIVATE KEY" in material:
        return (build_key_problem(source, build_private_error("the file holds a private key")),)
    # Without a whole block the text is read as it is, for the error that says what it should be.
    blocks = [each[0] for each in _PEM_BLOCK.finditer(material)] or [material]
    keys: dict[str, Key] = {}
    problems = []
    for number, block in enumerate(blocks, 1):
        try:
            key = _read_public(entry, block)
        except UnusableKey as bad:
            place = f"block {number} of {len(blocks)}: " if len(blocks) > 1 else ""
            problems.append(build_key_problem(source, bad, place))
        else:
            keys.setdefault(key.thumbprint, key)  # the same key may stand there twice
    if len(keys) > MAX_TRIED:
        problems.append(build_key_problem(source, _build_too_many_error(len(keys))))
    return tuple(problems) or tuple(keys.values())


def _build_too_many_error(count: int) -> UnusableKey:
    return UnusableKey(
        "key.unusable",
        f"the file holds {count} keys, and at most {MAX_TRIED} are tried for a token",
        "remove the keys that sign no more, or use `jwks_file`, in which keys have names",
    )


def _read_public(entry: IssuerEntry, material: bytes) -> Key:
    try:
        key = load_pem_public_key(material)
    except (ValueError, UnsupportedAlgorithm):
        raise UnusableKey(
            "key.unusable",
            "the file is not a public key in PEM form",
            "it must begin with `-----BEGIN PUBLIC KEY-----`; "
            "`openssl x509 -pubkey -noout` takes it from a certificate",
        ) from None
    if not isinstance(key, PublicKey) or not find_algorithms(key):
        raise UnusableKey("key.unusable", "this kind of key cannot sign tokens", _FITTING_KINDS)
    return bind_public_key(entry, key, kid=None, only=None)
