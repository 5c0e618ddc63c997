"""What helps against each refusal of a token."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import Any

import msgspec
import pytest

from compartmentd.tokens.diagnosis import diagnose
from compartmentd.tokens.entry import IssuerEntry
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.remedies import find_remedies, find_scope_remedy
from tests.tokens import forge

NOW = 1_700_000_000
ISSUER = "https://id.example.com"


def corp(**settings: Any) -> IssuerEntry:
    name = settings.pop("name", "corp")
    return forge.entry(name, "secret_file", **{"issuer": ISSUER, "audience": ("realtime",), **settings})


def part(members: Any) -> str:
    return urlsafe_b64encode(msgspec.json.encode(members)).decode().rstrip("=")


def make(header: dict[str, Any] | None = None, **claims: Any) -> str:
    good = {"iss": ISSUER, "aud": "realtime", "sub": "ann", "iat": NOW - 10, "exp": NOW + 600}
    kept = {name: value for name, value in {**good, **claims}.items() if value is not ...}
    return f"{part({'alg': 'HS256', **(header or {})})}.{part(kept)}.AAAA"


def find(token: str, *entries: IssuerEntry) -> dict[str, tuple[str, ...]]:
    known = entries or (corp(),)
    keys = KeySet.build(known, forge.keys_of(known[0], forge.SECRET))
    return dict(find_remedies(token, diagnose(token, keys, "connect", NOW), keys))


REALM = "https://id.example.com/realms/a"
FIREBASE = "https://securetoken.google.com/shop"
AUTH0 = "https://acme.eu.auth0.com/"
ENCRYPTED = f"{part({'alg': 'dir', 'enc': 'A256GCM', 'iss': AUTH0})}..AAAA.AAAA.AAAA"


@pytest.mark.parametrize(
    ("token", "entry", "check", "words"),
    [
        (ENCRYPTED, corp(), "form", "let the client ask for `audience: realtime`"),
        (f"{part({'alg': 'dir'})}..AAAA.AAAA.AAAA", corp(), "form", "Auth0 gives such a token"),
        ("opaque", corp(issuer=AUTH0), "form", "let the client ask for `audience: realtime`"),
        ("opaque", corp(issuer="https://acme.okta.com"), "form", "Okta: ask a custom authorization server"),
        ("opaque", corp(issuer="https://acme.zitadel.cloud"), "form", "Zitadel: set"),
        ("opaque", corp(issuer="https://acme.projects.oryapis.com"), "form", "Ory Hydra: set `strategies"),
        ("opaque", corp(), "form", "Ory Hydra: set `strategies.access_token: jwt`"),
        ("opaque", corp(issuer=FIREBASE), "form", "Firebase: send what `getIdToken()` returns"),
        ("-----BEGIN PUBLIC KEY-----", corp(), "form", "a key or certificate in PEM form"),
        (f"{part({'alg': 'HS256'})}.{part('{}')}.AAAA", corp(), "payload", "encoded twice"),
        (f"{part({'alg': 'HS256'})}.{part(part({'iss': 'a'}))}.AAAA", corp(), "payload", "encoded twice"),
        (make(iss=...), corp(), "issuer", "let its issuer set `iss`"),
        (make(iss=ISSUER + "/"), corp(), "issuer", f"`corp` would take it with `issuer: {ISSUER}/`"),
        (
            make(iss="https://other.example"),
            corp(),
            "issuer",
            "an entry of `issuers` with `issuer: https://other",
        ),
        (
            make(iss="https://accounts.google.com"),
            corp(issuer=FIREBASE),
            "issuer",
            "send what `getIdToken()`",
        ),
        (make(), corp(use=("admin",)), "use", "add the one that you mean"),
        (make({"nonce": "n"}), corp(), "signature", "a token for Microsoft Graph"),
        (make({"alg": "RS512"}), corp(), "key", "`algorithms: [RS512]` of `corp`"),
        (make({"typ": "x+jwt"}), corp(), "typ", "`types: [x+jwt]` of `corp` would take it"),
        (make(), corp(types=("JWT",)), "typ", "`types: [absent]` of `corp` would take it"),
        (make(nonce="n"), corp(never=("nonce",)), "kind", "send the `access_token` of the same answer"),
        (make(exp=NOW * 1000), corp(), "dates", "in milliseconds: write seconds"),
        (make(exp=str(NOW)), corp(), "dates", "`exp` is a text: write a number"),
        (make(iat=NOW + 50), corp(), "begun", "`leeway` of `corp` may be up to 60s"),
        (make(iat=NOW - 90_000), corp(), "end", "`max_age` of `corp` bounds the age"),
        (make(exp=NOW - 1), corp(), "end", "no setting takes one past its `exp`"),
        (make(aud="other"), corp(), "audience", "`audience: other` of `corp` would take it"),
        (make(aud=["other"], azp="realtime"), corp(), "audience", "`audience_claim: azp` would take it"),
        (make(aud="web", at_hash="h"), corp(), "audience", "an ID token says who signed in"),
        (make(aud="web", typ="ID"), corp(), "audience", "an ID token says who signed in"),
        (make(aud="https://graph.microsoft.com"), corp(), "audience", "a token for Microsoft Graph"),
        (
            make(iss=FIREBASE, aud="web", nonce="n"),
            corp(issuer=FIREBASE),
            "audience",
            "Firebase has ID tokens alone",
        ),
        (make(iss=REALM, aud=...), corp(issuer=REALM), "audience", "Keycloak: add an Audience mapper"),
        (make(sub=..., oid="o", email="e"), corp(), "subject", "`subject: oid` of `corp` would take another"),
        (make(iss=REALM, sub=...), corp(issuer=REALM), "subject", "the client scope `basic`"),
        (make(), corp(require={"token_use": "access"}), "requirements", "wants `token_use: access`"),
        (make(token_use="id"), corp(require={"token_use": "access"}), "requirements", "an ID token says who"),
    ],
)
def test_a_failed_check_names_what_helps(token: str, entry: IssuerEntry, check: str, words: str) -> None:
    found = find(token, entry)
    assert words in " ".join(found.get(check, ())), found


@pytest.mark.parametrize(
    ("token", "entry", "check"),
    [
        ("a.b", corp(), "form"),
        (f"{part({'alg': 'HS256'})}.{part([1])}.AAAA", corp(), "payload"),
        (f"{part({'alg': 'HS256'})}.!.AAAA", corp(), "form"),
        (make({"typ": "x"}, nonce="n"), corp(), "typ"),
        (make(events={"a": {}}), corp(), "kind"),
        (make(other=1), corp(never=("other",)), "kind"),
        (make(exp=...), corp(), "dates"),
        (make(iat=NOW + 90), corp(leeway=60.0), "begun"),
        (make(aud=...), corp(), "audience"),
        (make(sub=...), corp(), "subject"),
        (make({"kid": "k"}), corp(), "signature"),
        (f"{part({'alg': 7})}.{part({})}.AAAA", corp(), "header"),
    ],
)
def test_where_nothing_is_known_to_help_nothing_is_said(token: str, entry: IssuerEntry, check: str) -> None:
    assert check not in find(token, entry)


def test_of_several_entries_none_is_guessed() -> None:
    [told] = find(ENCRYPTED, corp(), corp(name="two", issuer="https://b.example"))["form"]
    assert "`audience: AUDIENCE`" in told


def test_what_a_stranger_wrote_stays_on_one_line_and_is_bounded() -> None:
    for token in (make(iss="a\n`" * 400), make(aud="a\n`" * 400), make({"typ": "a\n" * 100})):
        for remedies in find(token).values():
            assert all("\n" not in each and len(each) < 500 for each in remedies)


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        (
            {"permissions": ["a"]},
            "`scopes: [permissions]` of `corp` would take them from its claim `permissions`",
        ),
        ({"roles": "admin"}, "`scopes: [roles]` of `corp` would take them from its claim `roles`"),
        ({"permissions": []}, None),
        ({"permissions": [1]}, None),
        ({}, None),
    ],
)
def test_a_claim_that_could_hold_scopes(claims: dict[str, Any], expected: str | None) -> None:
    assert find_scope_remedy(claims, corp()) == expected
    assert find_scope_remedy(claims, corp(scopes=("permissions", "roles"))) is None
