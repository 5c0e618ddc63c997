from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from compartmentd.tokens import key as module_of_keys
from compartmentd.tokens.key import DEVELOPMENT_PREFIX, UnusableKey, bind_public_key
from tests.tokens.forge import (
    SECRET,
    entry,
    jwk,
    jwks,
    keys_of,
    pem,
    private_key,
)

RSA, P256, P384, P521, ED = (private_key(kind) for kind in ("rsa", "p256", "p384", "p521", "ed25519"))
ALL = ("RS256", "PS512", "ES256", "ES384", "ES512", "EdDSA")


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


def test_the_thumbprint_of_a_key_on_a_curve_covers_both_coordinates() -> None:
    # RFC 9449, 4.1 and 6.1
    rfc9449 = {
        "kty": "EC",
        "crv": "P-256",
        "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
        "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
    }
    [key] = keys_of(entry(algorithms=("ES256",)), jwks(rfc9449))
    assert key.thumbprint == "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


def test_a_key_of_the_most_bits_is_taken_and_a_larger_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits are at the key's own size here, since making a key of 16,384 bits takes minutes."""
    public, size = RSA.public_key(), RSA.key_size
    who = entry(algorithms=("RS256",))
    for limit, other, value, code in (
        ("MOST_RSA_BITS", "LEAST_RSA_BITS", size - 1, "key.too-large"),
        ("LEAST_RSA_BITS", "MOST_RSA_BITS", size + 1, "key.too-weak"),
    ):
        monkeypatch.setattr(module_of_keys, other, size)
        monkeypatch.setattr(module_of_keys, limit, size)
        assert bind_public_key(who, public, None, None).algorithms == ("RS256",)
        monkeypatch.setattr(module_of_keys, limit, value)
        with pytest.raises(UnusableKey, match=f"the RSA key has {size} bits") as caught:
            bind_public_key(who, public, None, None)
        assert caught.value.code == code


def test_all_algorithms_of_a_key_are_named_where_none_is_allowed() -> None:
    with pytest.raises(UnusableKey, match="the key cannot verify `ES256`") as caught:
        bind_public_key(entry(algorithms=("ES256",)), RSA.public_key(), None, None)
    names = ("PS256", "PS384", "PS512", "RS256", "RS384", "RS512")
    assert all(f"`{name}`" in caught.value.help for name in names)


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
