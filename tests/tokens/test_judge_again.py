"""A live session's token under a new key set, as a reload judges it."""

from __future__ import annotations

from typing import Any

import pytest

from compartmentd.policy.codes import Code
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.verify import Rejected, Verified, reverify, verify
from tests.tokens.forge import NOW, SECRET, claims, entry, keys_of, secret_set, sign, token


def live(**changed: Any) -> Verified:
    verified = verify(token(**changed), secret_set(), "connect", NOW)
    assert isinstance(verified, Verified)
    return verified


def test_nothing_changed() -> None:
    before = live()
    assert reverify(before, secret_set(), "connect", NOW) is before


def test_a_change_that_allows_more_or_moves_the_end() -> None:
    assert isinstance(reverify(live(), secret_set(audience=("x", "realtime")), "connect", NOW), Verified)
    after = reverify(live(), secret_set(max_age=100.0), "connect", NOW)
    assert isinstance(after, Verified)
    assert after.ends_at == NOW + 40


def test_a_token_without_iat_is_revoked_when_a_reload_limits_the_age() -> None:
    live_one = verify(token(iat=...), secret_set(max_age=None), "connect", NOW)
    assert isinstance(live_one, Verified)
    assert reverify(live_one, secret_set(max_age=None), "connect", NOW) is live_one
    result = reverify(live_one, secret_set(), "connect", NOW)
    assert isinstance(result, Rejected)
    assert (result.code, result.reason) == (Code.REVOKED, "bad_time")


def test_an_age_that_a_reload_takes_the_limit_from_moves_the_end() -> None:
    after = reverify(live(), secret_set(max_age=None), "connect", NOW)
    assert isinstance(after, Verified)
    assert after.ends_at == after.claims["exp"]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"use": ("api",)}, "not_for_this_use"),
        ({"audience": ("other",)}, "wrong_audience"),
        ({"issuer": "https://other.example.com"}, "unknown_issuer"),
        ({"types": ("at+jwt",)}, "wrong_type"),
        ({"require": {"token_use": "access"}}, "requirement"),
        ({"subject": ("email",)}, "bad_subject"),
        ({"subject": ("oid",)}, "bad_subject"),
        ({"subject": ("oid", "id")}, "bad_subject"),
        ({"name": "renamed", "issuer": "https://corp.example.com"}, "key_removed"),
        ({"algorithms": ("HS512",)}, "key_removed"),
    ],
)
def test_what_the_entry_no_longer_accepts_is_revoked(settings: dict[str, Any], reason: str) -> None:
    result = reverify(live(oid="another"), secret_set(**settings), "connect", NOW)
    assert isinstance(result, Rejected)
    assert (result.code, result.reason) == (Code.REVOKED, reason)


def test_the_type_of_a_live_token_is_what_its_header_said() -> None:
    typed = verify(sign({"alg": "HS256", "typ": "at+jwt"}, claims()), secret_set(), "connect", NOW)
    assert isinstance(typed, Verified)
    assert reverify(typed, secret_set(types=("at+jwt",)), "connect", NOW) is typed


def test_a_removed_key_or_entry_or_acceptance_is_revoked() -> None:
    who = entry(kind="secret_file")
    sets = [
        (KeySet.build([who], keys_of(who, SECRET[::-1])), None, "key_removed"),
        (KeySet.build([who]), None, "key_removed"),
        (KeySet.build(), None, "unknown_issuer"),
        (secret_set(), (), "not_accepted_here"),
    ]
    for keys, accept, reason in sets:
        result = reverify(live(), keys, "connect", NOW, accept)
        assert isinstance(result, Rejected)
        assert (result.code, result.reason) == (Code.REVOKED, reason)
        if reason == "key_removed":
            assert result.detail == "`corp` no longer has the key that verified the token"


def test_time_ends_it_and_a_clock_set_back_does_not() -> None:
    for later, settings in ((600, {}), (50, {"max_age": 100.0})):
        result = reverify(live(), secret_set(**settings), "connect", NOW + later)
        assert isinstance(result, Rejected)
        assert result.code is Code.TOKEN_EXPIRED
    assert isinstance(reverify(live(nbf=NOW), secret_set(), "connect", NOW - 3600), Verified)
