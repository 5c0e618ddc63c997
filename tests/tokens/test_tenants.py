"""Entries for several tenants: each token is of one tenant, which its issuer, its subject and its key agree on."""

from __future__ import annotations

from typing import Any

import pytest

from compartmentd.policy.codes import Code
from compartmentd.tokens.entry import IssuerEntry, KeySource, fill_tenant
from compartmentd.tokens.jwk_set import read_jwk_set
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.rejected import Rejected, RejectReason
from compartmentd.tokens.verify import Verified, verify
from tests.tokens import forge
from tests.tokens.forge import NOW, claims, jwk, jwks, private_key, sign

ISSUER = "https://login.example/{tenantid}/v2.0"


def entry(**settings: Any) -> IssuerEntry:
    """Return an entry for the tenants `red` and `blue`, whose keys may name an issuer."""
    source = KeySource("jwks_url", "https://login.example/keys", forge.SPAN)
    given = {"issuer": ISSUER, "tenants": ("red", "blue"), "sources": (source,), "keys_name_issuers": True}
    return forge.entry(**{**given, **settings})


def key_set(who: IssuerEntry, **members: Any) -> KeySet:
    public = jwk(private_key("p256").public_key(), kid="k", **members)
    return KeySet.build([who], read_jwk_set(who, jwks(public)).keys)


def judged(who: IssuerEntry, tenant: str, key_members: dict[str, Any], **more: Any) -> Verified | Rejected:
    content = claims(iss=fill_tenant(ISSUER, tenant), **{"tid": tenant, **more})
    token = sign({"alg": "ES256", "typ": "JWT", "kid": "k"}, content, "ES256", private_key("p256"))
    return verify(token, key_set(who, **key_members), "connect", NOW)


def test_an_entry_has_one_issuer_for_each_tenant() -> None:
    assert entry().issuers == ("https://login.example/red/v2.0", "https://login.example/blue/v2.0")
    assert entry(issuer="https://corp.example.com", tenants=()).issuers == ("https://corp.example.com",)


@pytest.mark.parametrize("tenant", ["red", "blue"])
def test_a_subject_is_unique_within_its_tenant_alone(tenant: str) -> None:
    verified = judged(entry(), tenant, {}, sub="ann")
    assert isinstance(verified, Verified)
    assert verified.subject.sub == f"{tenant}/ann"
    assert verified.claims["iss"] == f"https://login.example/{tenant}/v2.0"


@pytest.mark.parametrize("tid", ["blue", "RED", "", None, 7, ["red"]])
def test_the_tenant_claim_must_be_that_of_the_issuer(tid: Any) -> None:
    rejected = judged(entry(), "red", {}, tid=tid)
    assert isinstance(rejected, Rejected)
    assert rejected.reason is RejectReason.BAD_SUBJECT


def test_another_tenant_is_named_as_the_cause() -> None:
    rejected = judged(entry(), "green", {})
    assert isinstance(rejected, Rejected)
    assert rejected.code is Code.TOKEN_INVALID
    assert rejected.reason is RejectReason.UNKNOWN_ISSUER
    assert "`https://login.example/green/v2.0`, is not in `tenants` of `corp`" in rejected.detail


@pytest.mark.parametrize(
    ("issuer", "accepted"),
    [
        (ISSUER, ("red", "blue")),
        ("https://login.example/red/v2.0", ("red",)),
        ("https://login.example/green/v2.0", ()),
        ("https://login.example/{tenantid}/v1.0", ()),
    ],
)
@pytest.mark.parametrize("tenant", ["red", "blue"])
def test_a_key_that_names_an_issuer_signs_for_no_other(
    issuer: str, accepted: tuple[str, ...], tenant: str
) -> None:
    result = judged(entry(), tenant, {"issuer": issuer})
    assert isinstance(result, Verified) == (tenant in accepted)
    if isinstance(result, Rejected):
        assert result.reason is RejectReason.UNKNOWN_KEY
        assert result.detail.endswith("is for another issuer's tokens")
        assert result.missing is not None, "its provider may publish one by now"


@pytest.mark.parametrize("tid", [None, 7])
def test_without_a_tenant_no_such_key_signs(tid: Any) -> None:
    result = judged(entry(), "red", {"issuer": ISSUER}, tid=tid)
    assert isinstance(result, Rejected)
    assert result.reason is RejectReason.UNKNOWN_KEY


def test_other_entries_ignore_the_issuer_of_a_key() -> None:
    who = entry(keys_name_issuers=False)
    assert isinstance(judged(who, "red", {"issuer": "https://elsewhere.example"}), Verified)


@pytest.mark.parametrize("name", ["nonce", "at_hash"])
def test_a_claim_that_only_id_tokens_of_the_vendor_have_rejects_a_token(name: str) -> None:
    who = entry(never=("nonce", "at_hash"))
    rejected = judged(who, "red", {}, **{name: "x"})
    assert isinstance(rejected, Rejected)
    assert rejected.reason is RejectReason.WRONG_TYPE
    assert rejected.detail.startswith(f"the token has `{name}`, which only ID tokens")
    assert isinstance(judged(entry(never=("c_hash",)), "red", {}, **{name: "x"}), Verified)


def test_a_token_without_what_access_tokens_of_the_vendor_have_is_rejected() -> None:
    who = entry(always=("azp",))
    rejected = judged(who, "red", {})
    assert isinstance(rejected, Rejected)
    assert rejected.reason is RejectReason.WRONG_TYPE
    assert rejected.detail.startswith("the token has no `azp`, as its provider's ID tokens")
    assert isinstance(judged(who, "red", {}, azp="web"), Verified)
