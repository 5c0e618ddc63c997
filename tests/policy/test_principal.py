from __future__ import annotations

from typing import Any

import pytest

from compartmentd.policy.principal import ANONYMOUS, Principal, collect_scopes, is_claim_elsewhere
from tests.support.policies import ENTRY, person


@pytest.mark.parametrize(
    ("claims", "scopes", "uncertain"),
    [
        ({}, set(), False),
        ({"scope": None}, set(), False),
        ({"scope": ""}, set(), False),
        ({"scope": "a b"}, {"a", "b"}, False),
        ({"scope": " a  b "}, {"a", "b"}, False),
        ({"scope": "a\tb\u00a0c"}, {"a\tb\u00a0c"}, False),  # spaces alone separate (RFC 6749, 3.3)
        ({"scp": ["a", "b c"]}, {"a", "b c"}, False),
        ({"scp": []}, set(), False),
        ({"scope": "a", "scp": ["b"]}, {"a", "b"}, False),
        ({"scope": 7}, set(), True),
        ({"scope": True}, set(), True),
        ({"scope": {"a": True}}, set(), True),
        ({"scp": ["a", 7]}, set(), True),
        ({"scp": ["a", None]}, set(), True),
        ({"scope": "a", "scp": ["b", 7]}, {"a"}, True),
        ({"other": "a"}, set(), False),
        ({"_claim_names": {"scp": "src1"}}, set(), True),
        ({"_claim_names": {"scp": "src1"}, "scp": ["a"]}, {"a"}, False),
        ({"_claim_names": {"groups": "src1"}, "scope": "a"}, {"a"}, False),
    ],
)
def test_scopes_are_those_of_all_well_typed_sources(
    claims: dict[str, Any], scopes: set[str], uncertain: bool
) -> None:
    assert collect_scopes(claims, ("scope", "scp")) == (frozenset(scopes), uncertain)


@pytest.mark.parametrize(
    ("claims", "moved"),
    [
        ({}, False),
        ({"_claim_names": {"groups": "src1"}}, True),
        ({"_claim_names": {"roles": "src1"}}, False),
        ({"_claim_names": {}}, False),
        ({"_claim_names": None}, False),
        ({"_claim_names": "groups"}, True),  # of a form that nobody defined: any claim may be meant
        ({"hasgroups": True}, True),
        ({"hasgroups": False}, False),
        ({"hasgroups": "true"}, True),
    ],
)
def test_a_claim_that_the_provider_kept_out_of_the_token(claims: dict[str, Any], moved: bool) -> None:
    assert is_claim_elsewhere(claims, "groups") is moved


def test_who_has_no_token_has_nothing() -> None:
    assert ANONYMOUS.entry is None
    assert (
        Principal(subject=None, claims={}, scopes=frozenset(), scopes_uncertain=False, ends_at=None)
        == ANONYMOUS
    )
    assert ANONYMOUS.scopes == frozenset()
    assert person("ann").entry == ENTRY


def test_nobody_in_particular_has_nothing() -> None:
    assert (ANONYMOUS.subject, ANONYMOUS.entry, ANONYMOUS.ends_at) == (None, None, None)
    assert (ANONYMOUS.claims, ANONYMOUS.scopes) == ({}, frozenset())
    assert ANONYMOUS.scopes_uncertain is False
