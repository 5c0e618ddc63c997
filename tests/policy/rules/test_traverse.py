from __future__ import annotations

from typing import Any

import pytest

from compartmentd.policy.rules.traverse import (
    collect_names,
    find_names_with_member_of,
    has_member_of,
    resolve_rule,
    walk_rule,
)
from tests.support.policies import rule

NAMED = {
    "direct": rule({"any": ["public", {"all": [{"member_of": "lobby"}, {"scope": "a"}]}]}),
    "left": rule({"rule": "direct"}),
    "right": rule({"all": [{"rule": "direct"}, "public"]}),
    "diamond": rule({"any": [{"rule": "left"}, {"rule": "right"}]}),
    "circle": rule({"any": [{"rule": "circle"}, {"rule": "direct"}]}),
    "apart": rule({"not": {"scope": "a"}}),
    "nowhere": rule({"rule": "no such rule"}),
}


def test_a_rule_is_walked_in_the_order_written() -> None:
    form = {"any": [{"scope": "a"}, {"not": {"all": [{"rule": "b"}, "public"]}}, "nobody"]}
    names = [type(part).__name__ for part in walk_rule(rule(form))]
    assert names == ["AnyOf", "Scopes", "Not", "All", "Named", "Public", "Nobody"]


def test_the_depth_of_a_rule_is_no_limit() -> None:
    form: Any = "public"
    for _ in range(500):
        form = {"not": form}
    assert len(list(walk_rule(rule(form)))) == 501


def test_names_are_collected_once_each_in_order() -> None:
    form = {"any": [{"rule": "b"}, {"not": {"rule": "a"}}, {"rule": "b"}]}
    assert collect_names(rule(form)) == ("b", "a")
    assert collect_names(rule("public")) == ()


@pytest.mark.parametrize(
    ("name", "found"),
    [("direct", "direct"), ("left", "direct"), ("diamond", "diamond"), ("nowhere", "nowhere")],
)
def test_a_reference_is_followed_to_the_rule_at_its_end(name: str, found: str) -> None:
    assert resolve_rule(rule({"rule": name}), NAMED).span == (NAMED[found].span)


def test_references_in_a_circle_come_to_an_end() -> None:
    names = {"a": rule({"rule": "b"}), "b": rule({"rule": "a"})}
    assert resolve_rule(rule({"rule": "a"}), names) in names.values()


def test_a_rule_depends_on_membership_directly_or_by_names() -> None:
    found = find_names_with_member_of(NAMED)
    assert found == {"direct", "left", "right", "diamond", "circle"}
    assert has_member_of(rule({"not": {"member_of": "lobby"}}), frozenset())
    assert has_member_of(rule({"any": ["public", {"rule": "diamond"}]}), found)
    assert not has_member_of(rule({"any": ["public", {"rule": "apart"}]}), found)
