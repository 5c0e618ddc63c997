from __future__ import annotations

from typing import Any

import pytest

from compartmentd.policy.rules.describe import describe_missing_claim, describe_rule
from tests.support.policies import rule


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("public", "public"),
        ("authenticated", "authenticated"),
        ("nobody", "nobody"),
        ("members", "members"),
        ("server", "server"),
        ({"scope": "chat:write"}, "scope chat:write"),
        ({"scope": "project:{p}:{{x}}"}, "scope project:{p}:{{x}}"),
        ({"all_scopes": ["a", "b"]}, "all_scopes [a, b]"),
        ({"any_scope": ["a", "b"]}, "any_scope [a, b]"),
        ({"issuer": "corp"}, "issuer corp"),
        ({"issuer": ["a", "b"]}, "issuer [a, b]"),
        ({"claim": "sub", "equals": "{user}"}, "claim sub equals {user}"),
        (
            {"claim": ["realm_access", "roles"], "contains": "staff"},
            "claim [realm_access, roles] contains staff",
        ),
        ({"claim": "a", "one_of": ["x", 1, True]}, "claim a one_of [x, 1, true]"),
        ({"claim": "a", "equals": False}, "claim a equals false"),
        ({"claim": "a", "contains_any": ["x", "{y}"]}, "claim a contains_any [x, {y}]"),
        ({"claim": "a", "matches": "[a-z]{2}"}, "claim a matches [a-z]{2}"),
        ({"claim": "a", "at_least": 3}, "claim a at_least 3"),
        ({"claim": "a", "at_most": 1.5}, "claim a at_most 1.5"),
        ({"claim": "a", "exists": True}, "claim a exists true"),
        ({"claim": "a", "is": "past"}, "claim a is past"),
        ({"claim": "a", "is": "future"}, "claim a is future"),
        ({"param": "n", "at_least": 0}, "param n at_least 0"),
        ({"member_of": "case:{t}"}, "member_of case:{t}"),
        ({"rule": "staff"}, "rule staff"),
        ({"all": ["public"]}, "all"),
        ({"any": ["public"]}, "any"),
        ({"not": "public"}, "not"),
    ],
)
def test_a_rule_in_the_operators_words(form: Any, words: str) -> None:
    assert describe_rule(rule(form)) == words


@pytest.mark.parametrize(
    ("depth", "text"),
    [
        (0, "the token has no claim `resource_access`"),
        (1, "the token's claim `resource_access` has no `chat.api`"),
        (2, "the token's claim `[resource_access, chat.api]` has no `{role}`"),
    ],
)
def test_what_a_token_lacks_is_named_where_its_path_ends(depth: int, text: str) -> None:
    assert describe_missing_claim((("resource_access",), ("chat.api",), ("", "role", "")), depth) == text
