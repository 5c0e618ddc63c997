from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, strategies as st

from compartmentd.tokens import kept_claims as module
from compartmentd.tokens.kept_claims import ALWAYS_NAMED, KeptClaims, keep_named, measure_claims

GROUPS = [f"group-{n:04d}" for n in range(200)]
LARGE = {"iss": "https://corp.example.com", "sub": "ann", "teams": ["a"], "groups": GROUPS, "nothing": None}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from(["sub", "iss", "a", "b", "c", "groups", "_claim_names", ""])
claims = st.dictionaries(names, json_values)


def pack(given_claims: Mapping[str, Any], named: frozenset[str]) -> KeptClaims:
    """Pack claims of any size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PACKED_FROM", 0)
        kept = keep_named(given_claims, named)
    assert isinstance(kept, KeptClaims)
    return kept


def as_typed(value: Any) -> Any:
    """Return the value with its types: in Python 1, 1.0 and True are equal."""
    if isinstance(value, dict):
        return {name: as_typed(each) for name, each in value.items()}
    return [as_typed(each) for each in value] if isinstance(value, list) else (type(value), repr(value))


@given(claims, st.lists(st.frozensets(names), min_size=1, max_size=3), names)
def test_kept_claims_read_as_all_claims_do(
    given_claims: dict[str, Any], turns: list[frozenset[str]], name: str
) -> None:
    kept: Mapping[str, Any] = given_claims
    for named in turns:
        kept = pack(kept, named)
        assert kept == given_claims
        assert as_typed(kept.unpack()) == as_typed(given_claims)
        assert as_typed(kept.get(name, "default")) == as_typed(given_claims.get(name, "default"))
        assert (name in kept) == (name in given_claims)
        assert set(kept) == set(given_claims)
        assert len(kept) == len(given_claims)
        if name in given_claims:
            assert as_typed(kept[name]) == as_typed(given_claims[name])
        else:
            with pytest.raises(KeyError) as missing:
                kept[name]
            assert missing.value.args == (name,)


@given(claims, st.frozensets(names))
def test_what_is_named_or_absent_unpacks_nothing(given_claims: dict[str, Any], named: frozenset[str]) -> None:
    kept = pack(given_claims, named)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KeptClaims, "_unpack", None)
        for name in {*named, *ALWAYS_NAMED, "absent"}:
            assert kept.get(name) == given_claims.get(name)
            assert (name in kept) == (name in given_claims)
        assert set(kept) == set(given_claims)


@pytest.mark.parametrize("named", [frozenset[str](), frozenset({"teams"})])
def test_a_large_token_is_kept_in_a_fraction_of_its_memory(named: frozenset[str]) -> None:
    kept = keep_named(LARGE, named)
    assert isinstance(kept, KeptClaims)
    assert measure_claims(kept) < measure_claims(LARGE) / 4


@pytest.mark.parametrize(
    ("given_claims", "named"),
    [
        ({"sub": "ann", "teams": ["a"], "jti": "x" * 5000}, frozenset[str]()),
        (LARGE, frozenset({"groups"})),
        ({"a": "x" * 300, "b": "y" * 300}, frozenset[str]()),
        ({}, frozenset[str]()),
    ],
)
def test_what_would_save_little_stays_as_it_is(given_claims: dict[str, Any], named: frozenset[str]) -> None:
    assert keep_named(given_claims, named) is given_claims


def test_the_same_names_change_nothing() -> None:
    kept = keep_named(LARGE, frozenset({"teams"}))
    assert keep_named(kept, frozenset(["teams"])) is kept


def test_no_text_of_it_shows_a_claim() -> None:
    text = repr(keep_named(LARGE, frozenset({"teams"})))
    assert text == "KeptClaims(kept=3, packed=2)"
