"""The pages of nine identity providers: each configuration loads, and decides by tokens of that vendor's shape.

The shapes are those of the vendors' documentation of access tokens; values are invented.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from compartmentd.configuration.compiler import load
from compartmentd.configuration.settings import Configuration
from compartmentd.names import EntryName, NamespaceName, RoomName
from compartmentd.policy.decide import decide
from compartmentd.policy.decision import Connect, Decision, Facts, Join, Reason
from compartmentd.policy.ruleset import Ruleset
from compartmentd.tokens.jwk_set import read_jwk_set
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.presets import PRESETS
from compartmentd.tokens.rejected import Rejected
from compartmentd.tokens.verify import Verified, build_principal, verify
from tests.support.cases import InMemory
from tests.support.markdown import block, page
from tests.tokens.forge import NOW, jwk, jwks, private_key, sign

RSA = private_key("rsa")
TIMES = {"iat": int(NOW) - 60, "exp": int(NOW) + 600}

JWT = {"alg": "RS256", "typ": "JWT", "kid": "k1"}
NO_TYP = {"alg": "RS256", "kid": "k1"}
RFC_9068 = {"alg": "RS256", "typ": "at+jwt", "kid": "k1"}

TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
PARTNER = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"
CONSUMERS = "9188040d-6c67-4c5b-b112-36a304b66dad"
GOOGLE = "https://www.googleapis.com/service_accounts/v1/jwk"
STAFF_GROUP = "0f3d8c1e-6b5a-4f5e-9c77-2f6f0b8f1a11"

KEYCLOAK = {
    **TIMES,
    "jti": "onrtac:5b2b4e0c",
    "iss": "https://id.example.com/realms/acme",
    "aud": ["realtime", "account"],
    "sub": "8a0c3a4e-1d1e-4c63-9d51-4be0b6a2a7c1",
    "typ": "Bearer",
    "azp": "web",
    "sid": "f2b1c0de",
    "acr": "1",
    "allowed-origins": ["https://app.example.com"],
    "realm_access": {"roles": ["offline_access", "staff"]},
    "resource_access": {"chat.api": {"roles": ["moderator"]}, "account": {"roles": ["view-profile"]}},
    "scope": "openid profile chat",
    "groups": ["/teams/blue"],
}
AUTH0 = {
    **TIMES,
    "iss": "https://acme.eu.auth0.com/",
    "sub": "auth0|507f1f77bcf86cd799439011",
    "aud": ["https://realtime.example.com", "https://acme.eu.auth0.com/userinfo"],
    "azp": "my_client_id",
    "scope": "openid profile",
    "permissions": ["chat:read", "chat:write"],
    "https://acme.example.com/roles": ["staff"],
}
OKTA = {
    **TIMES,
    "ver": 1,
    "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE",
    "iss": "https://acme.okta.com/oauth2/default",
    "aud": "api://default",
    "cid": "0oabucvyc38HLL1ef0h7",
    "uid": "00ucvyh8ZGKXN0ZlF0h7",
    "scp": ["openid", "chat"],
    "sub": "ann@example.com",
    "groups": ["Staff"],
}
ENTRA = {
    **TIMES,
    "nbf": int(NOW) - 60,
    "aud": "6e74172b-be56-4843-9ff4-e66a39bb12e3",
    "iss": f"https://login.microsoftonline.com/{TENANT}/v2.0",
    "azp": "0f0f0f0f-0000-4000-8000-000000000001",
    "azpacr": "0",
    "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474",
    "scp": "chat.read profile",
    "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
    "tid": TENANT,
    "groups": [STAFF_GROUP],
    "uti": "fqiBqXLPj0eQa82S-IYFAA",
    "ver": "2.0",
}
PARTNERS = {
    **ENTRA,
    "iss": f"https://login.microsoftonline.com/{PARTNER}/v2.0",
    "tid": PARTNER,
}
COGNITO = {
    **TIMES,
    "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
    "cognito:groups": ["staff"],
    "iss": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEfGhI",
    "version": 2,
    "client_id": "1example23456789",
    "origin_jti": "dddddddd-eeee",
    "token_use": "access",
    "scope": "aws.cognito.signin.user.admin",
    "auth_time": int(NOW) - 60,
    "jti": "eeeeeeee-ffff",
    "username": "ann",
}
FIREBASE = {
    **TIMES,
    "iss": "https://securetoken.google.com/acme-chat",
    "aud": "acme-chat",
    "auth_time": int(NOW) - 60,
    "user_id": "pXlKB2vW9nT",
    "sub": "pXlKB2vW9nT",
    "staff": True,
    "firebase": {"identities": {"email": ["ann@example.com"]}, "sign_in_provider": "password"},
}
AUTHENTIK = {
    **TIMES,
    "iss": "https://id.example.com/application/o/chat/",
    "sub": "a6f1c2",
    "aud": "pQ7xWnqZ0dTz",
    "azp": "pQ7xWnqZ0dTz",
    "auth_time": int(NOW) - 60,
    "acr": "goauthentik.io/providers/oauth2/default",
    "scope": "openid profile",
    "groups": ["staff"],
    "uid": "Yp0",
}
AUTHENTIK_ID = {**AUTHENTIK, "azp": ..., "scope": ..., "uid": ...}
ZITADEL_ROLES = "urn:zitadel:iam:org:project:roles"
ZITADEL = {
    **TIMES,
    "nbf": int(NOW) - 60,
    "iss": "https://acme.zitadel.cloud",
    "sub": "163840776835432705",
    "aud": ["280787386547961900@chat", "280787386547961873"],
    "client_id": "280787386547961900@chat",
    "jti": "V2_280",
    ZITADEL_ROLES: {"member": {"173890213486567425": "acme.example.com"}},
}
HYDRA = {
    **TIMES,
    "nbf": int(NOW) - 60,
    "iss": "https://id.example.com/",
    "aud": ["https://realtime.example.com"],
    "client_id": "9692d3f9",
    "ext": {"roles": ["staff"]},
    "jti": "c9a3",
    "scp": ["openid", "chat"],
    "sub": "ann",
}


def configuration_of(vendor: str) -> str:
    """Return the configuration on the vendor's page."""
    return block(page(f"guides/providers/{vendor}.md"), "yaml")


class Provider(NamedTuple):
    """The configuration of a vendor's page, loaded, with keys in place of those that would be fetched."""

    configuration: Configuration
    keys: KeySet

    @classmethod
    def of(cls, vendor: str, **members: Any) -> Provider:
        loaded = load(
            "compartments.yaml",
            InMemory({"compartments.yaml": configuration_of(vendor).encode()}),
            serving=True,
        )
        assert loaded.problems == ()
        assert loaded.configuration is not None
        material = jwks(jwk(RSA.public_key(), kid="k1", use="sig", **members))
        issuers = loaded.configuration.issuers
        keys = [key for entry in issuers for key in read_jwk_set(entry, material).keys]
        return cls(loaded.configuration, KeySet.build(issuers, keys))

    def verify(self, header: dict[str, Any], claims: dict[str, Any]) -> Verified | Rejected:
        claims = {name: value for name, value in claims.items() if value is not ...}
        return verify(sign(header, claims, "RS256", RSA), self.keys, "connect", NOW)

    def decide(self, claims: dict[str, Any], *, header: dict[str, Any], place: str) -> Decision:
        """Decide a connect (`/namespace`) or a join (`/namespace room`)."""
        verified = self.verify(header, claims)
        assert isinstance(verified, Verified), verified
        who = build_principal(verified, self.keys.entries[verified.subject.entry])
        name, _, room = place.partition(" ")
        namespace = NamespaceName(name)
        request = Join(namespace, RoomName(room)) if room else Connect(namespace)
        return decide(Ruleset.build(self.configuration.policy), who, request, Facts(), NOW)


@pytest.mark.parametrize("vendor", PRESETS)
def test_each_preset_has_a_page(vendor: str) -> None:
    assert f"preset: {vendor}\n" in configuration_of(vendor)
    assert f"({vendor}.md)" in page("guides/providers/index.md")
    assert Provider.of(vendor).configuration.issuers


# --- good tokens ----------------------------------------------------------------------------------------------

NO_ROLES: dict[str, Any] = {"realm_access": {"roles": []}, "resource_access": ...}
DECISIONS = [
    ("keycloak", JWT, KEYCLOAK, "/chat", None),
    ("keycloak", RFC_9068, KEYCLOAK, "/chat", None),
    ("keycloak", JWT, {**KEYCLOAK, "aud": "realtime"}, "/chat", None),
    ("keycloak", JWT, {**KEYCLOAK, "scope": "openid"}, "/chat", None),
    ("keycloak", JWT, {**KEYCLOAK, **NO_ROLES, "scope": "chat"}, "/chat", None),
    ("keycloak", JWT, {**KEYCLOAK, **NO_ROLES, "scope": "openid"}, "/chat", "rule_denied"),
    ("keycloak", JWT, {**KEYCLOAK, **NO_ROLES}, "/chat team:blue", None),
    ("keycloak", JWT, {**KEYCLOAK, **NO_ROLES}, "/chat team:red", "rule_denied"),
    ("keycloak", JWT, KEYCLOAK, "/chat team:red", None),
    ("auth0", JWT, AUTH0, "/chat", None),
    ("auth0", RFC_9068, {**AUTH0, "client_id": "x", "azp": ...}, "/chat", None),
    ("auth0", JWT, {**AUTH0, "permissions": ..., "scope": "chat:read"}, "/chat", None),
    ("auth0", JWT, {**AUTH0, "permissions": []}, "/chat", None),
    (
        "auth0",
        JWT,
        {**AUTH0, "permissions": [], "https://acme.example.com/roles": ...},
        "/chat",
        "rule_denied",
    ),
    ("auth0", JWT, AUTH0, "/chat lobby", None),
    (
        "auth0",
        JWT,
        {**AUTH0, "sub": "id@clients", "gty": "client-credentials"},
        "/chat lobby",
        "rule_denied",
    ),
    ("okta", NO_TYP, OKTA, "/chat", None),
    ("okta", NO_TYP, {**OKTA, "scp": ["openid"]}, "/chat", "scope_missing"),
    ("okta", NO_TYP, {**OKTA, "scp": "chat"}, "/chat", None),
    ("okta", NO_TYP, OKTA, "/chat lobby", None),
    ("okta", NO_TYP, {**OKTA, "uid": ...}, "/chat lobby", "rule_denied"),
    ("entra", JWT, ENTRA, "/chat", None),
    ("entra", JWT, ENTRA, "/staff", None),
    ("entra", JWT, ENTRA, "/guests", "rule_denied"),
    ("entra", JWT, {**ENTRA, "groups": []}, "/guests", None),
    ("entra", JWT, {**ENTRA, "scp": ..., "roles": ["Chat.Publish"], "idtyp": "app"}, "/chat", None),
    ("entra", JWT, PARTNERS, "/chat", None),
    ("entra", JWT, PARTNERS, "/staff", "token_invalid"),
    ("cognito", NO_TYP, COGNITO, "/chat", None),
    ("cognito", NO_TYP, {**COGNITO, "cognito:groups": ...}, "/chat", "rule_denied"),
    ("cognito", NO_TYP, {**COGNITO, "cognito:groups": ..., "scope": "realtime/chat"}, "/chat", None),
    ("firebase", JWT, FIREBASE, "/chat lobby", None),
    (
        "firebase",
        JWT,
        {**FIREBASE, "firebase": {"sign_in_provider": "anonymous"}},
        "/chat lobby",
        "rule_denied",
    ),
    ("authentik", JWT, AUTHENTIK, "/chat", None),
    ("authentik", JWT, {**AUTHENTIK, "groups": [], "scope": "chat"}, "/chat", None),
    ("authentik", JWT, {**AUTHENTIK, "nonce": "n"}, "/chat", None),
    ("authentik", JWT, {**AUTHENTIK, "groups": ["guests"]}, "/chat", "rule_denied"),
    ("zitadel", JWT, ZITADEL, "/chat", None),
    ("zitadel", JWT, ZITADEL, "/admin", "rule_denied"),
    (
        "zitadel",
        JWT,
        {**ZITADEL, ZITADEL_ROLES: {"admin": {"173890213486567425": "acme.example.com"}}},
        "/admin",
        None,
    ),
    ("zitadel", JWT, {**ZITADEL, ZITADEL_ROLES: {"admin": {"1": "evil.example"}}}, "/admin", "rule_denied"),
    ("zitadel", JWT, {**ZITADEL, ZITADEL_ROLES: [{"member": {"1": "x"}}]}, "/chat", "rule_denied"),
    ("hydra", JWT, HYDRA, "/chat", None),
    ("hydra", JWT, {**HYDRA, "scp": ["openid"]}, "/chat", None),
    ("hydra", JWT, {**HYDRA, "scp": "openid chat", "ext": {}}, "/chat", None),
    ("hydra", JWT, {**HYDRA, "scp": ..., "scope": "chat", "ext": {}}, "/chat", None),
    ("hydra", JWT, {**HYDRA, "scp": [], "ext": {}, "roles": ["staff"]}, "/chat", None),
    ("hydra", JWT, {**HYDRA, "scp": [], "ext": {}}, "/chat", "rule_denied"),
]


@pytest.mark.parametrize(
    ("vendor", "header", "claims", "place", "code"),
    DECISIONS,
    ids=[f"{row[0]}-{number}" for number, row in enumerate(DECISIONS)],
)
def test_a_token_of_the_vendors_shape_is_decided_by(
    vendor: str, header: dict[str, Any], claims: dict[str, Any], place: str, code: str | None
) -> None:
    decision = Provider.of(vendor).decide(claims, header=header, place=place)
    assert decision.code == code, decision.reasons


def test_every_vendor_is_let_in_and_kept_out_by_something() -> None:
    outcomes = {(vendor, code is None) for vendor, _, _, _, code in DECISIONS}
    assert outcomes == {(vendor, allowed) for vendor in PRESETS for allowed in (True, False)}


# --- bad tokens -----------------------------------------------------------------------------------------------

BAD = [
    ("keycloak", JWT, {**KEYCLOAK, "typ": "ID", "aud": "realtime"}, "requirement"),
    ("keycloak", JWT, {**KEYCLOAK, "typ": "Refresh"}, "requirement"),
    ("keycloak", JWT, {**KEYCLOAK, "aud": "account"}, "wrong_audience"),
    ("keycloak", NO_TYP, KEYCLOAK, "wrong_type"),
    ("keycloak", JWT, {**KEYCLOAK, "iss": "https://id.example.com/realms/acme/"}, "unknown_issuer"),
    ("auth0", JWT, {**AUTH0, "aud": "my_client_id", "nonce": "n"}, "wrong_type"),
    ("auth0", JWT, {**AUTH0, "aud": "https://acme.eu.auth0.com/userinfo"}, "wrong_audience"),
    ("auth0", JWT, {**AUTH0, "iss": "https://acme.eu.auth0.com"}, "unknown_issuer"),
    ("okta", JWT, OKTA, "wrong_type"),
    ("okta", NO_TYP, {**OKTA, "iss": "https://acme.okta.com"}, "unknown_issuer"),
    ("okta", NO_TYP, {**OKTA, "aud": "0oabucvyc38HLL1ef0h7"}, "wrong_audience"),
    ("okta", NO_TYP, {**OKTA, "at_hash": "x"}, "wrong_type"),
    ("entra", JWT, {**ENTRA, "nonce": "n"}, "wrong_type"),
    ("entra", JWT, {**ENTRA, "iss": f"https://login.microsoftonline.com/{CONSUMERS}/v2.0"}, "unknown_issuer"),
    ("entra", JWT, {**ENTRA, "iss": f"https://sts.windows.net/{TENANT}/"}, "unknown_issuer"),
    ("entra", JWT, {**PARTNERS, "tid": TENANT}, "bad_subject"),
    ("entra", JWT, {**PARTNERS, "tid": ...}, "bad_subject"),
    ("entra", JWT, {**ENTRA, "aud": "00000003-0000-0000-c000-000000000000"}, "wrong_audience"),
    ("cognito", NO_TYP, {**COGNITO, "token_use": "id"}, "requirement"),
    ("cognito", NO_TYP, {**COGNITO, "token_use": ...}, "requirement"),
    ("cognito", NO_TYP, {**COGNITO, "client_id": ..., "aud": "1example23456789"}, "wrong_audience"),
    ("cognito", NO_TYP, {**COGNITO, "client_id": "another"}, "wrong_audience"),
    ("firebase", JWT, {**FIREBASE, "aud": "other-project"}, "wrong_audience"),
    ("firebase", JWT, {**FIREBASE, "iss": "https://securetoken.google.com/other"}, "unknown_issuer"),
    ("firebase", JWT, {**FIREBASE, "sub": ""}, "bad_subject"),
    ("authentik", JWT, {**AUTHENTIK, "iss": "https://id.example.com/application/o/wiki/"}, "unknown_issuer"),
    ("authentik", JWT, {**AUTHENTIK, "aud": "another"}, "wrong_audience"),
    ("authentik", JWT, {**AUTHENTIK_ID, "nonce": "n", "at_hash": "x"}, "wrong_type"),
    ("authentik", JWT, {**AUTHENTIK_ID, "nonce": "n"}, "wrong_type"),
    ("authentik", JWT, AUTHENTIK_ID, "wrong_type"),
    ("authentik", JWT, {**AUTHENTIK, "at_hash": "x"}, "wrong_type"),
    ("zitadel", JWT, {**ZITADEL, "at_hash": "x"}, "wrong_type"),
    ("zitadel", JWT, {**ZITADEL, "aud": ["280787386547961900@chat"]}, "wrong_audience"),
    ("hydra", JWT, {**HYDRA, "nonce": "n", "at_hash": "x"}, "wrong_type"),
    ("hydra", JWT, {**HYDRA, "at_hash": "x"}, "wrong_type"),
    ("hydra", JWT, {**HYDRA, "aud": []}, "wrong_audience"),
    ("hydra", JWT, {**HYDRA, "iss": "https://id.example.com"}, "unknown_issuer"),
]


@pytest.mark.parametrize(
    ("vendor", "header", "claims", "reason"),
    BAD,
    ids=[f"{row[0]}-{row[3]}-{number}" for number, row in enumerate(BAD)],
)
def test_a_bad_token_of_the_vendors_shape_is_refused(
    vendor: str, header: dict[str, Any], claims: dict[str, Any], reason: str
) -> None:
    refused = Provider.of(vendor).verify(header, claims)
    assert isinstance(refused, Rejected)
    assert refused.reason == reason, refused.detail


@pytest.mark.parametrize(
    ("vendor", "header", "claims"),
    [
        ("keycloak", JWT, {**KEYCLOAK, "typ": "ID"}),
        ("keycloak", JWT, {**KEYCLOAK, "typ": "ID", "aud": "web"}),
        ("cognito", NO_TYP, {**COGNITO, "token_use": "id"}),
        ("cognito", NO_TYP, {**COGNITO, "token_use": "id", "client_id": ..., "aud": "1example23456789"}),
        ("hydra", JWT, {**HYDRA, "aud": ["web"], "nonce": "n", "at_hash": "x"}),
        ("authentik", JWT, AUTHENTIK_ID),
        ("entra", JWT, {**ENTRA, "nonce": "n"}),
        ("zitadel", JWT, {**ZITADEL, "at_hash": "x"}),
    ],
)
def test_an_id_token_is_told_from_an_access_token(
    vendor: str, header: dict[str, Any], claims: dict[str, Any]
) -> None:
    refused = Provider.of(vendor).verify(header, claims)
    assert isinstance(refused, Rejected)
    assert "ID token" in refused.detail
    assert refused.detail.endswith(": send the access token")


def test_every_vendor_has_bad_tokens() -> None:
    assert {vendor for vendor, *_ in BAD} == set(PRESETS)


# --- Entra ----------------------------------------------------------------------------------------------------


def reasons(decision: Decision) -> list[str]:
    def walk(reason: Reason) -> list[str]:
        return [reason.text, *(text for part in reason.parts for text in walk(part))]

    return [text for reason in decision.reasons for text in walk(reason)]


@pytest.mark.parametrize(
    "overage",
    [
        {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://graph/x"}}},
        {"hasgroups": True},
    ],
    ids=["sources", "hasgroups"],
)
@pytest.mark.parametrize("place", ["/staff", "/guests"])
def test_groups_that_did_not_fit_are_unknown_for_a_reason_of_its_own(
    overage: dict[str, Any], place: str
) -> None:
    decision = Provider.of("entra").decide({**ENTRA, "groups": ..., **overage}, header=JWT, place=place)
    assert decision.code == "rule_denied"
    assert "the provider did not put the claim into the token (overage)" in reasons(decision)


def test_one_subject_in_two_tenants_is_two_subjects() -> None:
    provider = Provider.of("entra")
    verified = provider.verify(JWT, PARTNERS)
    assert isinstance(verified, Verified)
    assert verified.subject == (EntryName("partners"), f"{PARTNER}/{PARTNERS['sub']}")


@pytest.mark.parametrize(
    ("issuer", "claims", "accepted"),
    [
        ("https://login.microsoftonline.com/{tenantid}/v2.0", ENTRA, True),
        ("https://login.microsoftonline.com/{tenantid}/v2.0", PARTNERS, True),
        (f"https://login.microsoftonline.com/{TENANT}/v2.0", ENTRA, True),
        (f"https://login.microsoftonline.com/{CONSUMERS}/v2.0", ENTRA, False),
        (f"https://login.microsoftonline.com/{CONSUMERS}/v2.0", PARTNERS, False),
        (f"https://login.microsoftonline.com/{TENANT}/v2.0", PARTNERS, False),
        (..., PARTNERS, True),
    ],
)
def test_a_key_signs_for_the_issuer_that_its_set_names_alone(
    issuer: Any, claims: dict[str, Any], accepted: bool
) -> None:
    judged = Provider.of("entra", issuer=issuer).verify(JWT, claims)
    assert isinstance(judged, Verified) is accepted
    if isinstance(judged, Rejected):
        assert judged.reason == "unknown_key"
        assert judged.detail.endswith("is for another issuer's tokens")


def test_a_key_whose_issuer_is_no_string_is_not_used() -> None:
    judged = Provider.of("entra", issuer=5).verify(JWT, ENTRA)
    assert isinstance(judged, Rejected)
    assert judged.reason == "no_keys"


def test_other_vendors_keys_may_say_what_they_like() -> None:
    assert isinstance(Provider.of("okta", issuer=5).verify(NO_TYP, OKTA), Verified)


# --- where the keys are ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vendor", "sources"),
    [
        ("keycloak", [("discovery", "https://id.example.com/realms/acme")]),
        ("auth0", [("discovery", "https://acme.eu.auth0.com/")]),
        (
            "entra",
            [
                ("discovery", f"https://login.microsoftonline.com/{TENANT}/v2.0"),
                ("discovery", "https://login.microsoftonline.com/common/v2.0"),
            ],
        ),
        (
            "firebase",
            [("jwks_url", f"{GOOGLE}/securetoken@system.gserviceaccount.com")],
        ),
    ],
)
def test_where_a_vendors_keys_are_looked_for(vendor: str, sources: list[tuple[str, str]]) -> None:
    issuers = Provider.of(vendor).configuration.issuers
    assert [(entry.sources[0].kind, entry.sources[0].name) for entry in issuers] == sources
