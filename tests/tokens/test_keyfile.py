from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ed448

from tests.tokens.forge import (
    SECRET,
    entry,
    jwks,
    keys_of,
    name_case,
    pem,
    private_key,
    private_pem,
    problems_of,
)

RSA, P256, P384 = (private_key(kind) for kind in ("rsa", "p256", "p384"))
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


@pytest.mark.parametrize(
    "text",
    [
        pem(RSA) + pem(P256),
        b"# the new one\n" + pem(RSA) + b"\n\n# the old one\n" + pem(P256) + b"end",
        (pem(RSA) + pem(P256) + pem(RSA)).replace(b"\n", b"\r\n"),
    ],
    ids=name_case,
)
def test_every_block_of_a_public_key_file_counts(text: bytes) -> None:
    who = entry(kind="public_key_file")
    assert [key.thumbprint for key in keys_of(who, text)] == [
        key.thumbprint for each in (RSA, P256) for key in keys_of(who, pem(each))
    ]


@pytest.mark.parametrize(
    ("text", "code", "begins"),
    [
        (pem(RSA) + pem(P384), "key.algorithm", "block 2 of 2: "),
        (
            pem(RSA) + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + pem(P256),
            "key.unusable",
            "block 2 of 3: ",
        ),
        (pem(private_key("rsa", "weak", 1024)) + pem(P256), "key.too-weak", "block 1 of 2: "),
        (pem(RSA) + private_pem(P256), "key.private", "the file holds a private key"),
        (
            b"".join(pem(private_key("p256", f"{n}")) for n in range(9)),
            "key.unusable",
            "the file holds 9 keys",
        ),
    ],
    ids=name_case,
)
def test_a_bad_block_is_named(text: bytes, code: str, begins: str) -> None:
    [(found, message)] = problems_of("public_key_file", text, algorithms=("RS256", "ES256"))
    assert found == code
    assert message.startswith(begins)


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
