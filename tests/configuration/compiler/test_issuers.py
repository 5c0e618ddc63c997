"""Entries of `issuers`: what a preset fills in, what the operator writes over it, and where keys come from."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from compartmentd.configuration.compiler import load
from compartmentd.tokens.entry import IssuerEntry, LogoutSettings
from tests.support.cases import InMemory

TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
COGNITO = {
    "preset": "cognito",
    "issuer": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab12",
    "audience": "a",
}
KEYCLOAK = {"preset": "keycloak", "issuer": "https://id.example.com/realms/acme", "audience": "a"}


def compiled(entry: dict[str, Any], **server: Any) -> IssuerEntry:
    text = msgspec.json.encode(
        {
            "version": 1,
            "server": server,
            "issuers": {"corp": entry},
            "namespaces": {"/": {"connect": "public"}},
        }
    )
    loaded = load("etc/c.yaml", InMemory({"etc/c.yaml": text, "etc/keys.json": b"{}"}), serving=True)
    assert loaded.configuration is not None, loaded.problems
    return loaded.configuration.issuers[0]


def test_a_preset_fills_in_what_is_not_written() -> None:
    entry = compiled(COGNITO)
    assert entry.audience_claim == "client_id"
    assert entry.require == {"token_use": "access"}
    assert entry.types == (None, "at+jwt", "application/at+jwt")
    assert entry.scopes == ("scope",)
    assert entry.algorithms == ("RS256",)
    assert (entry.sources[0].kind, entry.sources[0].name) == ("discovery", COGNITO["issuer"])


@pytest.mark.parametrize(
    ("key", "written", "means"),
    [
        ("audience_claim", "aud", "aud"),
        ("scopes", ["custom"], ("custom",)),
        ("types", ["absent", "JWT"], (None, "JWT")),
        ("algorithms", ["ES256"], ("ES256",)),
        ("subject", "username", ("username",)),
        ("subject", "user.name", ("user.name",)),
        ("subject", ["user", "id"], ("user", "id")),
        ("require", {"version": 2}, {"token_use": "access", "version": 2}),
        ("require", {"token_use": "id"}, {"token_use": "id"}),
        ("max_age", "1h", 3600.0),
        ("max_age", "unlimited", None),
        ("leeway", "5s", 5.0),
    ],
)
def test_what_is_written_counts_instead(key: str, written: Any, means: Any) -> None:
    assert getattr(compiled({**COGNITO, key: written}), key) == means


@pytest.mark.parametrize(
    ("source", "kind", "name"),
    [
        ({}, "discovery", "https://id.example.com/realms/acme"),
        (
            {"discovery": "http://localhost:8080/realms/acme"},
            "discovery",
            "http://localhost:8080/realms/acme",
        ),
        ({"jwks_url": "https://id.example.com/keys"}, "jwks_url", "https://id.example.com/keys"),
        ({"jwks_file": "keys.json"}, "jwks_file", "etc/keys.json"),
        ({"secret_env": "SECRET"}, "secret_env", "SECRET"),
    ],
)
@pytest.mark.parametrize("preset", [{}, {"preset": "keycloak"}])
def test_keys_come_from_the_source_that_is_written_or_by_discovery(
    source: dict[str, str], kind: str, name: str, preset: dict[str, str]
) -> None:
    written = {"issuer": KEYCLOAK["issuer"], "audience": "a", **preset, **source}
    entry = compiled(written)
    assert (entry.sources[0].kind, entry.sources[0].name) == (kind, name)
    assert (entry.algorithms == ("HS256",)) is (kind == "secret_env")


def test_of_a_nested_subject_the_top_level_claim_is_kept_at_hand() -> None:
    text = msgspec.json.encode(
        {
            "version": 1,
            "issuers": {"corp": {**KEYCLOAK, "subject": ["user", "id"]}},
            "namespaces": {"/": {"connect": "public"}},
        }
    )
    loaded = load("c.yaml", InMemory({"c.yaml": text}))
    assert loaded.configuration is not None
    assert "user" in loaded.configuration.named_claims
    assert "sub" not in loaded.configuration.named_claims


def test_a_presets_own_source_gives_way_to_a_written_one() -> None:
    firebase = {"preset": "firebase", "issuer": "https://securetoken.google.com/acme", "audience": "acme"}
    assert compiled(firebase).sources[0].kind == "jwks_url"
    assert compiled({**firebase, "jwks_file": "keys.json"}).sources[0].kind == "jwks_file"
    assert compiled({**firebase, "discovery": firebase["issuer"]}).sources[0].kind == "discovery"


def test_tenants_stand_for_their_place_in_the_issuer() -> None:
    issuer = "https://login.microsoftonline.com/{tenantid}/v2.0"
    entry = compiled({"preset": "entra", "issuer": issuer, "audience": "a", "tenants": [TENANT]})
    assert entry.issuer == issuer
    assert entry.issuers == (f"https://login.microsoftonline.com/{TENANT}/v2.0",)
    assert entry.keys_name_issuers


@pytest.mark.parametrize("audience", ["web", ["web", "app"]])
def test_logout_names_the_clients(audience: Any) -> None:
    entry = compiled({**KEYCLOAK, "logout": {"audience": audience}})
    assert entry.logout == LogoutSettings(("web",) if audience == "web" else ("web", "app"))
    assert compiled(KEYCLOAK).logout is None


def test_the_state_directory_is_relative_to_the_file_that_names_it() -> None:
    text = b"version: 1\nserver: {state: %s}\nnamespaces: {/: {connect: public}}\n"
    for written, path in ((b"state", "etc/state"), (b"/var/lib/x", "/var/lib/x")):
        loaded = load("etc/c.yaml", InMemory({"etc/c.yaml": text % written}))
        assert loaded.configuration is not None
        assert loaded.configuration.server.state == path
        assert loaded.configuration.server_spans["state"].line == 2


@pytest.mark.parametrize("allow_http", [True, False])
def test_plain_http_is_an_error_unless_it_is_allowed_and_then_a_warning(allow_http: bool) -> None:
    entry = {**KEYCLOAK, "discovery": "http://id.internal/realms/acme", "allow_http": allow_http}
    text = msgspec.json.encode(
        {"version": 1, "issuers": {"corp": entry}, "namespaces": {"/": {"connect": "public"}}}
    )
    loaded = load("c.yaml", InMemory({"c.yaml": text}))
    expected = ("warning", "issuer.allow-http") if allow_http else ("error", "issuer.url")
    assert [(problem.severity, problem.code) for problem in loaded.problems] == [expected]
