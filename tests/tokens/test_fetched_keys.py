"""Key sets that were fetched: one bad key does not take the others with it, and what is missing may come."""

from __future__ import annotations

from typing import Any

import pytest

from compartmentd.names import EntryName
from compartmentd.policy.codes import Code
from compartmentd.tokens.entry import IssuerEntry, KeySource
from compartmentd.tokens.jwk_set import JwkSet, read_jwk_set_in_steps
from compartmentd.tokens.key import Key
from compartmentd.tokens.keyfile import read_keys
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.rejected import MissingKey, Rejected, RejectReason
from compartmentd.tokens.verify import Verified, verify
from tests.tokens import forge
from tests.tokens.forge import NOW, claims, jwk, jwks, private_key, sign

CORP = EntryName("corp")


def entry(name: str = "corp", **settings: Any) -> IssuerEntry:
    source = KeySource("jwks_url", f"https://{name}.example.com/jwks", forge.SPAN)
    return forge.entry(name, sources=(source,), **settings)


def read(material: bytes, **settings: Any) -> JwkSet:
    steps = read_jwk_set_in_steps(entry(**settings), material)
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            made: JwkSet = finished.value
            return made


def public(kind: str, name: str = "a", **members: Any) -> dict[str, Any]:
    return jwk(private_key(kind, name).public_key(), **members)


def keys_of(*members: dict[str, Any], **settings: Any) -> KeySet:
    return KeySet.build([entry(**settings)], read(jwks(*members), **settings).keys)


def signed(kind: str, algorithm: str, kid: str | None, name: str = "a") -> str:
    header = {"alg": algorithm, "typ": "JWT"} | ({} if kid is None else {"kid": kid})
    return sign(header, claims(), algorithm, private_key(kind, name))


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (jwk(private_key("p256", "x"), kid="x"), "key.private"),
        ({"kty": "oct", "k": "AAAA"}, "key.private"),
        (public("p256", alg="RS256"), "key.algorithm"),
        ({"kty": "RSA", "n": "!", "e": "AQAB"}, "key.unusable"),
        ({"kty": "RSA", "n": "_" * 2731, "e": "AQAB"}, "key.too-large"),
        (jwk(private_key("rsa", size=1024).public_key()), "key.too-weak"),
        (public("p256", kid=7), "key.unusable"),
    ],
)
def test_a_bad_key_among_good_ones_is_left_out_and_told(bad: dict[str, Any], code: str) -> None:
    made = read(jwks(bad, public("p256", kid="a")))
    assert [key.kid for key in made.keys] == ["a"]
    assert [problem.code for problem in made.problems] == [code]
    alone = read(jwks(bad))
    assert (alone.keys, [problem.code for problem in alone.problems]) == ((), [code])


@pytest.mark.parametrize(
    "material", [b"", b"<html>", b"{}", b'{"keys": 1}', b'{"keys": [1]}', b'{"keys": []}']
)
def test_a_set_without_a_usable_key_has_a_problem_and_no_keys(material: bytes) -> None:
    made = read(material)
    assert made.keys == ()
    assert len(made.problems) == 1
    assert "the file" not in made.problems[0].message


def test_a_file_with_the_same_bad_key_is_refused_as_a_whole() -> None:
    material = jwks(jwk(private_key("p256", "x"), kid="x"), public("p256", kid="a"))
    assert not any(isinstance(item, Key) for item in read_keys(forge.entry(), material))


def test_reading_stops_between_keys() -> None:
    steps = read_jwk_set_in_steps(entry(), jwks(*(public("p256", kid=str(number)) for number in range(5))))
    assert sum(1 for _ in steps) == 5


@pytest.mark.parametrize(
    ("kind", "algorithm"), [("rsa", "RS256"), ("rsa", "PS256"), ("p256", "ES256"), ("ed25519", "EdDSA")]
)
@pytest.mark.parametrize("kid", ["a", None])
def test_a_key_without_alg_does_what_its_kind_can_and_the_entry_allows(
    kind: str, algorithm: str, kid: str | None
) -> None:
    keys = keys_of(public(kind, kid="a"))
    assert isinstance(verify(signed(kind, algorithm, kid), keys, "connect", NOW), Verified)


def test_ed25519_by_its_new_name() -> None:
    keys = keys_of(public("ed25519", kid="a", alg="Ed25519"))
    header = {"alg": "Ed25519", "kid": "a"}
    token = sign(header, claims(), "EdDSA", private_key("ed25519", "a"))
    assert isinstance(verify(token, keys, "connect", NOW), Verified)


@pytest.mark.parametrize("kid", ["any", None])
def test_several_keys_without_kid_are_tried_each(kid: str | None) -> None:
    keys = keys_of(*(public("p256", name) for name in "abc"))
    for name in "abc":
        assert isinstance(verify(signed("p256", "ES256", kid, name), keys, "connect", NOW), Verified)
    assert isinstance(verify(signed("p256", "ES256", kid, "z"), keys, "connect", NOW), Rejected)


def test_several_keys_of_one_kid_are_tried_each() -> None:
    keys = keys_of(*(public("p256", name, kid="same") for name in "ab"), public("rsa", kid="same"))
    for name in "ab":
        assert isinstance(verify(signed("p256", "ES256", "same", name), keys, "connect", NOW), Verified)
    assert isinstance(verify(signed("rsa", "RS256", "same"), keys, "connect", NOW), Verified)


def test_two_issuers_with_one_kid_keep_to_their_own() -> None:
    second = entry("second")
    held = [*read(jwks(public("p256", "a", kid="same"))).keys]
    other = forge.keys_of(forge.entry("second"), jwks(public("p256", "b", kid="same")))
    keys = KeySet.build([entry(), second], [*held, *other])
    header = {"alg": "ES256", "kid": "same"}
    for issuer, own, foreign in (("corp", "a", "b"), ("second", "b", "a")):
        for name, good in ((own, True), (foreign, False)):
            body = claims(iss=f"https://{issuer}.example.com")
            judged = verify(sign(header, body, "ES256", private_key("p256", name)), keys, "connect", NOW)
            assert isinstance(judged, Verified) is good


@pytest.mark.parametrize(
    ("token", "reason", "missing"),
    [
        (("p256", "ES256", "new", "z"), RejectReason.UNKNOWN_KEY, MissingKey(CORP, "new")),
        (("p256", "ES256", "a", "z"), RejectReason.BAD_SIGNATURE, MissingKey(CORP, "a")),
        (("p256", "ES256", None, "z"), RejectReason.BAD_SIGNATURE, MissingKey(CORP, None)),
        (("rsa", "RS256", "new", "z"), RejectReason.UNKNOWN_KEY, MissingKey(CORP, "new")),
        (("rsa", "RS384", "new", "z"), RejectReason.WRONG_ALGORITHM, None),
    ],
)
def test_a_rejected_token_says_which_key_may_still_come(
    token: tuple[str, str, str | None, str], reason: RejectReason, missing: MissingKey | None
) -> None:
    judged = verify(signed(*token), keys_of(public("p256", kid="a")), "connect", NOW)
    assert isinstance(judged, Rejected)
    assert (judged.code, judged.reason, judged.missing) == (Code.TOKEN_INVALID, reason, missing)


def test_without_any_keys_it_is_not_the_tokens_fault() -> None:
    judged = verify(signed("p256", "ES256", "a"), KeySet.build([entry()]), "connect", NOW)
    assert isinstance(judged, Rejected)
    assert (judged.code, judged.missing) == (Code.KEYS_UNAVAILABLE, MissingKey(CORP, "a"))


def test_keys_in_a_file_are_what_they_are() -> None:
    keys = KeySet.build([forge.entry()], forge.keys_of(forge.entry(), jwks(public("p256", kid="a"))))
    judged = verify(signed("p256", "ES256", "new", "z"), keys, "connect", NOW)
    assert isinstance(judged, Rejected)
    assert judged.missing is None
