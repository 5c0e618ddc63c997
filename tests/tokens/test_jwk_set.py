from __future__ import annotations

from typing import Any

import pytest

from compartmentd.problems import Problem
from compartmentd.tokens import jwk_set
from compartmentd.tokens.jwk_set import read_jwk_set
from compartmentd.tokens.keyfile import read_keys
from tests.tokens.forge import (
    entry,
    jwk,
    jwks,
    keys_of,
    name_case,
    pem,
    private_key,
    problems_of,
)

RSA, P256, P384, ED = (private_key(kind) for kind in ("rsa", "p256", "p384", "ed25519"))
ALL = ("RS256", "PS512", "ES256", "ES384", "ES512", "EdDSA")


def test_the_name_ed25519_is_understood_as_eddsa() -> None:
    material = jwks(jwk(ED.public_key(), alg="Ed25519"))
    assert keys_of(entry(algorithms=("EdDSA",)), material)[0].algorithms == ("EdDSA",)
    assert keys_of(entry(algorithms=("Ed25519",)), material)[0].algorithms == ("EdDSA",)


def test_a_key_for_another_algorithm_of_its_kind_is_passed_over() -> None:
    material = jwks(jwk(RSA.public_key(), kid="a", alg="PS512"), jwk(RSA.public_key(), kid="b", alg="RS256"))
    assert [key.kid for key in keys_of(entry(algorithms=("RS256",)), material)] == ["b"]


def test_the_alg_of_a_jwk_narrows_it() -> None:
    key = keys_of(entry(algorithms=("RS256", "PS256")), jwks(jwk(RSA.public_key(), alg="PS256")))[0]
    assert key.algorithms == ("PS256",)


@pytest.mark.parametrize(
    ("passed_over", "cause"),
    [
        (jwk(P256.public_key(), use="enc"), "is for `use` `enc`, not for signatures (`sig`)"),
        (jwk(P256.public_key(), use="jwt-svid"), "is for `use` `jwt-svid`, not for signatures (`sig`)"),
        (jwk(P256.public_key(), key_ops=["encrypt", "wrapKey"]), "is not for verifying, by its `key_ops`"),
        (jwk(P256.public_key(), key_ops="verify"), "is not for verifying, by its `key_ops`"),
        (jwk(P384.public_key(), alg="ES384"), "is for none of `ES256`"),
        (jwk(P384.public_key()), "is for none of `ES256`"),
        (
            jwk(private_key("k256").public_key()),
            "is on the curve `secp256k1`, which no algorithm here uses",
        ),
        (
            {"kty": "OKP", "crv": "X25519", "x": "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo"},
            "is on the curve `X25519`, which no algorithm here uses",
        ),
        ({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"}, "is of the kind `AKP`"),
        ({"kty": ["RSA"]}, "is of the kind `['RSA']`"),
        ({"kty": "EC", "crv": {"a": 1}}, "is on the curve `{'a': 1}`, which no algorithm here uses"),
        ({}, "is of the kind `None`"),
    ],
    ids=lambda value: str(sorted(value))[:60] if isinstance(value, dict) else value[:40],
)
def test_what_is_not_for_us_is_passed_over(passed_over: dict[str, Any], cause: str) -> None:
    who = entry(algorithms=("ES256",))
    good = jwk(P256.public_key(), kid="good", use="sig", key_ops=["verify"], x5c=["nonsense"], x5u="file:///")
    assert [key.kid for key in keys_of(who, jwks(passed_over, good))] == ["good"]
    assert problems_of("jwks_file", jwks(passed_over), algorithms=("ES256",)) == [
        ("key.none-usable", f"none of the 1 keys can verify a token: key 1 {cause}")
    ]


def test_of_many_keys_that_are_not_for_us_the_first_are_told() -> None:
    [(_, message)] = problems_of("jwks_file", jwks(*[{"kty": "AKP", "kid": f"{n}"} for n in range(5)]))
    assert message.endswith("key 3 (kid `2`) is of the kind `AKP` and 2 more")


@pytest.mark.parametrize(
    ("member", "code", "part"),
    [
        (jwk(RSA), "key.private", "private or symmetric"),
        (jwk(P256, use="enc"), "key.private", "private or symmetric"),
        (jwk(ED), "key.private", "private or symmetric"),
        ({"kty": "oct", "k": "AAAA"}, "key.private", "private or symmetric"),
        ({"kty": "oct"}, "key.private", "private or symmetric"),
        (jwk(RSA.public_key(), k="AAAA"), "key.private", "private or symmetric"),
        (jwk(private_key("rsa", "weak", 1024).public_key()), "key.too-weak", "1024 bits"),
        (jwk(RSA.public_key(), alg="ES256"), "key.algorithm", "`ES256`"),
        (jwk(RSA.public_key(), alg="HS256"), "key.algorithm", "`HS256`"),
        (jwk(P256.public_key(), alg="none"), "key.algorithm", "`none`"),
        (jwk(P384.public_key(), alg="ES256"), "key.algorithm", "`ES256`"),
        (jwk(RSA.public_key(), alg=256), "key.unusable", "must be strings"),
        (jwk(RSA.public_key(), kid=1), "key.unusable", "must be strings"),
        (jwk(RSA.public_key(), n=...), "key.unusable", "numbers"),
        ({"kty": "RSA", "x5c": ["MIIB"], "kid": "x"}, "key.unusable", "only a certificate (`x5c`)"),
        (jwk(RSA.public_key(), n=5), "key.unusable", "numbers"),
        (jwk(RSA.public_key(), n=None), "key.unusable", "numbers"),
        (jwk(RSA.public_key(), e="AQ"), "key.unusable", "numbers"),
        (jwk(RSA.public_key(), n="ä"), "key.unusable", "numbers"),
        (jwk(P256.public_key(), x="AAAA"), "key.unusable", "numbers"),
        (jwk(P256.public_key(), y=jwk(P256.public_key())["x"]), "key.unusable", "numbers"),
        (jwk(P256.public_key(), y=["a"]), "key.unusable", "numbers"),
        (jwk(ED.public_key(), x=...), "key.unusable", "numbers"),
        (jwk(ED.public_key(), x="AAAA"), "key.unusable", "numbers"),
    ],
)
def test_a_dangerous_or_broken_jwk_is_a_problem(member: dict[str, Any], code: str, part: str) -> None:
    *keys, problem = read_keys(entry(), jwks(jwk(P256.public_key(), kid="good"), member))
    assert isinstance(problem, Problem)
    assert problem.code == code
    assert problem.message.startswith("key 2")
    assert part in problem.message
    # In a file as in a fetched set the others count; a private key must not lie in a file at all.
    assert problem.severity == ("error" if code == "key.private" else "warning")
    assert len(keys) == (code != "key.private")
    [(alone, _)] = problems_of("jwks_file", jwks(member))
    assert alone == code


@pytest.mark.parametrize(
    ("key", "named"),
    [
        (RSA, "`PS256`, `PS384`, `PS512`"),
        (P384, "such a key does `ES384`"),
        (ED, "such a key does `EdDSA`"),
    ],
)
def test_what_a_key_can_do_is_said_where_its_alg_does_not_fit(key: Any, named: str) -> None:
    who = entry()
    [problem] = read_jwk_set(who, jwks(jwk(key.public_key(), alg="ES256"))).problems
    assert problem.help is not None
    assert named in problem.help


@pytest.mark.parametrize(("kind", "what"), [("jwks_url", "the answer"), ("jwks_file", "the file")])
def test_what_is_no_key_set_is_called_by_where_it_is_from(kind: str, what: str) -> None:
    for material in (b"{", b'{"keys": 5}'):
        [problem] = read_jwk_set(entry(kind=kind), material).problems
        assert problem.message.startswith(what)


def test_every_bad_jwk_is_reported_by_its_number_and_kid() -> None:
    material = jwks(jwk(RSA, kid="first"), jwk(P256.public_key(), kid="fine"), jwk(ED, kid="ev\nil"))
    assert [message for _, message in problems_of("jwks_file", material)] == [
        "key 1 (kid `first`): it is a private or symmetric key",
        "key 3 (kid `ev\\nil`): it is a private or symmetric key",
    ]


@pytest.mark.parametrize(
    ("material", "part"),
    [
        (b"", "is not JSON"),
        (b"\xff", "is not UTF-8"),
        (b"[]", "is not a JSON object"),
        (b'{"keys": [], "keys": []}', "names a member twice"),
        (b"{}", "not a JSON Web Key Set"),
        (b'{"keys": {}}', "not a JSON Web Key Set"),
        (b'{"keys": [1]}', "not a JSON Web Key Set"),
        (pem(P256), "is not JSON"),
    ],
    ids=name_case,
)
def test_a_file_that_is_no_key_set_is_a_problem(material: bytes, part: str) -> None:
    ((code, message),) = problems_of("jwks_file", material)
    assert code == "key.unusable"
    assert part in message


def test_an_empty_key_set_has_no_usable_key() -> None:
    assert problems_of("jwks_file", b'{"keys": []}', algorithms=("ES256",)) == [
        ("key.none-usable", "it has no keys")
    ]


@pytest.mark.parametrize("key", [RSA, P256, ED], ids=["rsa", "p256", "ed25519"])
def test_a_private_key_is_refused_whatever_its_members_are_called(
    monkeypatch: pytest.MonkeyPatch, key: Any
) -> None:
    """The second check, for a kind of key whose private members the first one does not know."""
    monkeypatch.setattr(jwk_set, "_PRIVATE_MEMBERS", ())
    (problem,) = read_keys(entry(algorithms=ALL), jwks(jwk(key, key_ops=...)))
    assert isinstance(problem, Problem)
    assert "private key" in problem.message
