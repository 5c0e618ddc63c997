"""Presets as data: which issuers they know, which mistakes they name, where they look for keys."""

from __future__ import annotations

import pytest

from compartmentd.document.bundled import schema
from compartmentd.tokens.entry import IssuerEntry
from compartmentd.tokens.material import ALGORITHMS
from compartmentd.tokens.presets import NO_PRESET, PRESETS, find_preset
from tests.tokens.forge import entry

TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"


def test_the_presets_are_those_that_can_be_written() -> None:
    assert list(PRESETS) == schema()["$defs"]["issuer"]["properties"]["preset"]["enum"]


def test_without_a_preset_the_defaults_are_those_of_an_entry() -> None:
    plain: IssuerEntry = entry()
    for name in ("audience_claim", "scopes", "types", "algorithms", "require", "never", "always", "tenants"):
        assert getattr(NO_PRESET, name) == getattr(plain, name) or name == "tenants", name
    assert not NO_PRESET.tenants


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_takes_public_keys_alone_and_says_how_its_issuers_look(name: str) -> None:
    preset = PRESETS[name]
    assert preset.title
    assert preset.form
    assert set(preset.algorithms) <= {each for each in ALGORITHMS if not each.startswith("HS")}


GOOD = [
    ("keycloak", "https://id.example.com/realms/acme"),
    ("keycloak", "http://localhost:8080/realms/acme"),
    ("keycloak", "https://example.com/auth/realms/acme"),
    ("auth0", "https://acme.eu.auth0.com/"),
    ("auth0", "https://login.example.com/"),
    ("okta", "https://acme.okta.com/oauth2/default"),
    ("okta", "https://login.example.com/oauth2/ausab12cd"),
    ("entra", f"https://login.microsoftonline.com/{TENANT}/v2.0"),
    ("entra", "https://login.microsoftonline.com/{tenantid}/v2.0"),
    ("entra", f"https://sts.windows.net/{TENANT}/"),
    ("entra", "https://sts.windows.net/{tenantid}/"),
    ("entra", f"https://login.microsoftonline.us/{TENANT}/v2.0"),
    ("entra", f"https://login.partner.microsoftonline.cn/{TENANT}/v2.0"),
    ("entra", f"https://acme.ciamlogin.com/{TENANT}/v2.0"),
    ("entra", f"https://acme.b2clogin.com/{TENANT}/v2.0/"),
    ("cognito", "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEfGhI"),
    ("cognito", "https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_AbCdEfGhI"),
    ("firebase", "https://securetoken.google.com/acme-chat"),
    ("authentik", "https://id.example.com/application/o/chat/"),
    ("authentik", "https://id.example.com/"),
    ("zitadel", "https://acme.zitadel.cloud"),
    ("zitadel", "https://id.example.com:8443"),
    ("hydra", "https://id.example.com/"),
    ("hydra", "http://127.0.0.1:4444"),
]


@pytest.mark.parametrize(("name", "issuer"), GOOD)
def test_an_issuer_that_tokens_have_is_no_mistake(name: str, issuer: str) -> None:
    assert PRESETS[name].find_issuer_mistake(issuer) is None


@pytest.mark.parametrize(
    ("name", "issuer"),
    [
        *((name, f"{issuer}{'x' if issuer.endswith('/') else '/'}") for name, issuer in GOOD[:19]),
        ("keycloak", "https://id.example.com/realms/acme/protocol/openid-connect/token"),
        ("zitadel", "https://acme.zitadel.cloud/oauth/v2"),
        ("entra", f"https://login.microsoftonline.com/{TENANT}"),
        ("entra", "https://login.microsoftonline.com/common/v2.0"),
        ("hydra", "id.example.com"),
    ],
)
def test_any_other_is_one_and_comes_with_help(name: str, issuer: str) -> None:
    mistake = PRESETS[name].find_issuer_mistake(issuer)
    assert mistake is not None
    assert mistake.message
    assert mistake.help


@pytest.mark.parametrize(
    ("issuer", "name"),
    [
        ("https://acme.eu.auth0.com", "auth0"),
        ("https://acme.okta.com/oauth2/default", "okta"),
        ("https://dev-1.oktapreview.com", "okta"),
        ("https://login.microsoftonline.com/common/v2.0", "entra"),
        ("https://sts.windows.net/x/", "entra"),
        ("https://cognito-idp.eu-west-1.amazonaws.com/x", "cognito"),
        ("https://acme.auth.eu-west-1.amazoncognito.com", "cognito"),
        ("https://securetoken.google.com", "firebase"),
        ("https://acme.zitadel.cloud/", "zitadel"),
        ("https://acme-ab12.eu1.zitadel.cloud", "zitadel"),
        ("https://slug.projects.oryapis.com", "hydra"),
        ("https://id.example.com/realms/acme", None),
        ("https://auth0.com.evil.example/", None),
        ("https://evil.example/acme.auth0.com/", None),
        ("acme.auth0.com", None),
    ],
)
def test_a_vendor_is_known_by_a_host_of_its_own(issuer: str, name: str | None) -> None:
    assert find_preset(None, issuer) is (None if name is None else PRESETS[name])
    assert find_preset("keycloak", issuer) is PRESETS["keycloak"]


@pytest.mark.parametrize(
    ("name", "issuer", "below"),
    [
        ("keycloak", "https://id.example.com/realms/a", "https://id.example.com/realms/a"),
        (
            "entra",
            f"https://login.microsoftonline.com/{TENANT}/v2.0",
            f"https://login.microsoftonline.com/{TENANT}/v2.0",
        ),
        (
            "entra",
            "https://login.microsoftonline.com/{tenantid}/v2.0",
            "https://login.microsoftonline.com/common/v2.0",
        ),
        ("entra", f"https://sts.windows.net/{TENANT}/", f"https://login.microsoftonline.com/{TENANT}"),
        ("entra", "https://sts.windows.net/{tenantid}/", "https://login.microsoftonline.com/common"),
        (
            "entra",
            "https://sts.chinacloudapi.cn/{tenantid}/",
            "https://login.partner.microsoftonline.cn/common",
        ),
    ],
)
def test_where_the_discovery_document_is(name: str, issuer: str, below: str) -> None:
    assert PRESETS[name].get_discovery_base(issuer) == below


@pytest.mark.parametrize(
    ("name", "audience", "issuer", "message"),
    [
        ("firebase", "my-project", "https://securetoken.google.com/my-project", None),
        (
            "firebase",
            "other",
            "https://securetoken.google.com/my-project",
            "the project that `issuer` ends with",
        ),
        ("keycloak", "account", "https://id.example.com/realms/a", "nearly every token of a realm"),
        ("keycloak", "accounting", "https://id.example.com/realms/a", None),
        ("auth0", "https://acme.auth0.com/userinfo", "https://acme.auth0.com/", "its own endpoint"),
        ("auth0", "https://api.example.com/", "https://acme.auth0.com/", None),
        ("entra", "https://graph.microsoft.com", "https://sts.windows.net/x/", "Microsoft Graph"),
        ("entra", "00000003-0000-0000-c000-000000000000", "https://sts.windows.net/x/", "Microsoft Graph"),
        ("entra", "api://realtime", "https://sts.windows.net/x/", None),
    ],
)
def test_an_audience_that_is_never_for_this_server(
    name: str, audience: str, issuer: str, message: str | None
) -> None:
    mistake = PRESETS[name].find_audience_mistake(audience, issuer)
    assert (message is None) == (mistake is None)
    if message is not None:
        assert mistake is not None
        assert message in mistake.message
        assert mistake.help
