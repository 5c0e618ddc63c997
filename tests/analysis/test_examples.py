"""Examples for a policy: every room is one of its template, and the people get where the rules let them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compartmentd.analysis.examples import ROOMS, TEMPLATES, find_sources, suggest_people, suggest_rooms
from compartmentd.configuration.compiler import load
from compartmentd.policy.ruleset import Ruleset
from compartmentd.storage.files import Disk
from tests.support.policies import HALL, connect, join, namespace, person, policy, ruleset, template

CONFIG = Path(__file__).parents[2] / "config"


@pytest.mark.parametrize(
    ("name", "params", "expected"),
    [
        ("lobby", {}, ("lobby",)),
        ("{room}", {}, ("apollo", "zeus")),
        ("n:{n}", {"n": (2, 5)}, ("n:2", "n:5")),
        ("n:{n}", {"n": (0, None)}, ("n:7", "n:42")),
        ("n:{n}", {"n": (-3, -3)}, ("n:-3",)),
        ("k:{k}", {"k": ["red", "green", "blue"]}, ("k:red", "k:green")),
        ("d:{d}", {"d": "[0-9]{4}-[0-9]{2}-[0-9]{2}"}, ("d:2026-01-31", "d:1111-11-11")),
        ("x:{x}", {"x": "[B-D]{3}"}, ("x:BBB",)),
        ("u:{u}", {"u": "[0-9a-f]{8}-[0-9a-f]{4}"}, ("u:aaaaaaaa-aaaa",)),
        ("{a}/{b}", {"a": ["x"], "b": ["y", "z"]}, ("x/z", "x/y")),
    ],
)
def test_a_room_is_one_of_its_template(name: str, params: dict[str, Any], expected: tuple[str, ...]) -> None:
    rules = ruleset(template(name, params))
    hall = rules.policy.namespaces[HALL]
    assert suggest_rooms(rules, hall) == {name: expected}


def test_a_room_that_another_template_takes_is_no_example() -> None:
    rules = ruleset(template("{room}"), template("apollo"))
    found = suggest_rooms(rules, rules.policy.namespaces[HALL])
    assert found == {"apollo": ("apollo",), "{room}": ("zeus", "general")}


@pytest.mark.parametrize("file", ["demo.yaml", "compartments.yaml"])
def test_every_example_of_a_shipped_file_is_taken(file: str) -> None:
    configuration = load(str(CONFIG / file), Disk()).configuration
    assert configuration is not None
    rules = Ruleset.build(configuration.policy)
    for space in rules.policy.namespaces.values():
        for name, rooms in suggest_rooms(rules, space).items():
            assert 1 <= len(rooms) <= ROOMS
            for room in rooms:
                match = rules.find(space.name, room)
                assert match is not None
                assert match.template.name == name


def test_of_very_many_templates_some_get_examples() -> None:
    rules = ruleset(*(template(f"t{number}:{{x}}") for number in range(TEMPLATES + 10)))
    assert len(suggest_rooms(rules, rules.policy.namespaces[HALL])) == TEMPLATES


IN = {"claim": "projects", "contains": "{project}"}


@pytest.mark.parametrize(
    "rule",
    [
        IN,
        {"scope": "project:{project}"},
        {"all": [{"any_scope": ["a", "b"]}, {"all_scopes": ["c", "d"]}, IN]},
        {"claim": "level", "at_least": 3},
        {"claim": "level", "at_most": 3},
        {"claim": ["realm_access", "roles"], "contains": "staff"},
        {"claim": ["access", "{project}"], "equals": "rw"},
        {"claim": "kind", "one_of": ["x", "y"]},
        {"claim": "mail", "matches": ".*@example[.]com"},
        {"claim": "until", "is": "future"},
        {"claim": "since", "is": "past"},
        {"claim": "anything", "exists": True},
        {"claim": "nothing", "exists": False},
        {"any": ["nobody", IN]},
        {"rule": "staff"},
        {"not": {"claim": "suspended", "equals": True}},
        "authenticated",
        "public",
    ],
)
def test_the_first_person_is_let_in(rule: Any) -> None:
    rules = Ruleset.build(
        policy(
            namespace(template("project:{project}", join=rule), connect={"scope": "chat"}),
            rules={"staff": {"claim": "role", "equals": "staff"}},
        )
    )
    people = suggest_people(rules)
    assert [list(people)[index] for index in (0, 1, -1)] == ["ann", "bob", "visitor"]
    ann = person(**people["ann"])
    room = suggest_rooms(rules, rules.policy.namespaces[HALL])["project:{project}"][0]
    assert connect(rules, ann).allowed
    assert join(rules, ann, room).allowed, people
    assert connect(rules, person(**people["bob"])).allowed


def test_two_people_share_one_room_and_not_the_other() -> None:
    rules = ruleset(template("project:{project}", join=IN))
    people = suggest_people(rules)
    ann, bob = person(**people["ann"]), person(**people["bob"])
    apollo, zeus = suggest_rooms(rules, rules.policy.namespaces[HALL])["project:{project}"]
    assert join(rules, ann, apollo).allowed
    assert join(rules, ann, zeus).allowed
    assert not join(rules, bob, apollo).allowed
    assert join(rules, bob, zeus).allowed


def test_a_persons_own_room_bears_the_persons_name() -> None:
    rules = ruleset(template("user:{user}", join={"claim": "sub", "equals": "{user}"}))
    people = suggest_people(rules)
    assert [claims["sub"] for claims in people.values()] == ["ann", "bob", "visitor"]
    assert suggest_rooms(rules, rules.policy.namespaces[HALL]) == {"user:{user}": ("user:ann", "user:bob")}


def test_the_sources_of_a_parameter() -> None:
    form = {"all": [{"claim": ["org", "teams"], "contains": "{team}"}, {"claim": "sub", "equals": "x{user}"}]}
    room = template("t:{team}:{user}", join=form, auto_join={"user": "uid", "team": "team"})
    assert find_sources(room, {}) == {"user": [("uid",)], "team": [("team",), ("org", "teams")]}


ROLE = {"claim": "role", "equals": "teacher"}
PUPIL = {"claim": "role", "equals": "pupil"}


@pytest.mark.parametrize(
    ("rule", "path", "values"),
    [
        (
            {"any": [ROLE, PUPIL, {"claim": "role", "equals": "parent"}]},
            "role",
            ["teacher", "pupil", "parent"],
        ),
        ({"claim": "role", "one_of": ["teacher", "pupil"]}, "role", ["teacher", "pupil"]),
        ({"claim": "roles", "contains_any": ["a", "b"]}, "roles", [["a"], ["b"]]),
        ({"all": [ROLE, {"not": PUPIL}]}, "role", ["teacher", "pupil"]),
        ({"any": [ROLE, {"rule": "staff"}]}, "role", ["teacher", "staff"]),
    ],
)
def test_every_value_that_a_rule_names_is_some_persons(rule: Any, path: str, values: list[Any]) -> None:
    rules = Ruleset.build(
        policy(
            namespace(template("class:{lesson}", join=rule)),
            rules={"staff": {"claim": "role", "equals": "staff"}} if "staff" in str(rule) else {},
        )
    )
    people = suggest_people(rules)
    held = [claims[path] for claims in people.values() if path in claims]
    assert [value for value in values if value not in held] == [], people
    assert list(people)[-1] == "visitor"
    for name, claims in people.items():
        assert claims["sub"] == name


def test_the_people_with_other_values_are_few_and_get_what_they_need() -> None:
    many = {"claim": "role", "one_of": [f"r{number}" for number in range(50)]}
    rules = Ruleset.build(policy(namespace(template("hall", join=many), connect={"scope": "chat"})))
    people = suggest_people(rules)
    assert list(people) == ["ann", "bob", "cem", "dora", "eli", "fay", "visitor"]
    cem = person(**people["cem"])
    assert connect(rules, cem).allowed
    assert join(rules, cem, "hall").allowed


def test_a_claim_that_is_used_in_two_forms_breaks_nothing() -> None:
    form = {
        "all": [
            {"claim": "a", "equals": "x"},
            {"claim": ["a", "b"], "contains": "{p}"},
            {"claim": "a", "contains": "{p}"},
        ]
    }
    rules = ruleset(template("t:{p}", join=form))
    assert suggest_people(rules)["ann"]["a"] == "x"
