"""Reads the bytes of a key source into keys, or into problems.

Anything that can only be a mistake or a danger is a problem: a private or symmetric key among public ones, a weak
key, an `alg` that its key cannot do. In a fetched set such a key is left out and the others are used, since the
mistake is the provider's. Keys that are merely not for us are ignored, as RFC 7517, 5 requires: unknown kinds of
keys, keys for encryption, and keys for algorithms that the entry does not allow. No message quotes key material.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from typing import Any

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.exceptions import InvalidKeyError

from compartmentd.names import EntryName
from compartmentd.problems import Problem
from compartmentd.tokens.entry import REMOTE, IssuerEntry
from compartmentd.tokens.material import (
    LEAST_RSA_BITS,
    MOST_RSA_BITS,
    SECRET_BYTES,
    PublicKey,
    compute_secret_thumbprint,
    compute_thumbprint,
    find_algorithms,
    normalize_algorithm,
)
from compartmentd.tokens.rejected import quote, quote_list
from compartmentd.util.strict_json import JsonError, read_object

DEVELOPMENT_PREFIX = b"compartmentd-development-"
"""The prefix of a secret that `serve --dev` made: accepted in the playground, refused everywhere else."""

_READERS = {"RSA": RSAAlgorithm.from_jwk, "EC": ECAlgorithm.from_jwk, "OKP": OKPAlgorithm.from_jwk}
_CURVES = {"EC": ("P-256", "P-384", "P-521"), "OKP": ("Ed25519",)}
_PRIVATE_MEMBERS = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
_HS = HMACAlgorithm(HMACAlgorithm.SHA256)


class Key(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """A key of one entry, bound to the algorithms that the entry allows and the key can do.

    `issuer` is the only issuer that it signs for, if the keys of its entry name issuers; `None` stands for any.
    `material` is opaque and may be secret: no text form of the key contains it.
    """

    entry: EntryName
    kid: str | None
    algorithms: tuple[str, ...]
    thumbprint: str
    material: PublicKey | bytes
    issuer: str | None = None

    def __repr__(self) -> str:
        """Return what a log or an assertion may show."""
        return f"Key(entry={self.entry!r}, kid={self.kid!r}, algorithms={self.algorithms!r})"

    @property
    def identity(self) -> tuple[str | None, tuple[str, ...], str, str | None]:
        """Everything in a key that decides about a token."""
        return self.kid, self.algorithms, self.thumbprint, self.issuer

    @property
    def development(self) -> bool:
        """Whether this is a development secret."""
        return isinstance(self.material, bytes) and self.material.startswith(DEVELOPMENT_PREFIX)


class _Unusable(Exception):
    """Carries the problem of one key within this module."""

    def __init__(self, code: str, message: str, help_: str) -> None:
        super().__init__(message)
        self.code, self.message, self.help = code, message, help_


def extract_secret(material: bytes) -> bytes:
    """Return the secret in the bytes of a file or variable: all of them without a final newline."""
    return material.removesuffix(b"\n")


def read_keys(entry: IssuerEntry, material: bytes) -> tuple[Key, ...] | tuple[Problem, ...]:
    """Read the bytes of an entry's key source.

    Args:
        entry: The entry.
        material: The bytes behind `entry.keys`.

    Returns:
        The keys, at least one; or every problem, each an error at the place where the entry names its keys.
    """
    if entry.keys.kind == "jwks_file":
        return _read_jwks(entry, material)
    read = _read_public if entry.keys.kind == "public_key_file" else _read_secret
    try:
        return (read(entry, material),)
    except _Unusable as bad:
        return (_build_problem(entry, bad),)


# --- secrets ------------------------------------------------------------------------------------------------


def _read_secret(entry: IssuerEntry, material: bytes) -> Key:
    secret = extract_secret(material)
    allowed = _select_algorithms(entry, SECRET_BYTES)
    if not allowed:
        raise _build_no_algorithm_error(entry, "a secret", SECRET_BYTES)
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
            raise _Unusable(
                "secret.too-short",
                f"the secret has {len(secret)} bytes, and {algorithm} needs at least {least}",
                f"make one with `openssl rand -base64 {least}`, here and at the issuer",
            )
    try:
        _HS.prepare_key(secret)
    except InvalidKeyError:
        # A public key as HMAC secret lets everyone sign (RFC 8725, 2.1).
        raise _Unusable(
            "secret.is-a-key",
            "the secret is a PEM, DER, SSH or JSON Web Key, not a secret",
            "use `public_key_file` or `jwks_file` for keys",
        ) from None


# --- public keys --------------------------------------------------------------------------------------------


def _read_public(entry: IssuerEntry, material: bytes) -> Key:
    if b"PRIVATE KEY" in material:
        raise _build_private_error("the file holds a private key")
    try:
        key = load_pem_public_key(material)
    except (ValueError, UnsupportedAlgorithm):
        raise _Unusable(
            "key.unusable",
            "the file is not a public key in PEM form",
            "it must begin with `-----BEGIN PUBLIC KEY-----`; "
            "`openssl x509 -pubkey -noout` takes it from a certificate",
        ) from None
    if not isinstance(key, PublicKey) or not find_algorithms(key):
        raise _Unusable("key.unusable", "this kind of key cannot sign tokens", _FITTING_KINDS)
    return _build_public_key(entry, key, kid=None, only=None)


_FITTING_KINDS = "use an RSA key, an EC key on P-256, P-384 or P-521, or Ed25519"


def _build_public_key(entry: IssuerEntry, key: PublicKey, kid: str | None, only: str | None) -> Key:
    _check_strength(key)
    fits = find_algorithms(key)
    allowed = _select_algorithms(entry, fits if only is None else fits & {only})
    if not allowed:
        raise _build_no_algorithm_error(entry, "the key", fits)
    return Key(
        entry=entry.name, kid=kid, algorithms=allowed, thumbprint=compute_thumbprint(key), material=key
    )


def _check_strength(key: PublicKey) -> None:
    if isinstance(key, RSAPublicKey) and key.key_size < LEAST_RSA_BITS:
        raise _Unusable(
            "key.too-weak",
            f"the RSA key has {key.key_size} bits, and at least {LEAST_RSA_BITS} are needed",
            "let the issuer sign with a stronger key",
        )
    if isinstance(key, RSAPublicKey) and key.key_size > MOST_RSA_BITS:
        raise _Unusable(
            "key.too-large",
            f"the RSA key has {key.key_size} bits, and at most {MOST_RSA_BITS} are taken",
            "let the issuer sign with a key that does not cost milliseconds to verify with",
        )


def _select_algorithms(entry: IssuerEntry, fits: Iterable[str]) -> tuple[str, ...]:
    fitting_names = set(fits)
    return tuple(
        dict.fromkeys(name for name in map(normalize_algorithm, entry.algorithms) if name in fitting_names)
    )


# --- JSON Web Key Sets (RFC 7517) ---------------------------------------------------------------------------


class JwkSet(msgspec.Struct, frozen=True):
    """The content of a JWK set for an entry: usable keys, and the problems of other keys or of the whole set."""

    keys: tuple[Key, ...] = ()
    problems: tuple[Problem, ...] = ()


def _read_jwks(entry: IssuerEntry, material: bytes) -> tuple[Key, ...] | tuple[Problem, ...]:
    read = read_jwk_set(entry, material)
    return read.problems or read.keys


def read_jwk_set(entry: IssuerEntry, material: bytes) -> JwkSet:
    """Read a JWK set at once, where nothing else waits for the loop."""
    steps = read_jwk_set_in_steps(entry, material)
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            read: JwkSet = finished.value
            return read


def read_jwk_set_in_steps(entry: IssuerEntry, material: bytes) -> Generator[None, None, JwkSet]:
    """Read a JWK set key by key, so that the caller can let other work run at each `yield`.

    A set without a usable key has a problem that says so.
    """
    try:
        members = _read_members(entry, material)
    except _Unusable as bad:
        return JwkSet(problems=(_build_problem(entry, bad),))
    keys, problems = [], []
    for number, jwk in enumerate(members, 1):
        yield
        try:
            key = _read_jwk(entry, jwk)
        except _Unusable as bad:
            problems.append(_build_problem(entry, bad, f"key {_name_key(jwk, number)}: "))
        else:
            keys.extend([] if key is None else [key])
    if not keys and not problems:
        problems.append(_build_problem(entry, _build_none_usable_error(entry, len(members))))
    return JwkSet(tuple(keys), tuple(problems))


def _read_members(entry: IssuerEntry, material: bytes) -> list[Mapping[str, Any]]:
    what = "the answer" if entry.keys.kind in REMOTE else "the file"
    try:
        keys = read_object(material).get("keys")
    except JsonError as bad:
        raise _Unusable("key.unusable", f"{what} {bad}", _JWKS_FORM) from None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise _Unusable("key.unusable", f"{what} is not a JSON Web Key Set", _JWKS_FORM)
    return keys


_JWKS_FORM = 'it must have the form `{"keys": [...]}`, as the issuer publishes it at its `jwks_uri`'
_AS_PUBLISHED = "take the file as the issuer publishes it"


def _read_jwk(entry: IssuerEntry, jwk: Mapping[str, Any]) -> Key | None:
    """Return the key, or `None` if it is not for us."""
    if jwk.get("kty") == "oct" or any(member in jwk for member in _PRIVATE_MEMBERS):
        raise _build_private_error("it is a private or symmetric key")
    if not _is_for_signatures(jwk):
        return None
    algorithm, kid = jwk.get("alg"), jwk.get("kid")
    issuer = jwk.get("issuer") if entry.keys_name_issuers else None
    if not all(isinstance(name, str | None) for name in (algorithm, kid, issuer)):
        raise _Unusable("key.unusable", "`alg`, `kid` and `issuer` must be strings", _AS_PUBLISHED)
    key = _load_jwk(jwk)
    only = None if algorithm is None else normalize_algorithm(algorithm)
    if only is not None and only not in find_algorithms(key):
        raise _Unusable(
            "key.algorithm",
            f"its `alg` is {quote(str(algorithm))}, which its kind of key cannot do",
            f"such a key does {quote_list(sorted(find_algorithms(key)))}",
        )
    if not _select_algorithms(entry, find_algorithms(key) if only is None else {only}):
        return None
    return msgspec.structs.replace(_build_public_key(entry, key, kid, only), issuer=issuer)


def _is_for_signatures(jwk: Mapping[str, Any]) -> bool:
    operations = jwk.get("key_ops", ["verify"])
    return (
        jwk.get("kty") in tuple(_READERS)  # a tuple: the value may be of any type
        and jwk.get("crv") in _CURVES.get(jwk["kty"], (None,))
        and jwk.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
    )


def _load_jwk(jwk: Mapping[str, Any]) -> PublicKey:
    try:
        key = _READERS[jwk["kty"]](dict(jwk))
    # All exceptions that PyJWT and cryptography raise for a malformed member: InvalidKeyError, and those of base64
    # and of the curve's equation.
    except (InvalidKeyError, ValueError, TypeError, KeyError, AttributeError, UnsupportedAlgorithm):
        raise _Unusable("key.unusable", "its numbers do not form a key of its kind", _AS_PUBLISHED) from None
    if not isinstance(key, PublicKey):
        raise _build_private_error("it is a private key")
    return key


# --- problems -----------------------------------------------------------------------------------------------


def _build_problem(entry: IssuerEntry, bad: _Unusable, prefix: str = "") -> Problem:
    return Problem("error", bad.code, prefix + bad.message, entry.keys.span, bad.help)


def _name_key(jwk: Mapping[str, Any], number: int) -> str:
    kid = jwk.get("kid")
    return f"{number} (kid {quote(kid)})" if isinstance(kid, str) else str(number)


def _build_private_error(message: str) -> _Unusable:
    return _Unusable(
        "key.private",
        message,
        "anyone who has it can sign tokens: give this daemon only public keys, and replace this one",
    )


def _build_no_algorithm_error(entry: IssuerEntry, what: str, fits: Iterable[str]) -> _Unusable:
    return _Unusable(
        "key.algorithm",
        f"{what} cannot verify {quote_list(entry.algorithms)}, all that {quote(entry.name)} allows",
        f"allow one of {quote_list(sorted(fits), most=10)}, or take another key",
    )


def _build_none_usable_error(entry: IssuerEntry, count: int) -> _Unusable:
    return _Unusable(
        "key.none-usable",
        f"none of the {count} keys is for signatures by {quote_list(entry.algorithms)}",
        "allow the algorithms that the issuer signs with, under `algorithms`",
    )
