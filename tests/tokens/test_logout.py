"""Logout tokens, good and bad, and that neither kind of token ever passes for the other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from compartmentd.policy.codes import Code
from compartmentd.tokens.entry import LogoutSettings
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.logout import LONGEST_LIFE, LogoutToken, ReplayCache, verify_logout
from compartmentd.tokens.rejected import Rejected, RejectReason
from compartmentd.tokens.security_events import LOGOUT_EVENT
from compartmentd.tokens.verify import Verified, verify
from tests.tokens import forge
from tests.tokens.forge import NOW, claims, secret_set, sign, token

CLIENT = "chat-client"
KEYS = secret_set(logout=LogoutSettings((CLIENT, "other-client")))
EVENTS = {LOGOUT_EVENT: {}}


def body(**changed: Any) -> dict[str, Any]:
    """Return the claims of a good logout token; `...` leaves one out."""
    good = {
        "aud": CLIENT,
        "iat": int(NOW),
        "exp": int(NOW) + 120,
        "jti": "1a2b",
        "sid": "session-1",
        "events": EVENTS,
    }
    return claims(**{**good, **changed})


def logout_token(header: dict[str, Any] | None = None, /, **changed: Any) -> str:
    return sign({"alg": "HS256", "typ": "logout+jwt", **(header or {})}, body(**changed))


def judged(text: str, keys: KeySet = KEYS, now: float = NOW) -> LogoutToken | Rejected:
    return verify_logout(text, keys, now)


# --- good -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typ", ["logout+jwt", "LOGOUT+JWT", "application/logout+jwt", "JWT", "jwt"])
def test_a_logout_token_of_any_usual_type_counts(typ: str) -> None:
    found = judged(logout_token({"typ": typ}))
    assert isinstance(found, LogoutToken)
    assert (found.entry, found.issuer, found.jti) == ("corp", "https://corp.example.com", "1a2b")
    assert (found.sub, found.sid, found.issued_at) == ("alice", "session-1", NOW)


def test_older_providers_send_no_type() -> None:
    assert isinstance(judged(sign({"alg": "HS256"}, body())), LogoutToken)


@pytest.mark.parametrize(
    ("changed", "sub", "sid"),
    [({"sid": ...}, "alice", None), ({"sub": ...}, None, "session-1"), ({}, "alice", "session-1")],
)
def test_it_names_a_subject_a_session_or_both(
    changed: dict[str, Any], sub: str | None, sid: str | None
) -> None:
    found = judged(logout_token(**changed))
    assert isinstance(found, LogoutToken)
    assert (found.sub, found.sid) == (sub, sid)


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": [CLIENT, "somebody-else"]},
        {"aud": "other-client"},
        {"events": {LOGOUT_EVENT: {"reason": "x"}, "https://example.com/more": {}}},
        {"exp": int(NOW) + LONGEST_LIFE},
        {"iat": int(NOW) + 30, "exp": int(NOW) + 60},
        {"iat": NOW - 200, "exp": NOW - 29.5},
        {"auth_time": 5, "acr": "x"},
        {"iat": int(NOW), "exp": int(NOW) + 1},
        {"jti": "x" * 512, "sid": "x" * 512},
    ],
)
def test_what_else_counts(changed: dict[str, Any]) -> None:
    assert isinstance(judged(logout_token(**changed)), LogoutToken)


def test_a_public_key_verifies_it_as_it_does_access_tokens() -> None:
    key = forge.private_key("rsa")
    entry = forge.entry(logout=LogoutSettings((CLIENT,)))
    keys = KeySet.build([entry], forge.keys_of(entry, forge.jwks(key)))
    good = sign({"alg": "RS256", "typ": "logout+jwt"}, body(), "RS256", key)
    assert isinstance(judged(good, keys), LogoutToken)
    confused = sign({"alg": "HS256", "typ": "logout+jwt"}, body(), "HS256", forge.jwks(key))
    refused = judged(confused, keys)
    assert isinstance(refused, Rejected)
    assert refused.reason is RejectReason.WRONG_ALGORITHM


# --- bad ------------------------------------------------------------------------------------------------------

BAD_CLAIMS: list[tuple[dict[str, Any], RejectReason]] = [
    ({"iss": ...}, RejectReason.UNKNOWN_ISSUER),
    ({"iss": 5}, RejectReason.UNKNOWN_ISSUER),
    ({"iss": ["https://corp.example.com"]}, RejectReason.UNKNOWN_ISSUER),
    ({"iss": "https://corp.example.com/"}, RejectReason.UNKNOWN_ISSUER),
    ({"aud": ...}, RejectReason.WRONG_AUDIENCE),
    ({"aud": "realtime"}, RejectReason.WRONG_AUDIENCE),
    ({"aud": []}, RejectReason.WRONG_AUDIENCE),
    ({"aud": [CLIENT, 5]}, RejectReason.WRONG_AUDIENCE),
    ({"aud": {CLIENT: 1}}, RejectReason.WRONG_AUDIENCE),
    ({"aud": None}, RejectReason.WRONG_AUDIENCE),
    ({"iat": ...}, RejectReason.BAD_TIME),
    ({"iat": str(int(NOW))}, RejectReason.BAD_TIME),
    ({"iat": True}, RejectReason.BAD_TIME),
    ({"iat": -1, "exp": 10}, RejectReason.BAD_TIME),
    ({"exp": ...}, RejectReason.BAD_TIME),
    ({"exp": None}, RejectReason.BAD_TIME),
    ({"exp": "soon"}, RejectReason.BAD_TIME),
    ({"exp": int(NOW) + LONGEST_LIFE + 1}, RejectReason.BAD_TIME),
    ({"exp": int(NOW)}, RejectReason.BAD_TIME),
    ({"exp": 1e308}, RejectReason.BAD_TIME),
    ({"iat": int(NOW) + 31, "exp": int(NOW) + 60}, RejectReason.NOT_YET_VALID),
    ({"iat": NOW - 100, "exp": NOW - 30}, RejectReason.EXPIRED),
    ({"jti": ...}, RejectReason.BAD_SUBJECT),
    ({"jti": ""}, RejectReason.BAD_SUBJECT),
    ({"jti": 7}, RejectReason.BAD_SUBJECT),
    ({"jti": None}, RejectReason.BAD_SUBJECT),
    ({"jti": "x" * 513}, RejectReason.BAD_SUBJECT),
    ({"sub": ..., "sid": ...}, RejectReason.BAD_SUBJECT),
    ({"sub": 5.5}, RejectReason.BAD_SUBJECT),
    ({"sub": None}, RejectReason.BAD_SUBJECT),
    ({"sub": ""}, RejectReason.BAD_SUBJECT),
    ({"sid": ["session-1"]}, RejectReason.BAD_SUBJECT),
    ({"sid": ""}, RejectReason.BAD_SUBJECT),
    ({"sid": "x" * 513}, RejectReason.BAD_SUBJECT),
    ({"events": ...}, RejectReason.NO_LOGOUT_EVENT),
    ({"events": None}, RejectReason.NO_LOGOUT_EVENT),
    ({"events": {}}, RejectReason.NO_LOGOUT_EVENT),
    ({"events": [LOGOUT_EVENT]}, RejectReason.NO_LOGOUT_EVENT),
    ({"events": LOGOUT_EVENT}, RejectReason.NO_LOGOUT_EVENT),
    ({"events": {LOGOUT_EVENT: None}}, RejectReason.NO_LOGOUT_EVENT),
    ({"events": {LOGOUT_EVENT: []}}, RejectReason.NO_LOGOUT_EVENT),
    ({"events": {LOGOUT_EVENT: True}}, RejectReason.NO_LOGOUT_EVENT),
    ({"events": {LOGOUT_EVENT + "/": {}}}, RejectReason.NO_LOGOUT_EVENT),
    ({"events": {LOGOUT_EVENT.replace("http:", "https:"): {}}}, RejectReason.NO_LOGOUT_EVENT),
    ({"nonce": "n"}, RejectReason.HAS_NONCE),
    ({"nonce": None}, RejectReason.HAS_NONCE),
]


@pytest.mark.parametrize(("changed", "reason"), BAD_CLAIMS)
def test_what_is_wrong_with_the_claims_is_named(changed: dict[str, Any], reason: RejectReason) -> None:
    refused = judged(logout_token(**changed))
    assert isinstance(refused, Rejected)
    assert (refused.code, refused.reason) == (Code.TOKEN_INVALID, reason)
    assert "session-1" not in refused.detail
    assert "alice" not in refused.detail


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"typ": "at+jwt"}, RejectReason.WRONG_TYPE),
        ({"typ": "secevent+jwt"}, RejectReason.WRONG_TYPE),
        ({"typ": "dpop+jwt"}, RejectReason.WRONG_TYPE),
        ({"typ": "logout"}, RejectReason.WRONG_TYPE),
        ({"alg": "none"}, RejectReason.WRONG_ALGORITHM),
        ({"alg": "HS512"}, RejectReason.WRONG_ALGORITHM),
        ({"crit": ["exp"]}, RejectReason.CRITICAL_HEADER),
        ({"typ": 5}, RejectReason.BAD_HEADER),
    ],
)
def test_what_is_wrong_with_the_header_is_named(header: dict[str, Any], reason: RejectReason) -> None:
    refused = judged(logout_token(header))
    assert isinstance(refused, Rejected)
    assert refused.reason is reason
    if reason is RejectReason.WRONG_TYPE:
        assert f"`{header['typ']}`" in refused.detail


def test_the_wanted_audience_is_named() -> None:
    for audience in ("realtime", 5):
        refused = judged(logout_token(aud=audience))
        assert isinstance(refused, Rejected)
        assert "`logout.audience` of `corp` wants `chat-client`" in refused.detail


@pytest.mark.parametrize(("changed", "_"), BAD_CLAIMS)
def test_the_signature_comes_before_every_claim_but_the_issuer(
    changed: dict[str, Any], _: RejectReason
) -> None:
    forged = sign({"alg": "HS256", "typ": "logout+jwt"}, body(**changed), "HS256", b"x" * 64)
    refused = judged(forged)
    assert isinstance(refused, Rejected)
    assert refused.reason in {RejectReason.BAD_SIGNATURE, RejectReason.UNKNOWN_ISSUER}


def test_an_entry_without_logout_takes_none() -> None:
    refused = judged(logout_token(), secret_set())
    assert isinstance(refused, Rejected)
    assert refused.reason is RejectReason.NOT_FOR_THIS_USE


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_a_value(text: str) -> None:
    assert isinstance(judged(text), Rejected)


# --- neither passes for the other ------------------------------------------------------------------------------


def test_a_payload_that_is_no_object_is_named() -> None:
    header, _, signature = logout_token().split(".")
    rejected = judged(f"{header}.W10.{signature}")
    assert isinstance(rejected, Rejected)
    assert rejected.reason is RejectReason.BAD_PAYLOAD


def test_an_access_token_logs_nobody_out() -> None:
    keys = secret_set(logout=LogoutSettings(("realtime",)))
    good = token(jti="1", sid="session-1")
    assert isinstance(verify(good, keys, "connect", NOW), Verified)
    assert isinstance(judged(good, keys), Rejected)


@pytest.mark.parametrize("typ", ["JWT", "logout+jwt", "at+jwt", None])
@pytest.mark.parametrize(
    "events",
    [
        EVENTS,
        {LOGOUT_EVENT: None},
        {"https://schemas.openid.net/secevent/caep/event-type/session-revoked": {}},
    ],
)
def test_a_logout_token_opens_nothing_even_where_the_client_is_the_audience(
    typ: str | None, events: dict[str, Any]
) -> None:
    header = {"alg": "HS256"} if typ is None else {"alg": "HS256", "typ": typ}
    text = sign(header, body(aud="realtime", events=events))
    for use in ("connect", "admin"):
        refused = verify(text, secret_set(use=("connect", "admin")), use, NOW)
        assert isinstance(refused, Rejected)
        assert refused.reason is RejectReason.WRONG_TYPE


@pytest.mark.parametrize("events", [["a"], "a", None, {"concert": 1}])
def test_an_access_token_may_have_a_claim_named_events(events: object) -> None:
    assert isinstance(verify(token(events=events), secret_set(), "connect", NOW), Verified)


# --- replays ---------------------------------------------------------------------------------------------------


def accepted(jti: str, **changed: Any) -> LogoutToken:
    found = judged(logout_token(jti=jti, **changed))
    assert isinstance(found, LogoutToken)
    return found


def test_a_token_counts_once_for_as_long_as_it_would_count() -> None:
    memory, first = ReplayCache(10), accepted("a")
    assert memory.register(first, NOW)
    assert not memory.register(first, NOW)
    assert memory.register(accepted("b"), NOW)
    last = NOW + 149.9
    assert isinstance(judged(logout_token(jti="a"), now=last), LogoutToken)
    assert not memory.register(first, last)
    assert isinstance(judged(logout_token(jti="a"), now=NOW + 150), Rejected)


def test_what_failed_may_come_again() -> None:
    memory, first = ReplayCache(10), accepted("a")
    assert memory.register(first, NOW)
    memory.forget(first)
    assert memory.register(first, NOW)
    assert not memory.register(first, NOW)


def test_what_was_forgotten_already_may_be_forgotten_again() -> None:
    memory = ReplayCache(10)
    for _ in range(2):
        memory.forget(accepted("a"))
    assert memory.register(accepted("a"), NOW)


def test_a_token_counts_again_at_the_moment_from_which_it_is_refused_anyway() -> None:
    memory, first = ReplayCache(10), accepted("a")
    assert memory.register(first, NOW)
    assert memory.register(first, first.remember_until)
    memory.register(accepted("b", exp=int(NOW) + 200), first.remember_until)
    assert len(memory) == 1, "what ends at this moment is forgotten"


def test_a_token_that_counts_again_is_the_newest() -> None:
    memory, long = ReplayCache(4), {"exp": int(NOW) + 200}
    short = accepted("short", exp=int(NOW) + 10)
    later = NOW + 100
    memory.register(accepted("one", **long), NOW)
    memory.register(short, NOW)
    memory.register(accepted("two", **long), NOW)
    assert memory.register(accepted("short", **long), later)
    for name in ("three", "four", "five"):
        assert memory.register(accepted(name, **long), later)
    assert not memory.register(accepted("short", **long), later)


def test_ids_belong_to_their_issuer() -> None:
    other_entry = forge.entry("other", "secret_file", logout=LogoutSettings((CLIENT,)))
    keys = KeySet.build([other_entry], forge.keys_of(other_entry, forge.SECRET))
    other = judged(logout_token(iss=other_entry.issuer, jti="a"), keys)
    assert isinstance(other, LogoutToken)
    memory = ReplayCache(10)
    assert memory.register(accepted("a"), NOW)
    assert memory.register(other, NOW)


def test_the_memory_is_bounded_and_forgets_what_has_expired() -> None:
    memory = ReplayCache(3)
    for number in range(10):
        assert memory.register(accepted(str(number)), NOW)
        assert len(memory) <= 3
    assert [memory.register(accepted(str(number)), NOW) for number in (8, 9)] == [False, False]
    memory.register(accepted("x"), NOW + 1000)
    assert len(memory) == 1


def test_a_logout_token_shows_nobody() -> None:
    assert repr(accepted("a")) == "LogoutToken(entry='corp')"
