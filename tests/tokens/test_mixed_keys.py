"""A secret beside public keys in one entry: no key verifies an algorithm of the other kind."""

from __future__ import annotations

import hmac
import json

import pytest

from compartmentd.policy.codes import Code
from compartmentd.tokens.entry import KeyKind, KeySource
from compartmentd.tokens.jwk_set import read_jwk_set
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.local_keys import KeyMaterial, read_all_keys
from compartmentd.tokens.rejected import MissingKey, Rejected
from compartmentd.tokens.verify import Verified, verify
from tests.tokens.forge import (
    NOW,
    SECRET,
    SPAN,
    claims,
    encode,
    entry,
    jwk,
    jwks,
    name_case,
    pem,
    private_key,
    sign,
)

RSA, P256 = private_key("rsa"), private_key("p256")
ALGORITHMS = ("HS256", "HS384", "HS512", "RS256", "PS256", "ES256", "EdDSA")
LONG = SECRET * 3
SET = jwks(jwk(RSA.public_key(), kid="r"), jwk(P256.public_key(), kid="e"))


def mixed(kind: KeyKind, content: bytes) -> KeySet:
    """Return the keys of an entry with a source of public keys and a secret."""
    sources = (KeySource(kind, "public", SPAN), KeySource("secret_file", "secret", SPAN))
    who = entry(sources=sources, algorithms=ALGORITHMS)
    material = [
        KeyMaterial(entry=who.name, source=source, content=each)
        for source, each in zip(sources, (content, LONG), strict=True)
    ]
    keys, problems = read_all_keys([who], material)
    assert problems == ()
    return KeySet.build([who], keys)


SETS = [mixed("jwks_file", SET), mixed("public_key_file", pem(RSA) + pem(P256))]


@pytest.mark.parametrize("keys", SETS, ids=["jwks_file", "public_key_file"])
@pytest.mark.parametrize(
    ("algorithm", "key"),
    [("HS256", LONG), ("HS512", LONG), ("RS256", RSA), ("PS256", RSA), ("ES256", P256)],
    ids=name_case,
)
def test_tokens_of_both_kinds_are_accepted(keys: KeySet, algorithm: str, key: object) -> None:
    assert isinstance(
        verify(sign({"alg": algorithm}, claims(), algorithm, key), keys, "connect", NOW), Verified
    )


CONFUSED = [
    pem(RSA),
    pem(RSA).strip(),
    pem(P256),
    SET,
    json.dumps(jwk(RSA.public_key())).encode(),
    json.dumps(jwk(RSA.public_key(), kid="r")).encode(),
    RSA.public_key().public_numbers().n.to_bytes(256, "big"),
    b"",
]


@pytest.mark.parametrize("keys", SETS, ids=["jwks_file", "public_key_file"])
@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("kid", [None, "r", "e"])
def test_a_public_key_is_no_secret(keys: KeySet, algorithm: str, kid: str | None) -> None:
    header = {"alg": algorithm} if kid is None else {"alg": algorithm, "kid": kid}
    for material in CONFUSED:
        # PyJWT refuses to sign with such a key, so the forger computes the HMAC itself.
        result = verify(sign_by_hmac(header, material), keys, "connect", NOW)
        assert isinstance(result, Rejected)
        assert (result.code, result.reason) == (Code.TOKEN_INVALID, "bad_signature")


def sign_by_hmac(header: dict[str, str], material: bytes) -> str:
    unsigned = sign(header, claims(), header["alg"], LONG).rpartition(".")[0]
    digest = hmac.digest(material, unsigned.encode(), f"sha{header['alg'][2:]}")
    return f"{unsigned}.{encode(digest)}"


def test_a_symmetric_key_of_a_set_is_never_a_key() -> None:
    who = entry(algorithms=("HS256", "ES256"))
    read = read_jwk_set(
        who, jwks({"kty": "oct", "k": encode(SECRET), "alg": "HS256"}, jwk(P256.public_key()))
    )
    assert [key.algorithms for key in read.keys] == [("ES256",)]
    assert [problem.code for problem in read.problems] == ["key.private"]


def fetched(*, with_keys: bool) -> KeySet:
    """Return the keys of an entry with a secret beside keys that are fetched."""
    sources = (
        KeySource("jwks_url", "https://id.example.com/keys", SPAN),
        KeySource("secret_file", "s", SPAN),
    )
    who = entry(sources=sources, algorithms=ALGORITHMS)
    keys, _ = read_all_keys([who], [KeyMaterial(entry=who.name, source=sources[1], content=LONG)])
    return KeySet.build([who], (*keys, *(read_jwk_set(who, SET).keys if with_keys else ())))


@pytest.mark.parametrize("with_keys", [True, False])
def test_a_token_of_the_secret_never_brings_a_fetch(with_keys: bool) -> None:
    keys = fetched(with_keys=with_keys)
    good = sign({"alg": "HS256"}, claims(), "HS256", LONG)
    assert isinstance(verify(good, keys, "connect", NOW), Verified)
    forged = verify(sign_by_hmac({"alg": "HS256", "kid": "new"}, pem(RSA)), keys, "connect", NOW)
    assert isinstance(forged, Rejected)
    assert (forged.reason, forged.missing) == ("bad_signature", None)


def test_until_the_public_keys_are_fetched_their_tokens_are_worth_trying_again() -> None:
    token = sign({"alg": "ES256", "kid": "e"}, claims(), "ES256", P256)
    early = verify(token, fetched(with_keys=False), "connect", NOW)
    assert isinstance(early, Rejected)
    assert (early.code, early.reason) == (Code.KEYS_UNAVAILABLE, "no_keys")
    assert early.missing == MissingKey(entry().name, "e")
    assert isinstance(verify(token, fetched(with_keys=True), "connect", NOW), Verified)
    none = verify(sign({"alg": "none"}, claims(), "HS256", LONG), fetched(with_keys=False), "connect", NOW)
    assert isinstance(none, Rejected)
    assert none.reason == "wrong_algorithm"
