"""A fingerprint changes with everything that decides about connecting or a membership, and with nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec import structs

from compartmentd.names import EntryName
from compartmentd.policy.fingerprint import add_fingerprints
from compartmentd.policy.model import Limits, Policy
from tests.support.policies import HALL, namespace, policy, template

ROOM: Mapping[str, Any] = {"name": "case:{n}", "params": {"n": (1, 99)}, "join": {"rule": "staff"}}
RULES: Mapping[str, Any] = {
    "staff": {"any": [{"rule": "admin"}, {"scope": "staff"}]},
    "admin": {"claim": "role", "equals": "admin"},
    "unused": "nobody",
}


def declared(room: Mapping[str, Any] = ROOM, rules: Mapping[str, Any] = RULES, **settings: Any) -> Policy:
    """Return a policy with one room; each call gives every part another span."""
    return policy(namespace(template(**room), **settings), rules=rules)


def fingerprints(given: Policy) -> tuple[bytes, bytes]:
    """Return the fingerprints of the namespace and of its room."""
    hall = add_fingerprints(given).namespaces[HALL]
    return hall.fingerprint, hall.rooms[0].fingerprint


def test_equal_policies_have_equal_fingerprints_wherever_they_stand_in_the_file() -> None:
    first, second = declared(), declared()
    assert first.namespaces[HALL].span != second.namespaces[HALL].span
    assert fingerprints(first) == fingerprints(second)
    assert all(len(each) == 16 for each in fingerprints(first))


def test_nothing_but_the_fingerprints_is_changed() -> None:
    before = declared()
    hall = add_fingerprints(before).namespaces[HALL]
    rooms = tuple(structs.replace(room, fingerprint=b"") for room in hall.rooms)
    assert structs.replace(hall, fingerprint=b"", rooms=rooms) == before.namespaces[HALL]


@pytest.mark.parametrize(
    "changed",
    [
        declared({**ROOM, "name": "file:{n}"}),
        declared({**ROOM, "params": {"n": (1, 100)}}),
        declared({**ROOM, "params": {"n": "[0-9]"}}),
        declared({**ROOM, "join": {"scope": "staff"}}),
        declared({**ROOM, "join": {"not": {"rule": "staff"}}}),
        declared(rules={**RULES, "staff": {"all": [{"rule": "admin"}, {"scope": "staff"}]}}),
        declared(rules={**RULES, "admin": {"claim": "role", "equals": "root"}}),
        declared(rules={**RULES, "admin": {"claim": "role", "equals": True}}),
    ],
)
def test_what_decides_about_a_membership_changes_the_fingerprint_of_the_room_alone(changed: Policy) -> None:
    hall, room = fingerprints(declared())
    changed_hall, changed_room = fingerprints(changed)
    assert (changed_hall == hall, changed_room == room) == (True, False)


@pytest.mark.parametrize("connect", ["nobody", {"rule": "admin"}])
def test_the_connect_rule_changes_the_fingerprint_of_the_namespace_alone(connect: Any) -> None:
    hall, room = fingerprints(declared())
    changed_hall, changed_room = fingerprints(declared(connect=connect))
    assert (changed_hall == hall, changed_room == room) == (False, True)


def test_the_accepted_issuers_change_the_fingerprint_of_the_namespace() -> None:
    before = declared()
    more = structs.replace(before.namespaces[HALL], issuers=(EntryName("corp"), EntryName("partner")))
    after = structs.replace(before, namespaces={HALL: more})
    assert fingerprints(after)[0] != fingerprints(before)[0]


@pytest.mark.parametrize(
    "changed",
    [
        declared({**ROOM, "publish": "members", "events": ["message"], "capacity": 3}),
        declared(publish="public", events=["hello"], limits=Limits(sessions_per_user=1)),
        declared(rules={**RULES, "unused": "public"}),
    ],
)
def test_what_decides_about_neither_changes_no_fingerprint(changed: Policy) -> None:
    assert fingerprints(changed) == fingerprints(declared())


@pytest.mark.parametrize("names", [("a", "b", "c"), ("c", "b", "a"), ("b", "a", "c")])
def test_rules_are_found_in_whatever_order_they_use_each_other(names: tuple[str, ...]) -> None:
    forms: dict[str, Any] = {"a": {"rule": "b"}, "b": {"all": [{"rule": "c"}, {"rule": "c"}]}, "c": "public"}
    rules = {name: forms[name] for name in names}
    room = {**ROOM, "join": {"rule": "a"}}
    assert fingerprints(declared(room, rules)) == fingerprints(declared(room, forms))


def test_a_named_rule_and_its_body_are_not_the_same() -> None:
    """Else a body that reads like a reference could stand for another rule."""
    direct, named = declared({**ROOM, "join": RULES["admin"]}), declared({**ROOM, "join": {"rule": "admin"}})
    assert fingerprints(direct)[1] != fingerprints(named)[1]
