from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed448
from msgspec import structs

from compartmentd.problems import Problem
from compartmentd.tokens import keyfile
from compartmentd.tokens.keyset import DEVELOPMENT_PREFIX, read_keys
from tests.tokens.forge import (
    SECRET,
    SPAN,
    entry,
    jwk,
    jwks,
    keys_of,
    name_case,
    pem,
    private_key,
    private_pem,
)

RSA, P256, P384, P521, ED = (private_key(kind) for kind in ("rsa", "p256", "p384", "p521", "ed25519"))
ALL = ("RS256", "PS512", "ES256", "ES384", "ES512", "EdDSA")


def problems_of(kind: str, material: bytes, **settings: Any) -> list[tuple[str, str]]:
    read = read_keys(entry(kind=kind, **settings), material)
    assert read, "neither a key nor a problem"
    for problem in read:
        assert isinstance(problem, Problem)
        assert problem.severity == "error"
        assert problem.span == SPAN
        assert problem.help
    return [(problem.code, problem.message) for problem in read]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("key", "algorithms"),
    [
        (RSA, ("RS256", "PS512")),
        (P256, ("ES256",)),
        (P384, ("ES384",)),
        (P521, ("ES512",)),
        (ED, ("EdDSA",)),
    ],
)
def test_a_key_is_bound_to_the_allowed_algorithms_that_it_fits(key: Any, algorithms: tuple[str, ...]) -> None:
    from_pem = keys_of(entry(kind="public_key_file", algorithms=ALL), pem(key))
    from_jwks = keys_of(entry(algorithms=ALL), jwks(jwk(key.public_key(), kid="k")))
    assert [(k.kid, k.algorithms) for k in from_pem] == [(None, algorithms)]
    assert [(k.kid, k.algorithms) for k in from_jwks] == [("k", algorithms)]
    assert from_pem[0].thumbprint == from_jwks[0].thumbprint


def test_thumbprints_are_those_of_the_standards() -> None:
    # RFC 7638, 3.1 and RFC 8037, appendix A.3
    rfc7638 = {
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJE"
        "CPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2Q"
        "vzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6"
        "WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        "e": "AQAB",
        "alg": "RS256",
        "kid": "2011-04-29",
    }
    rfc8037 = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    keys = keys_of(entry(algorithms=ALL), jwks(rfc7638, rfc8037))
    assert keys[0].thumbprint == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    assert keys[1].thumbprint == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


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
    "passed_over",
    [
        jwk(P256.public_key(), use="enc"),
        jwk(P256.public_key(), key_ops=["encrypt", "wrapKey"]),
        jwk(P256.public_key(), key_ops="verify"),
        jwk(P384.public_key(), alg="ES384"),
        jwk(P384.public_key()),
        jwk(private_key("k256").public_key()),
        {"kty": "OKP", "crv": "X25519", "x": "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo"},
        {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"},
        {"kty": ["RSA"]},
        {"kty": "EC", "crv": {"a": 1}},
        {},
    ],
    ids=lambda key: str(sorted(key))[:60],
)
def test_what_is_not_for_us_is_passed_over(passed_over: dict[str, Any]) -> None:
    who = entry(algorithms=("ES256",))
    good = jwk(P256.public_key(), kid="good", use="sig", key_ops=["verify"], x5c=["nonsense"], x5u="file:///")
    assert [key.kid for key in keys_of(who, jwks(passed_over, good))] == ["good"]
    assert problems_of("jwks_file", jwks(passed_over), algorithms=("ES256",)) == [
        ("key.none-usable", "none of the 1 keys is for signatures by `ES256`")
    ]


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
    found = problems_of("jwks_file", jwks(jwk(P256.public_key()), member))
    assert len(found) == 1
    assert found[0][0] == code
    assert found[0][1].startswith("key 2")
    assert part in found[0][1]


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
        ("key.none-usable", "none of the 0 keys is for signatures by `ES256`")
    ]


ED448 = ed448.Ed448PrivateKey.generate()


@pytest.mark.parametrize(
    ("material", "code"),
    [
        (b"", "key.unusable"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "key.unusable"),
        (jwks(P256), "key.unusable"),
        (pem(ED448), "key.unusable"),
        (pem(private_key("k256")), "key.unusable"),
        (private_pem(P256), "key.private"),
        (pem(P256) + private_pem(P256), "key.private"),
        (pem(private_key("rsa", "weak", 1024)), "key.too-weak"),
        (pem(P384), "key.algorithm"),
    ],
    ids=name_case,
)
def test_a_bad_public_key_file_is_a_problem(material: bytes, code: str) -> None:
    found = problems_of("public_key_file", material, algorithms=("RS256", "ES256"))
    assert [problem for problem, _ in found] == [code]


@pytest.mark.parametrize("kind", ["secret_file", "secret_env"])
def test_a_secret_is_the_bytes_less_one_final_newline(kind: str) -> None:
    for material, secret in [(SECRET, SECRET), (SECRET + b"\n", SECRET), (SECRET + b"\n\n", SECRET + b"\n")]:
        (key,) = keys_of(entry(kind=kind), material)
        assert key.material == secret
        assert (key.kid, key.algorithms) == (None, ("HS256",))


@pytest.mark.parametrize(
    ("material", "algorithms", "code"),
    [
        (b"x" * 31, ("HS256",), "secret.too-short"),
        (b"x" * 31 + b"\n", ("HS256",), "secret.too-short"),
        (b"", ("HS256",), "secret.too-short"),
        (b"x" * 63, ("HS256", "HS512"), "secret.too-short"),
        (b"x" * 47, ("HS384",), "secret.too-short"),
        (pem(RSA), ("HS256",), "secret.is-a-key"),
        (json.dumps({"kty": "oct", "k": "A" * 43}).encode(), ("HS256",), "secret.is-a-key"),
        (b"x" * 64, ("RS256",), "key.algorithm"),
    ],
    ids=name_case,
)
def test_a_bad_secret_is_a_problem(material: bytes, algorithms: tuple[str, ...], code: str) -> None:
    found = problems_of("secret_file", material, algorithms=algorithms)
    assert [problem for problem, _ in found] == [code]


def test_a_secret_of_exactly_the_least_length_is_taken() -> None:
    assert keys_of(entry(kind="secret_file"), b"x" * 32)
    assert keys_of(entry(kind="secret_file", algorithms=("HS512",)), b"x" * 64)


def test_no_mixing_of_a_secret_with_public_keys() -> None:
    mixed = ("RS256", "HS256")
    assert keys_of(entry(kind="secret_file", algorithms=mixed), SECRET)[0].algorithms == ("HS256",)
    assert keys_of(entry(kind="public_key_file", algorithms=mixed), pem(RSA))[0].algorithms == ("RS256",)


@pytest.mark.parametrize("key", [RSA, P256, ED], ids=["rsa", "p256", "ed25519"])
def test_a_private_key_is_refused_whatever_its_members_are_called(
    monkeypatch: pytest.MonkeyPatch, key: Any
) -> None:
    """The second check, for a kind of key whose private members the first one does not know."""
    monkeypatch.setattr(keyfile, "_PRIVATE_MEMBERS", ())
    (problem,) = read_keys(entry(algorithms=ALL), jwks(jwk(key, key_ops=...)))
    assert isinstance(problem, Problem)
    assert "private key" in problem.message


def test_no_text_form_of_a_key_holds_its_material() -> None:
    secret = keys_of(entry(kind="secret_file"), SECRET)[0]
    assert SECRET.decode() not in f"{secret} {secret!r} {secret.thumbprint} {[secret]}"
    assert "corp" in repr(secret)


@pytest.mark.parametrize(
    "changed",
    [{"kid": "other"}, {"algorithms": ("PS256",)}, {"thumbprint": "x"}, {"issuer": "https://x.example"}],
)
def test_a_key_is_identified_by_all_that_decides_about_a_token(changed: dict[str, Any]) -> None:
    (key,) = keys_of(entry(kind="public_key_file"), pem(RSA))
    again = keys_of(entry(kind="public_key_file"), pem(RSA))[0]
    assert key.identity == again.identity
    assert structs.replace(key, **changed).identity != key.identity


def test_thumbprints_of_secrets_differ_and_are_no_plain_hash() -> None:
    one, other = (keys_of(entry(kind="secret_file"), secret)[0] for secret in (SECRET, SECRET[::-1]))
    assert one.thumbprint != other.thumbprint
    assert one.thumbprint == keys_of(entry("b", kind="secret_env"), SECRET)[0].thumbprint
    assert one.thumbprint.startswith("secret:")


def test_a_development_key_is_known_by_its_beginning() -> None:
    material = DEVELOPMENT_PREFIX + b"x" * 40
    assert keys_of(entry(kind="secret_file"), material)[0].development
    assert not keys_of(entry(kind="secret_file"), b"x" + material)[0].development
    assert not keys_of(entry(), jwks(P256))[0].development
