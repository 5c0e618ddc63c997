from __future__ import annotations

from typing import Any

import jwt
import pytest

from compartmentd.errors import UsageError
from compartmentd.tokens.key import DEVELOPMENT_PREFIX
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.mint import LIFETIME, make_development_secret, mint_token
from compartmentd.tokens.verify import Verified, verify
from tests.tokens.forge import NOW, SECRET, entry, keys_of, name_case

KEY = make_development_secret()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"algorithms": ("HS384",)},
        {"algorithms": ("HS512", "HS256")},
        {"types": (None,)},
        {"types": ("at+jwt", "x")},
        {"types": ("x", "jwt")},
        {"require": {"token_use": "access", "v": 1}},
        {"audience": ("a", "b")},
        {"audience": ("app",), "audience_claim": "client_id"},
        {"kind": "secret_env"},
    ],
)
def test_what_is_minted_is_accepted(settings: dict[str, Any]) -> None:
    who = entry(**{"kind": "secret_file", **settings})
    keys = KeySet.build([who], keys_of(who, KEY))
    verified = verify(mint_token(who, KEY, {"sub": "alice", "scope": "a b"}, NOW), keys, "connect", NOW)
    assert isinstance(verified, Verified), verified
    assert verified.subject == ("corp", "alice")
    assert verified.claims["scope"] == "a b"
    assert verified.ends_at == NOW + LIFETIME


@pytest.mark.parametrize(
    ("types", "typ"),
    [((None,), None), (("at+jwt", "x"), "at+jwt"), (("x", "jwt"), "jwt"), ((None, "JWT", "at+jwt"), "JWT")],
)
def test_the_type_is_one_that_the_entry_accepts(types: tuple[str | None, ...], typ: str | None) -> None:
    made = mint_token(entry(kind="secret_file", types=types), KEY, {"sub": "alice"}, NOW)
    assert jwt.get_unverified_header(made).get("typ") == typ


def test_claims_win_over_what_is_filled_in() -> None:
    who = entry(kind="secret_file")
    keys = KeySet.build([who], keys_of(who, KEY))
    verified = verify(
        mint_token(who, KEY, {"sub": "a", "aud": ["realtime", "x"], "exp": NOW + 5}, NOW),
        keys,
        "connect",
        NOW,
    )
    assert isinstance(verified, Verified)
    assert verified.claims["aud"] == ["realtime", "x"]
    assert verified.ends_at == NOW + 5


@pytest.mark.parametrize(
    ("secret", "settings"),
    [
        (SECRET, {}),
        (b"x" + KEY, {}),
        (b"", {}),
        (KEY.upper(), {}),
        (KEY, {"kind": "jwks_file"}),
        (KEY, {"algorithms": ("RS256",)}),
    ],
    ids=name_case,
)
def test_nothing_is_minted_without_a_development_key(secret: bytes, settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="`corp` has no development key") as caught:
        mint_token(entry(**{"kind": "secret_file", **settings}), secret, {"sub": "a"}, NOW)
    assert not secret or secret.decode() not in str(caught.value)


@pytest.mark.parametrize("claims", [{"sub": object()}, {"sub": b"x"}, {"iss": 5}])
def test_claims_that_are_no_json_are_a_usage_error(claims: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="plain JSON"):
        mint_token(entry(kind="secret_file"), KEY, claims, NOW)


def test_development_secrets_are_marked_strong_and_never_the_same() -> None:
    one, other = make_development_secret(), make_development_secret()
    assert one != other
    assert one.startswith(DEVELOPMENT_PREFIX)
    assert one.endswith(b"\n")
    assert len(one) >= len(DEVELOPMENT_PREFIX) + 43
    assert keys_of(entry(kind="secret_file", algorithms=("HS512",)), one)[0].development
