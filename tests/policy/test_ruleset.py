from __future__ import annotations

from typing import Any

import pytest

from compartmentd.names import NamespaceName
from compartmentd.policy.ruleset import Ruleset
from compartmentd.policy.templates.dispatch import Dispatch
from tests.support.policies import HALL, namespace, policy, rule, ruleset, template


def build_counting(several: Any) -> tuple[int, Ruleset]:
    """Return how often the building pauses, and the ruleset."""
    building = Ruleset.build_in_slices(several)
    pauses = 0
    while True:
        try:
            next(building)
        except StopIteration as end:
            return pauses, end.value
        pauses += 1


def test_building_pauses_once_a_hundred_rules_and_once_a_hundred_templates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    empty = Dispatch.build(())

    def build_at_once(_: Any) -> Any:
        yield from ()
        return empty

    monkeypatch.setattr(Dispatch, "build_in_slices", build_at_once)
    named = {f"rule{number}": "public" for number in range(201)}
    rooms = [template(f"room{number}") for number in range(101)]
    few, _ = build_counting(policy(namespace()))
    assert build_counting(policy(namespace(), rules=named))[0] - few == 3
    assert build_counting(policy(namespace(*rooms)))[0] - few == 2


def test_a_ruleset_knows_what_depends_on_membership_and_what_is_auto_joined() -> None:
    rooms = [
        template("plain"),
        template("direct", join={"member_of": "plain"}),
        template("named", join={"rule": "inside"}, auto_join={}),
        template("auto", auto_join={}),
    ]
    rules = ruleset(
        *rooms, rules={"inside": {"any": [{"rule": "deeper"}, "nobody"]}, "deeper": {"member_of": "plain"}}
    )
    assert [each.name for each in rooms if rules.depends_on_membership(HALL, each)] == ["direct", "named"]
    assert [each.name for each in rules.list_auto_joined(HALL)] == ["named", "auto"]
    assert rules.list_auto_joined(NamespaceName("/elsewhere")) == ()
    assert rules.find(NamespaceName("/elsewhere"), "plain") is None
    assert rules.compiled_rules.list_names_used_by("inside") == ("deeper",)
    assert rules.compiled_rules.list_names_used_by("deeper") == ()


def test_its_rules_are_found_by_name() -> None:
    rules = ruleset(rules={"open": "public"}).compiled_rules
    found = rules.find_named("open")
    assert found is not None
    assert found is rules.find_named("open")
    assert found is not rules.get_compiled(rule("public"))
    assert rules.find_named("closed") is None
