"""Reads JSON Web Key Sets (RFC 7517), from files and from providers.

A bad key is a problem. It is left out and the others are used, since the mistake is the provider's; in a file a
private key is an error all the same. Keys that are merely not for us are ignored, as RFC 7517, 5 requires: unknown
kinds of keys, keys for encryption, and keys for algorithms that the entry does not allow.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.exceptions import InvalidKeyError

from compartmentd.problems import Problem
from compartmentd.tokens.entry import REMOTE, IssuerEntry, KeySource
from compartmentd.tokens.key import (
    Key,
    UnusableKey,
    bind_public_key,
    build_key_problem,
    build_private_error,
    select_algorithms,
)
from compartmentd.tokens.material import PublicKey, find_algorithms, normalize_algorithm
from compartmentd.tokens.rejected import quote, quote_list
from compartmentd.util.strict_json import JsonError, read_object

_READERS = {"RSA": RSAAlgorithm.from_jwk, "EC": ECAlgorithm.from_jwk, "OKP": OKPAlgorithm.from_jwk}
_CURVES = {"EC": ("P-256", "P-384", "P-521"), "OKP": ("Ed25519",)}
_PRIVATE_MEMBERS = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")


class JwkSet(msgspec.Struct, frozen=True):
    """The content of a JWK set for an entry: usable keys, and the problems of other keys or of the whole set."""

    keys: tuple[Key, ...] = ()
    problems: tuple[Problem, ...] = ()


def read_jwk_set(entry: IssuerEntry, material: bytes, source: KeySource | None = None) -> JwkSet:
    """Read a JWK set at once, where nothing else waits for the loop."""
    steps = read_jwk_set_in_steps(entry, material, source)
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            read: JwkSet = finished.value
            return read


def read_jwk_set_in_steps(
    entry: IssuerEntry, material: bytes, source: KeySource | None = None
) -> Generator[None, None, JwkSet]:
    """Read a JWK set key by key, so that the caller can let other work run at each `yield`.

    A set without a usable key has a problem that says so. `source` is the entry's source that holds the set, by
    default its first one.
    """
    source = source or entry.sources[0]
    try:
        members = _read_members(source, material)
    except UnusableKey as bad:
        return JwkSet(problems=(build_key_problem(source, bad),))
    keys, problems = [], []
    for number, jwk in enumerate(members, 1):
        yield
        try:
            key = _read_jwk(entry, jwk)
        except UnusableKey as bad:
            problems.append(build_key_problem(source, bad, f"key {_name_key(jwk, number)}: "))
        else:
            keys.extend([] if key is None else [key])
    if not keys and not problems:
        problems.append(build_key_problem(source, _build_none_usable_error(entry, members)))
    return JwkSet(tuple(keys), tuple(problems))


def _read_members(source: KeySource, material: bytes) -> list[Mapping[str, Any]]:
    what = "the answer" if source.kind in REMOTE else "the file"
    try:
        keys = read_object(material).get("keys")
    except JsonError as bad:
        raise UnusableKey("key.unusable", f"{what} {bad}", _JWKS_FORM) from None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise UnusableKey("key.unusable", f"{what} is not a JSON Web Key Set", _JWKS_FORM)
    return keys


_JWKS_FORM = 'it must have the form `{"keys": [...]}`, as the issuer publishes it at its `jwks_uri`'
_AS_PUBLISHED = "take the file as the issuer publishes it"


def _read_jwk(entry: IssuerEntry, jwk: Mapping[str, Any]) -> Key | None:
    """Return the key, or `None` if it is not for us."""
    if jwk.get("kty") == "oct" or any(member in jwk for member in _PRIVATE_MEMBERS):
        raise build_private_error("it is a private or symmetric key")
    if not _is_for_signatures(jwk):
        return None
    algorithm, kid = jwk.get("alg"), jwk.get("kid")
    issuer = jwk.get("issuer") if entry.keys_name_issuers else None
    if not all(isinstance(name, str | None) for name in (algorithm, kid, issuer)):
        raise UnusableKey("key.unusable", "`alg`, `kid` and `issuer` must be strings", _AS_PUBLISHED)
    if "x5c" in jwk and jwk["kty"] == "RSA" and "n" not in jwk:
        raise UnusableKey(
            "key.unusable", "it has only a certificate (`x5c`) and no `n` and `e`", _AS_PUBLISHED
        )
    key = _load_jwk(jwk)
    only = None if algorithm is None else normalize_algorithm(algorithm)
    if only is not None and only not in find_algorithms(key):
        raise UnusableKey(
            "key.algorithm",
            f"its `alg` is {quote(str(algorithm))}, which its kind of key cannot do",
            f"such a key does {quote_list(sorted(find_algorithms(key)))}",
        )
    if not select_algorithms(entry, find_algorithms(key) if only is None else {only}):
        return None
    return msgspec.structs.replace(bind_public_key(entry, key, kid, only), issuer=issuer)


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
        raise UnusableKey(
            "key.unusable", "its numbers do not form a key of its kind", _AS_PUBLISHED
        ) from None
    if not isinstance(key, PublicKey):
        raise build_private_error("it is a private key")
    return key


def _name_key(jwk: Mapping[str, Any], number: int) -> str:
    kid = jwk.get("kid")
    return f"{number} (kid {quote(kid)})" if isinstance(kid, str) else str(number)


def _build_none_usable_error(entry: IssuerEntry, members: Sequence[Mapping[str, Any]]) -> UnusableKey:
    if not members:
        return UnusableKey("key.none-usable", "it has no keys", _AS_PUBLISHED)
    causes = [
        f"key {_name_key(jwk, number)} {_explain_unfit(entry, jwk)}"
        for number, jwk in enumerate(members[:_MOST_TOLD], 1)
    ]
    more = f" and {len(members) - _MOST_TOLD} more" if len(members) > _MOST_TOLD else ""
    return UnusableKey(
        "key.none-usable",
        f"none of the {len(members)} keys can verify a token: {'; '.join(causes)}{more}",
        "allow the algorithms that the issuer signs with, under `algorithms`, or take another key set of its",
    )


_MOST_TOLD = 3


def _explain_unfit(entry: IssuerEntry, jwk: Mapping[str, Any]) -> str:
    """Return why a well-formed key is not for us."""
    kind, use = jwk.get("kty"), jwk.get("use", "sig")
    if kind not in tuple(_READERS):
        return f"is of the kind {quote(str(kind))}"
    if jwk.get("crv") not in _CURVES.get(str(kind), (None,)):
        return f"is on the curve {quote(str(jwk.get('crv')))}, which no algorithm here uses"
    if use != "sig":
        return f"is for `use` {quote(str(use))}, not for signatures (`sig`)"
    if not _is_for_signatures(jwk):
        return "is not for verifying, by its `key_ops`"
    return f"is for none of {quote_list(entry.algorithms)}"
