"""Good and hostile tokens, as a table; then properties that no table can show."""

from __future__ import annotations

import json
import secrets
import sys
from typing import Any

import jwt
import pytest
from hypothesis import example, given, strategies as st

from compartmentd.names import EntryName, Subject
from compartmentd.policy.codes import Code
from compartmentd.tokens.entry import IssuerEntry
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.material import MAX_TRIED
from compartmentd.tokens.verify import Rejected, Verified, build_principal, verify
from compartmentd.util import footprint
from tests.tokens.forge import (
    NOW,
    SECRET,
    claims,
    encode,
    entry,
    jwk,
    jwks,
    keys_of,
    pem,
    private_key,
    private_pem,
    secret_set,
    sign,
    token,
)

RSA, P256, P384, P521, ED = (private_key(kind) for kind in ("rsa", "p256", "p384", "p521", "ed25519"))
KEYS = secret_set()
GOOD = token()


def judged(text: str, keys: KeySet = KEYS, **more: Any) -> Verified | Rejected:
    return verify(text, keys, more.pop("use", "connect"), more.pop("now", NOW), **more)


def refusal(text: str, keys: KeySet = KEYS, **more: Any) -> Rejected:
    result = judged(text, keys, **more)
    assert isinstance(result, Rejected), "accepted"
    assert not text or text not in result.detail
    return result


def accepted(text: str, keys: KeySet = KEYS, **more: Any) -> Verified:
    result = judged(text, keys, **more)
    assert isinstance(result, Verified), result
    return result


# --- what is accepted ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("RS256", RSA),
        ("RS512", RSA),
        ("PS256", RSA),
        ("PS384", RSA),
        ("ES256", P256),
        ("ES384", P384),
        ("ES512", P521),
        ("EdDSA", ED),
    ],
)
@pytest.mark.parametrize("kind", ["jwks_file", "public_key_file"])
def test_every_public_key_algorithm(algorithm: str, key: Any, kind: str) -> None:
    who = entry(kind=kind, algorithms=(algorithm,))
    keys = KeySet.build([who], keys_of(who, pem(key) if kind == "public_key_file" else jwks(key)))
    made = jwt.encode(claims(), private_pem(key), algorithm=algorithm, headers={"kid": "any"})
    verified = accepted(made, keys)
    assert verified.subject == Subject(EntryName("corp"), "alice")
    assert verified.algorithm == algorithm
    assert keys.has_key(EntryName("corp"), verified.thumbprint)
    head, payload, signature = made.split(".")
    other = jwt.encode(claims(sub="mallory"), private_pem(key), algorithm=algorithm)
    assert refusal(f"{head}.{other.split('.')[1]}.{signature}", keys).reason == "bad_signature"
    assert refusal(f"{head}.{payload}.{encode(b'x')}", keys).reason == "bad_signature"


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_every_secret_algorithm(algorithm: str) -> None:
    made = jwt.encode(claims(), SECRET, algorithm=algorithm)
    assert accepted(made, secret_set(algorithms=(algorithm,)))
    other = jwt.encode(claims(), SECRET[::-1], algorithm=algorithm)
    assert refusal(other, secret_set(algorithms=(algorithm,))).reason == "bad_signature"


def test_ed25519_is_eddsa_in_a_header_too() -> None:
    who = entry(algorithms=("EdDSA",))
    keys = KeySet.build([who], keys_of(who, jwks(ED)))
    assert accepted(sign({"alg": "Ed25519"}, claims(), "EdDSA", ED), keys)


def test_what_a_verified_token_tells() -> None:
    body = claims(scope="a b", nested={"roles": ["x"]})
    verified = accepted(sign({"alg": "HS256", "typ": "at+jwt"}, body))
    assert verified.claims == body
    assert verified.typ == "at+jwt"
    assert verified.ends_at == body["exp"]
    assert "alice" not in repr(verified)
    principal = build_principal(verified, entry())
    assert principal.subject == verified.subject
    assert principal.scopes == {"a", "b"}
    assert not principal.scopes_uncertain
    assert principal.claims == body
    assert principal.ends_at == verified.ends_at


def test_scopes_come_from_the_claims_that_the_entry_names() -> None:
    verified = accepted(token(scope="a", permissions=["b", "c"], scp=5))
    assert build_principal(verified, entry(scopes=("permissions",))).scopes == {"b", "c"}
    assert build_principal(verified, entry()).scopes_uncertain


def changed(header: dict[str, Any] | None = None, /, **settings: Any) -> Any:
    """Return a case: header, changed claims (`claims=`), settings of the entry."""
    return header or {}, settings.pop("claims", {}), settings


LATER = int(NOW) + 600
PASSES = {
    "no typ": changed({"typ": None}),
    "typ in any case": changed({"typ": "AT+jwt"}),
    "typ with its prefix": changed({"typ": "Application/at+JWT"}),
    "a typ of one's own": changed({"typ": "x"}, types=("X",)),
    "audience list": changed(claims={"aud": ["account", "realtime"]}),
    "one of several audiences": changed(claims={"aud": "b"}, audience=("a", "b")),
    "another claim as audience": changed(
        claims={"aud": ..., "client_id": "realtime"}, audience_claim="client_id"
    ),
    "another claim as subject": changed(claims={"sub": ..., "oid": "42"}, subject=("oid",)),
    "a nested claim as subject": changed(claims={"sub": ..., "user": {"id": "42"}}, subject=("user", "id")),
    "a subject with a dot in its name": changed(claims={"sub": ..., "user.id": "42"}, subject=("user.id",)),
    "fractions of seconds": changed(claims={"iat": NOW - 0.5, "exp": NOW + 0.5, "nbf": NOW - 0.25}),
    "the very last moment": changed(claims={"exp": NOW + 0.001}),
    "iat ahead by the leeway": changed(claims={"iat": NOW + 30}),
    "nbf ahead by the leeway": changed(claims={"nbf": NOW + 30}),
    "no iat where the age is unlimited": changed(claims={"iat": ...}, max_age=None),
    "issued long ago": changed(claims={"iat": 5}, max_age=None),
    "as far ahead as it may end": changed(claims={"iat": ..., "exp": NOW + 400 * 86400}, max_age=None),
    "required string": changed(claims={"token_use": "access"}, require={"token_use": "access"}),
    "required integer as float": changed(claims={"v": 1.0}, require={"v": 1}),
    "required float as integer": changed(claims={"v": 2}, require={"v": 2.0}),
    "required boolean": changed(claims={"ok": False}, require={"ok": False}),
    "unused header members": changed(
        {"jku": "http://x", "x5u": "http://x", "x5c": ["x"], "jwk": {}, "cty": "x", "kid": ""}
    ),
    "any kid where the key has none": changed({"kid": "../../etc/passwd' OR 1=1 --"}),
    "a subject as long as it may be": changed(claims={"sub": "s" * 512}),
    "a subject of one character": changed(claims={"sub": "s"}),
    "a kid as long as it may be": changed({"kid": "k" * 256}),
    "a pipe in the subject": changed(claims={"sub": "auth0|ü"}),
    "the far end of time": changed(claims={"exp": 253402300799}),
}


@pytest.mark.parametrize("name", PASSES)
def test_accepted(name: str) -> None:
    header, body, settings = PASSES[name]
    header = {
        name: value for name, value in {"alg": "HS256", "typ": "JWT", **header}.items() if value is not None
    }
    accepted(sign(header, claims(**body)), secret_set(**settings))


# --- what is refused ----------------------------------------------------------------------------------------

HUGE = 10**400
REFUSED: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    # name: (token, reason, part of the detail, settings of the entry)
    "empty": ("", "not_a_jwt", "opaque", {}),
    "opaque": ("v1.MTIz"[3:], "not_a_jwt", "opaque (one part)", {}),
    "two parts": (GOOD.rsplit(".", 1)[0], "not_a_jwt", "2 parts", {}),
    "four parts": (GOOD + ".", "not_a_jwt", "4 parts", {}),
    "five parts": (GOOD + ".x.y", "not_a_jwt", "encrypted", {}),
    "bearer": ("Bearer " + GOOD, "not_a_jwt", "Bearer", {}),
    "space before": (" " + GOOD, "not_a_jwt", "base64url", {}),
    "newline after": (GOOD + "\n", "not_a_jwt", "base64url", {}),
    "nul after": (GOOD + "\0", "not_a_jwt", "base64url", {}),
    "padding": (GOOD + "=", "not_a_jwt", "base64url", {}),
    "plain base64": (GOOD[:-1] + "+", "not_a_jwt", "base64url", {}),
    "no ASCII": (GOOD[:-1] + "ä", "not_a_jwt", "base64url", {}),
    "fullwidth letters": (GOOD[:-1] + "\uff21", "not_a_jwt", "base64url", {}),
    "lone surrogate": (GOOD[:-1] + "\ud800", "not_a_jwt", "base64url", {}),
    "no signature": (GOOD.rsplit(".", 1)[0] + ".", "not_a_jwt", "base64url", {}),
    "no payload": ("..".join(GOOD.split(".")[::2]), "not_a_jwt", "base64url", {}),
    "impossible length": (GOOD.replace(".", ".AAAAA.", 1).rsplit(".", 1)[0], "not_a_jwt", "base64url", {}),
    "too long": (token(x="x" * 12_400), "too_long", "16384", {}),
    "far too long": ("a." * 10_000_000, "too_long", "16384", {}),
    "header no JSON": (sign(b"{", claims()), "bad_header", "not JSON", {}),
    "header no object": (sign(b'"alg"', claims()), "bad_header", "not a JSON object", {}),
    "header twice alg": (sign(b'{"alg":"none","alg":"HS256"}', claims()), "bad_header", "twice", {}),
    "header deep": (
        sign(b'{"alg":"HS256","x":' + b"[" * 5000 + b"]" * 5000 + b"}", claims()),
        "bad_header",
        "deeper",
        {},
    ),
    "header surrogate": (sign(b'{"alg":"HS256","kid":"\\ud800"}', claims()), "bad_header", "surrogate", {}),
    "header UTF-16": (sign('{"alg":"HS256"}'.encode("utf-16"), claims()), "bad_header", "UTF-8", {}),
    "no alg": (sign({"typ": "JWT"}, claims()), "bad_header", "no `alg`", {}),
    "alg null": (token({"alg": None}), "bad_header", "`alg`", {}),
    "alg list": (token({"alg": ["HS256"]}), "bad_header", "`alg`", {}),
    "alg number": (token({"alg": 256}), "bad_header", "`alg`", {}),
    "alg long": (token({"alg": "H" * 257}), "bad_header", "`alg`", {}),
    "kid null": (token({"kid": None}), "bad_header", "`kid`", {}),
    "kid number": (token({"kid": 1}), "bad_header", "`kid`", {}),
    "kid long": (token({"kid": "k" * 257}), "bad_header", "`kid`", {}),
    "typ null": (token({"typ": None}), "bad_header", "`typ`", {}),
    "typ object": (token({"typ": {}}), "bad_header", "`typ`", {}),
    "crit": (token({"crit": ["exp"]}), "critical_header", "`crit`", {}),
    "crit empty": (token({"crit": []}), "critical_header", "`crit`", {}),
    "crit b64": (token({"crit": ["b64"], "b64": True}), "critical_header", "`crit`", {}),
    "b64 true": (token({"b64": True}), "critical_header", "`b64`", {}),
    "b64 false": (token({"b64": False}), "critical_header", "`b64`", {}),
    "alg none": (token({"alg": "none"}), "wrong_algorithm", "`alg` is `none`; `corp` can verify `HS256`", {}),
    "alg nOnE": (token({"alg": "nOnE"}), "wrong_algorithm", "`nOnE`", {}),
    "alg empty": (token({"alg": ""}), "wrong_algorithm", "``", {}),
    "alg in another case": (token({"alg": "hs256"}), "wrong_algorithm", "`hs256`", {}),
    "alg not allowed": (token({"alg": "HS512"}), "wrong_algorithm", "`HS512`", {}),
    "alg lies": (sign({"alg": "HS256"}, claims(), "HS512"), "bad_signature", "not by a key of `corp`", {}),
    "other secret": (sign({"alg": "HS256"}, claims(), key=SECRET[1:]), "bad_signature", "`corp`", {}),
    "empty secret": (sign({"alg": "HS256"}, claims(), key=b""), "bad_signature", "`corp`", {}),
    "expired and forged": (sign({"alg": "HS256"}, claims(exp=1), key=b"x"), "bad_signature", "`corp`", {}),
    "payload no object": (sign({"alg": "HS256"}, ["iss"]), "bad_payload", "not a JSON object", {}),
    "payload a string": (sign({"alg": "HS256"}, "text"), "bad_payload", "not a JSON object", {}),
    "payload no JSON": (sign({"alg": "HS256"}, b"x"), "bad_payload", "not JSON", {}),
    "payload a token": (sign({"alg": "HS256", "cty": "JWT"}, GOOD.encode()), "bad_payload", "not JSON", {}),
    "payload no UTF-8": (sign({"alg": "HS256"}, b'{"sub":"\xff"}'), "bad_payload", "UTF-8", {}),
    "payload twice sub": (
        sign({"alg": "HS256"}, json.dumps(claims())[:-1].encode() + b',"sub":"root"}'),
        "bad_payload",
        "twice",
        {},
    ),
    "payload deep": (token(x=json.loads("[" * 900 + "]" * 900)), "bad_payload", "deeper", {}),
    "payload surrogate": (token(sub="\ud800"), "bad_payload", "surrogate", {}),
    "payload NaN": (token(exp=float("nan")), "bad_payload", "NaN", {}),
    "payload infinity": (token(exp=float("inf")), "bad_payload", "Infinity", {}),
    "payload 1e400": (sign({"alg": "HS256"}, b'{"exp":1e400}'), "bad_payload", "out of range", {}),
    "payload 5000 digits": (
        sign({"alg": "HS256"}, b'{"x":' + b"1" * 5000 + b"}"),
        "bad_payload",
        "64 bits",
        {},
    ),
    "exp 10**400": (token(exp=HUGE), "bad_payload", "64 bits", {}),
    "no iss": (token(iss=...), "unknown_issuer", "no `iss`", {}),
    "iss null": (token(iss=None), "unknown_issuer", "no `iss`", {}),
    "iss list": (token(iss=["https://corp.example.com"]), "unknown_issuer", "no `iss`", {}),
    "iss with a slash": (
        token(iss="https://corp.example.com/"),
        "unknown_issuer",
        "`https://corp.example.com/`; the nearest that is configured is `https://corp.example.com`",
        {},
    ),
    "iss a prefix": (token(iss="https://corp.example.co"), "unknown_issuer", "nearest", {}),
    "iss in capitals": (token(iss="https://CORP.example.com"), "unknown_issuer", "nearest", {}),
    "iss with a line break": (token(iss="a\nfake: line"), "unknown_issuer", "`a\\nfake: line`", {}),
    "iss very long": (token(iss="h" * 9000), "unknown_issuer", "h" * 120 + "…`", {}),
    "use": (GOOD, "not_for_this_use", "are for `api`, `admin`, not for `connect`", {"use": ("api", "admin")}),
    "no typ": (sign({"alg": "HS256"}, claims()), "wrong_type", "has no `typ`", {"types": ("JWT",)}),
    "typ logout": (token({"typ": "logout+jwt"}), "wrong_type", "this is a logout token", {}),
    "typ event": (token({"typ": "application/secevent+jwt"}), "wrong_type", "a security event", {}),
    "typ DPoP": (token({"typ": "dpop+jwt"}), "wrong_type", "a DPoP proof", {}),
    "typ ticket": (token({"typ": "ticket+jwt"}), "wrong_type", "a ticket", {}),
    "typ empty": (token({"typ": ""}), "wrong_type", "``", {}),
    "typ not listed": (token(), "wrong_type", "`types` of `corp` accepts `at+jwt`", {"types": ("at+jwt",)}),
    "no exp": (token(exp=...), "bad_time", "no `exp`", {}),
    "no iat": (token(iat=...), "bad_time", "no `iat`, from which `max_age` of `corp` counts: let", {}),
    "exp null": (token(exp=None), "bad_time", "`exp` of the token is not a number", {}),
    "exp a string": (token(exp="9999999999"), "bad_time", "`exp`", {}),
    "exp true": (token(exp=True), "bad_time", "`exp`", {}),
    "exp a list": (token(exp=[LATER]), "bad_time", "`exp`", {}),
    "exp 1e308": (token(exp=1e308), "bad_time", "not a time in seconds", {}),
    "exp 2**64-1": (token(exp=2**64 - 1), "bad_time", "not a time in seconds", {}),
    "exp negative": (token(exp=-1), "bad_time", "not a time in seconds", {}),
    "exp in milliseconds": (token(exp=LATER * 1000), "bad_time", "(in milliseconds?)", {}),
    "iat a string": (token(iat=str(NOW)), "bad_time", "`iat`", {}),
    "iat false": (token(iat=False), "bad_time", "`iat`", {}),
    "iat negative": (token(iat=-1), "bad_time", "`iat`", {}),
    "iat -1e308": (token(iat=-1e308), "bad_time", "`iat`", {}),
    "iat in milliseconds": (token(iat=int(NOW) * 1000), "bad_time", "`iat`", {}),
    "nbf null": (token(nbf=None), "bad_time", "`nbf`", {}),
    "nbf a string": (token(nbf="0"), "bad_time", "`nbf`", {}),
    "nbf 1e308": (token(nbf=1e308), "bad_time", "`nbf`", {}),
    "iat in the future": (token(iat=NOW + 95), "not_yet_valid", "issued 95 s in the future", {}),
    "iat just beyond leeway": (token(iat=NOW + 30.5), "not_yet_valid", "`leeway` of `corp` is 30 s", {}),
    "iat without leeway": (token(iat=NOW + 1), "not_yet_valid", "1.0 s", {"leeway": 0.0}),
    "iat by a part of a second": (token(iat=NOW + 30.4), "not_yet_valid", "issued 31 s in the future", {}),
    "nbf in the future": (token(nbf=NOW + 31), "not_yet_valid", "becomes valid 31 s", {}),
    "no aud": (token(aud=...), "wrong_audience", "`aud` is missing; `corp` wants `realtime`", {}),
    "aud null": (token(aud=None), "wrong_audience", "neither a string nor a list", {}),
    "aud number": (token(aud=5), "wrong_audience", "neither", {}),
    "aud object": (token(aud={"realtime": 1}), "wrong_audience", "neither", {}),
    "aud mixed list": (token(aud=["realtime", 5]), "wrong_audience", "neither", {}),
    "aud nested": (token(aud=[["realtime"]]), "wrong_audience", "neither", {}),
    "aud empty": (token(aud=[]), "wrong_audience", "names no one", {}),
    "aud empty string": (token(aud=""), "wrong_audience", "names ``", {}),
    "aud of another": (
        token(aud="account"),
        "wrong_audience",
        "names `account`; `corp` wants `realtime`",
        {},
    ),
    "aud holds it as a part": (token(aud="not-realtime-at-all"), "wrong_audience", "wants", {}),
    "aud in capitals": (token(aud="Realtime"), "wrong_audience", "wants", {}),
    "many aud": (token(aud=[str(i) for i in range(9)]), "wrong_audience", "`4` and 4 more", {}),
    "an ID token": (token(aud="web", nonce="n"), "wrong_audience", "looks like an ID token", {}),
    "an ID token with at_hash": (token(aud="web", at_hash="n"), "wrong_audience", "like an ID token", {}),
    "an ID token with c_hash": (token(aud="web", c_hash="n"), "wrong_audience", "like an ID token", {}),
    "audience elsewhere": (
        token(),
        "wrong_audience",
        "`client_id` is missing",
        {"audience_claim": "client_id"},
    ),
    "no sub": (token(sub=...), "bad_subject", "`sub`", {}),
    "sub null": (token(sub=None), "bad_subject", "`sub`", {}),
    "sub with a fraction": (token(sub=5.0), "bad_subject", "`sub`", {}),
    "sub true": (token(sub=True), "bad_subject", "`sub`", {}),
    "sub list": (token(sub=["5"]), "bad_subject", "`sub`", {}),
    "sub empty": (token(sub=""), "bad_subject", "`sub`", {}),
    "sub long": (token(sub="s" * 513), "bad_subject", "512", {}),
    "sub elsewhere": (token(), "bad_subject", "`oid`", {"subject": ("oid",)}),
    "nothing at the path": (token(user={}), "bad_subject", "`[user, id]`", {"subject": ("user", "id")}),
    "no object on the path": (token(user="id"), "bad_subject", "`[user, id]`", {"subject": ("user", "id")}),
    "a list on the path": (
        token(user=[{"id": "1"}]),
        "bad_subject",
        "`[user, id]`",
        {"subject": ("user", "id")},
    ),
    "an object at the path": (
        token(user={"id": {}}),
        "bad_subject",
        "`[user, id]`",
        {"subject": ("user", "id")},
    ),
    "a dot is not a path": (token(user={"id": "42"}), "bad_subject", "`user.id`", {"subject": ("user.id",)}),
    "required, absent": (token(), "requirement", "no `token_use`", {"require": {"token_use": "access"}}),
    "required, other": (
        token(v="2"),
        "requirement",
        "`v` is not what `corp` requires",
        {"require": {"v": "1"}},
    ),
    "required 1, true": (token(v=True), "requirement", "`v`", {"require": {"v": 1}}),
    "required true, 1": (token(v=1), "requirement", "`v`", {"require": {"v": True}}),
    "required false, 0": (token(v=0), "requirement", "`v`", {"require": {"v": False}}),
    "required 1, '1'": (token(v="1"), "requirement", "`v`", {"require": {"v": 1}}),
    "required, null": (token(v=None), "requirement", "`v`", {"require": {"v": "x"}}),
    "required, a list": (token(v=["x"]), "requirement", "`v`", {"require": {"v": "x"}}),
    "no iat, no exp": (token(iat=..., exp=...), "bad_time", "no `exp`", {"max_age": None}),
    "a null iat": (token(iat=None), "bad_time", "`iat`", {"max_age": None}),
    "a text as iat": (token(iat="1"), "bad_time", "`iat`", {"max_age": None}),
    "iat ahead, age unlimited": (token(iat=NOW + 31), "not_yet_valid", "issued", {"max_age": None}),
    "nbf ahead, no iat": (token(iat=..., nbf=NOW + 31), "not_yet_valid", "becomes valid", {"max_age": None}),
    "ends too far ahead": (token(exp=NOW + 400 * 86400 + 1), "bad_time", "400 d", {"max_age": None}),
    "required, an ID token": (
        token(v="id", token_use="id"),
        "requirement",
        "ID token",
        {"require": {"v": "access"}},
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    text, reason, part, settings = REFUSED[name]
    result = refusal(text, secret_set(**settings))
    assert (result.code, result.reason) == (Code.TOKEN_INVALID, reason), result
    assert part in result.detail
    assert result.detail.isprintable()
    assert len(result.detail) < 400


EXPIRED = {
    "now": (token(exp=NOW), "expired", "0.0 s ago", {}),
    "exactly, whatever the leeway": (token(exp=NOW - 1), "expired", "1.0 s ago", {"leeway": 60.0}),
    "long ago": (token(exp=5), "expired", "ago", {}),
    "zero": (token(exp=0), "expired", "ago", {}),
    "too old": (
        token(iat=NOW - 86400),
        "too_old",
        "issued 1 d (86400 s) ago, and `max_age` of `corp` is 1 d (86400 s)",
        {},
    ),
    "no iat": (token(iat=..., exp=NOW - 1), "expired", "1.0 s ago", {"max_age": None}),
    "too old, exp far away": (token(iat=NOW - 90, exp=253402300799), "too_old", "60 s", {"max_age": 60.0}),
}


@pytest.mark.parametrize("name", EXPIRED)
def test_expired(name: str) -> None:
    text, reason, part, settings = EXPIRED[name]
    result = refusal(text, secret_set(**settings))
    assert (result.code, result.reason) == (Code.TOKEN_EXPIRED, reason)
    assert part in result.detail


def test_a_session_ends_at_the_earlier_of_exp_and_max_age() -> None:
    assert accepted(token(exp=NOW + 10)).ends_at == NOW + 10
    assert accepted(token(iat=NOW - 60, exp=NOW + 600), secret_set(max_age=100.0)).ends_at == NOW + 40
    assert accepted(token(iat=NOW - 60, exp=253402300799)).ends_at == NOW - 60 + 86400
    assert accepted(token(iat=..., exp=NOW + 600), secret_set(max_age=None)).ends_at == NOW + 600
    assert accepted(token(iat=5, exp=NOW + 600), secret_set(max_age=None)).ends_at == NOW + 600


SENTENCES = [
    (token(exp=1e308), {}, "`exp` of the token is not a time in seconds"),
    (token(exp=253402300799 * 1000 + 1), {}, "`exp` of the token is not a time in seconds"),
    (token(exp=253402300799 * 1000), {}, "`exp` of the token is not a time in seconds (in milliseconds?)"),
    (token(exp=253402300800), {}, "`exp` of the token is not a time in seconds (in milliseconds?)"),
    (token(exp=NOW - 9.75), {}, "the token expired 9.8 s ago"),
    (token(exp=NOW - 10), {}, "the token expired 10 s ago"),
    (token(exp=NOW - 86213), {"max_age": 1e6}, "the token expired 23 h 56 min (86213 s) ago"),
    (
        token(aud="web"),
        {},
        "the token's `aud` names `web`; `corp` wants `realtime`: add that audience at the provider",
    ),
    (
        token(aud="web", typ="ID"),
        {},
        "the token's `aud` names `web`; `corp` wants `realtime`; it looks like an ID token: send the access token",
    ),
    (
        token({"typ": "x"}),
        {},
        "the token is of `typ` `x`, and `types` of `corp` accepts `absent`, `JWT`, `at+jwt`, `application/at+jwt`",
    ),
    (
        token({"typ": "Application/Logout+JWT"}),
        {"types": ("JWT",)},
        (
            "the token is of `typ` `Application/Logout+JWT`, and `types` of `corp` accepts `JWT`; "
            "this is a logout token: send the access token"
        ),
    ),
    (token(v="x"), {"require": {"v": "y"}}, "the token's `v` is not what `corp` requires"),
    (
        token(iss="x"),
        {},
        "no entry has the token's `iss`, `x`; the nearest that is configured is `https://corp.example.com`",
    ),
]


@pytest.mark.parametrize(("text", "settings", "sentence"), SENTENCES, ids=range(len(SENTENCES)))
def test_the_whole_sentence(text: str, settings: dict[str, Any], sentence: str) -> None:
    assert refusal(text, secret_set(**settings)).detail == sentence


def test_a_token_as_long_as_it_may_be() -> None:
    texts = (token(x="x" * size) for size in range(12_000, 12_300))
    longest = max((text for text in texts if len(text) <= 16384), key=len)
    assert len(longest) >= 16383
    accepted(longest)
    assert refusal(longest + "A" * (16385 - len(longest))).reason == "too_long"


def test_no_value_of_other_claims_is_in_a_detail() -> None:
    hidden = {"sub": 12345.678, "email": "alice@secret.example", "v": "hunter2", "nonce": "n-0S6_WzA2Mj"}
    for settings in (
        {},
        {"require": {"v": "x"}},
        {"subject": "email", "require": {"v": "x"}},
        {"audience": ("x",)},
    ):
        result = refusal(token(**hidden), secret_set(**settings))
        assert not any(str(value) in result.detail for value in hidden.values()), result


# --- keys and algorithms ------------------------------------------------------------------------------------


def test_a_public_key_is_never_a_secret() -> None:
    who = entry(kind="public_key_file", algorithms=("RS256",))
    keys = KeySet.build([who], keys_of(who, pem(RSA)))
    public = pem(RSA)
    for secret in (public, public.strip(), public.replace(b"\n", b""), b"".join(public.splitlines()[1:-1])):
        result = refusal(sign({"alg": "HS256"}, claims(), key=secret), keys)
        assert result.reason == "wrong_algorithm"


def test_an_algorithm_counts_only_for_the_key_it_fits() -> None:
    who = entry(algorithms=("RS256", "ES256"))
    keys = KeySet.build(
        [who], keys_of(who, jwks(jwk(RSA.public_key(), kid="r"), jwk(P256.public_key(), kid="e")))
    )
    assert accepted(sign({"alg": "RS256", "kid": "r"}, claims(), "RS256", RSA), keys)
    assert accepted(sign({"alg": "ES256", "kid": "e"}, claims(), "ES256", P256), keys)
    assert refusal(sign({"alg": "RS256", "kid": "e"}, claims(), "RS256", RSA), keys).reason == "unknown_key"
    assert refusal(sign({"alg": "ES256", "kid": "r"}, claims(), "ES256", P256), keys).reason == "unknown_key"
    assert (
        refusal(sign({"alg": "PS256", "kid": "r"}, claims(), "PS256", RSA), keys).reason == "wrong_algorithm"
    )


def test_a_key_in_the_header_is_never_used() -> None:
    own = private_key("p256", "mallory")
    who = entry(algorithms=("ES256",))
    keys = KeySet.build([who], keys_of(who, jwks(P256)))
    header = {
        "alg": "ES256",
        "jwk": jwk(own.public_key()),
        "jku": "http://127.0.0.1:1/",
        "x5u": "file:///dev/zero",
    }
    assert refusal(sign(header, claims(), "ES256", own), keys).reason == "bad_signature"


def test_kid_picks_among_the_keys() -> None:
    old, new = private_key("p256", "old"), private_key("p256", "new")
    who = entry(algorithms=("ES256",))
    keys = KeySet.build(
        [who], keys_of(who, jwks(jwk(old.public_key(), kid="old"), jwk(new.public_key(), kid="new")))
    )
    for name, key in (("old", old), ("new", new)):
        assert accepted(sign({"alg": "ES256", "kid": name}, claims(), "ES256", key), keys)
        assert accepted(sign({"alg": "ES256"}, claims(), "ES256", key), keys), "without kid each key is tried"
    assert (
        refusal(sign({"alg": "ES256", "kid": "old"}, claims(), "ES256", new), keys).reason == "bad_signature"
    )
    assert refusal(sign({"alg": "ES256", "kid": "NEW"}, claims(), "ES256", new), keys).reason == "unknown_key"
    assert refusal(sign({"alg": "ES256", "kid": ""}, claims(), "ES256", new), keys).reason == "unknown_key"


@pytest.mark.parametrize(("count", "reason"), [(MAX_TRIED, None), (MAX_TRIED + 1, "ambiguous_key")])
def test_tries_without_kid_are_bounded(count: int, reason: str | None) -> None:
    pairs = [private_key("p256", str(i)) for i in range(count)]
    who = entry(algorithms=("ES256",))
    keys = KeySet.build(
        [who], keys_of(who, jwks(*(jwk(p.public_key(), kid=str(i)) for i, p in enumerate(pairs))))
    )
    result = judged(sign({"alg": "ES256"}, claims(), "ES256", pairs[-1]), keys)
    assert getattr(result, "reason", None) == reason
    assert accepted(sign({"alg": "ES256", "kid": str(count - 1)}, claims(), "ES256", pairs[-1]), keys)


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_two_issuers_with_one_kid_never_verify_each_others_tokens(order: tuple[str, str]) -> None:
    pairs = {name: private_key("p256", name) for name in order}
    entries = [entry(name, algorithms=("ES256",)) for name in order]
    read = [key for who in entries for key in keys_of(who, jwks(jwk(pairs[who.name].public_key(), kid="1")))]
    keys = KeySet.build(entries, read)

    def made(issuer: str, signer: str) -> str:
        body = claims(iss=f"https://{issuer}.example.com")
        return sign({"alg": "ES256", "kid": "1"}, body, "ES256", pairs[signer])

    for issuer in order:
        for signer in order:
            result = judged(made(issuer, signer), keys)
            assert isinstance(result, Verified) == (issuer == signer)
            if isinstance(result, Verified):
                assert result.subject == (issuer, "alice")


def test_an_entry_without_keys_is_unavailable_not_invalid() -> None:
    who, other = entry(kind="secret_file"), entry("other", kind="secret_file")
    keys = KeySet.build([who, other], keys_of(other, SECRET))
    assert keys.pending == (who.name,)
    result = refusal(GOOD, keys)
    assert (result.code, result.reason) == (Code.KEYS_UNAVAILABLE, "no_keys")


def test_without_entries_every_token_is_refused() -> None:
    assert (
        refusal(GOOD, KeySet.build()).detail == "no entry has the token's `iss`, `https://corp.example.com`"
    )


def test_the_nearest_issuer_is_named() -> None:
    names = (
        "https://id.example.com/realms/a",
        "https://id.example.com/realms/acme",
        "https://other.example.com",
    )
    keys = KeySet.build([entry(f"e{index}", issuer=name) for index, name in enumerate(names)])
    for issuer, nearest in [
        ("https://id.example.com/realms/acme/", names[1]),
        ("https://id.example.com/realms/b", names[0]),
        ("https://other.example.org", names[2]),
        ("https://o", names[2]),
    ]:
        assert f"configured is `{nearest}`" in refusal(token(iss=issuer), keys).detail


def test_use_and_accepted_entries_narrow() -> None:
    keys = secret_set(use=("connect", "admin"))
    assert accepted(GOOD, keys, use="connect")
    assert accepted(GOOD, keys, use="admin", accept=None)
    assert refusal(GOOD, keys, use="api").reason == "not_for_this_use"
    assert accepted(GOOD, keys, accept=(EntryName("x"), EntryName("corp")))
    assert "tokens of `x`" in refusal(GOOD, keys, accept=(EntryName("x"),)).detail
    nowhere = refusal(GOOD, keys, accept=())
    assert nowhere.reason == "not_accepted_here"
    assert nowhere.detail.endswith("tokens of none")


def test_key_sets_are_immutable_and_leave_out_keys_of_others() -> None:
    who: IssuerEntry = entry(kind="secret_file")
    (key,) = keys_of(who, SECRET)
    assert not KeySet.build([entry("b", kind="secret_file")], [key]).has_key(who.name, key.thumbprint)
    keys = KeySet.build([who], [key])
    assert keys.find_entry(who.name) is who
    assert keys.find_entry(EntryName("b")) is None
    assert keys.has_key(who.name, key.thumbprint)
    assert not keys.has_key(who.name, key.thumbprint, "HS512")
    assert not keys.has_key(EntryName("b"), key.thumbprint)
    with pytest.raises(AttributeError):
        keys.keys = {}  # type: ignore[misc]
    with pytest.raises(TypeError):
        keys.keys[who.name] = ()  # type: ignore[index]


# --- properties ---------------------------------------------------------------------------------------------

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.mark.parametrize("instead", ["other", "last", ".", "=", "\0"])
def test_a_change_of_any_character_is_refused(instead: str) -> None:
    for index, character in enumerate(GOOD):
        at = ALPHABET.find(character)
        new = {"other": ALPHABET[at ^ 32], "last": ALPHABET[at ^ 1]}.get(instead, instead)
        if new != character:
            assert isinstance(judged(GOOD[:index] + new + GOOD[index + 1 :]), Rejected), index


@pytest.mark.parametrize("name", ["rsa", "p256", "ed25519"])
def test_a_change_of_any_character_of_a_public_key_signature_is_refused(name: str) -> None:
    algorithm = {"rsa": "RS256", "p256": "ES256", "ed25519": "EdDSA"}[name]
    who = entry()
    keys = KeySet.build([who], keys_of(who, jwks(private_key(name))))
    made = sign({"alg": algorithm}, claims(), algorithm, private_key(name))
    accepted(made, keys)
    for index in range(made.rindex(".") + 1, len(made)):
        flipped = ALPHABET[ALPHABET.find(made[index]) ^ 1]
        assert isinstance(judged(made[:index] + flipped + made[index + 1 :], keys), Rejected), index


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def test_tokens_of_one_issuer_share_the_texts_of_its_entry() -> None:
    one = accepted(token(sub="a")).claims
    other = accepted(token(sub="b", aud=["realtime", "x"])).claims
    [who] = KEYS.entries.values()
    assert one["iss"] is other["iss"] is who.issuer
    assert one["aud"] is who.audience[0]
    assert other["aud"] == ["realtime", "x"]


@pytest.mark.parametrize(
    ("claim", "value", "subject"),
    [
        ("sub", 5, "5"),
        ("sub", -1, "-1"),
        ("sub", 2**64 - 1, str(2**64 - 1)),
        ("oid", 0, "0"),
        ("sub", "5", "5"),
    ],
)
def test_an_integer_names_a_user_by_its_decimal_form(claim: str, value: object, subject: str) -> None:
    assert accepted(token(**{claim: value}), secret_set(subject=(claim,))).subject == Subject(
        EntryName("corp"), subject
    )


def test_nothing_of_a_forged_token_stays_in_memory() -> None:
    """On Python 3.12 a string is never freed once it is interned, and the names in a token are anybody's choice."""
    name = secrets.token_hex()
    text = sign({"alg": "HS256"}, {**claims(), name: 1, "deep": {name: 1}}, key=SECRET[::-1])
    assert refusal(text).reason == "bad_signature"
    assert name not in footprint._NAMES
    again = "".join(list(name))
    assert sys.intern(again) is again, "another one was interned before"


@given(st.text() | st.text(alphabet=ALPHABET + ".=", max_size=200))
@example("..")
@example("e30.e30.e30")
def test_any_text_is_refused_and_raises_nothing(text: str) -> None:
    assert isinstance(judged(text), Rejected)


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_any_signed_bytes_give_a_value(header: bytes, payload: bytes) -> None:
    assert isinstance(judged(sign(header, payload)), Rejected)


@given(st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jwk", "x5c", "zip"]), JSON))
def test_any_header_gives_a_value(header: dict[str, Any]) -> None:
    judged(token(header))


@given(st.dictionaries(st.sampled_from(["iss", "aud", "sub", "exp", "iat", "nbf", "x"]), JSON), st.booleans())
def test_any_claims_give_a_value_and_what_passes_keeps_the_rules(body: dict[str, Any], alone: bool) -> None:
    result = judged(sign({"alg": "HS256"}, body if alone else claims(**body)))
    if isinstance(result, Verified):
        held = result.claims
        assert not {type(held["exp"]), type(held["iat"])} - {int, float}
        assert held["exp"] >= result.ends_at > NOW
        assert held["aud"] == "realtime" or "realtime" in held["aud"]
        assert isinstance(held["sub"], str)


@given(
    st.dictionaries(st.sampled_from(["exp", "iat", "nbf"]), JSON | st.floats(NOW - 2e8, NOW + 2e8)),
    st.sampled_from([None, 3600.0]),
)
def test_no_token_without_iat_passes_unless_the_age_is_unlimited(
    body: dict[str, Any], max_age: float | None
) -> None:
    result = judged(
        sign({"alg": "HS256"}, {**claims(exp=NOW + 600, iat=...), **body}), secret_set(max_age=max_age)
    )
    if isinstance(result, Verified):
        assert max_age is None or "iat" in result.claims
        assert max_age is not None or result.claims["exp"] <= NOW + 400 * 86400
        assert NOW < result.ends_at <= result.claims["exp"]
