"""What the conditions of a refusal saw, for the developer."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from compartmentd.names import NamespaceName
from compartmentd.policy.decision import Decision
from compartmentd.policy.principal import ANONYMOUS, Principal
from compartmentd.policy.seen import LONGEST, find_seen_values
from tests.support.policies import HALL, connect, join, person, publish, ruleset, template

PROJECT = "project:{project}"


def look(
    form: Any, who: Principal, room: str = "project:zeus", memberships: Collection[str] = ()
) -> list[str]:
    """Return what the join rule of a room saw."""
    rules = ruleset(template(PROJECT, join=form))
    decision: Decision = join(rules, who, room, memberships=frozenset(memberships))
    assert not decision.allowed
    found = find_seen_values(
        rules, who, decision, namespace=HALL, room=room, event=None, memberships=memberships
    )
    assert {each.span for each in found} <= {reason.span for reason in _flatten(decision)}
    return [each.text for each in found]


def _flatten(decision: Decision) -> list[Any]:
    found = list(decision.reasons)
    for reason in found:
        found += reason.parts
    return found


IN = {"claim": "projects", "contains": "{project}"}


@pytest.mark.parametrize(
    ("form", "claims", "expected"),
    [
        (IN, {"projects": ["apollo"]}, ['`projects` is `["apollo"]`']),
        (
            IN,
            {"projects": "apollo"},
            ['`projects` is `"apollo"`, text: use `equals`, `contains` looks into a list'],
        ),
        (
            {"claim": "projects", "contains_any": ["a", "b"]},
            {"projects": 7},
            ["`projects` is `7`, a number: use `one_of`, `contains` looks into a list"],
        ),
        ({"claim": "role", "equals": "a"}, {"role": ["b"]}, ['`role` is `["b"]`, a list: use `contains`']),
        (
            {"claim": "role", "one_of": ["a", "b"]},
            {"role": {"c": 1}},
            ['`role` is `{"c":1}`, an object: use `contains_any`'],
        ),
        (
            {"claim": "role", "matches": "a+"},
            {"role": []},
            ["`role` is `[]`, a list: this test cannot compare it"],
        ),
        ({"claim": "role", "matches": "a+"}, {"role": "b"}, ['`role` is `"b"`']),
        ({"claim": "role", "equals": "a"}, {"role": 1}, ["`role` is `1`"]),
        (IN, {"projects": [1, 2]}, ["`projects` is `[1,2]`"]),
        (IN, {"projects": []}, ["`projects` is `[]`"]),
        (IN, {}, []),  # the reason itself says that there is none
        (IN, {"projects": None}, []),
        ({"claim": "level", "at_least": 3}, {"level": 2}, ["`level` is `2`"]),
        (
            {"claim": "level", "at_least": 3},
            {"level": "3"},
            ['`level` is `"3"`, text: this test cannot compare it'],
        ),
        ({"claim": ["a", "b"], "equals": 1}, {"a": {"b": 2}}, ["`[a, b]` is `2`"]),
        ({"claim": ["a", "b"], "equals": 1}, {"a": "x"}, ['`a` is `"x"`']),
        ({"claim": ["a", "b", "c"], "equals": 1}, {"a": {"b": 7}}, ["`[a, b]` is `7`"]),
        ({"claim": ["in", "{project}"], "equals": 1}, {"in": {"zeus": 2}}, ["`[in, zeus]` is `2`"]),
        ({"scope": "chat"}, {"scope": "other more"}, ["the token's scopes are `more`, `other`"]),
        ({"scope": "chat"}, {}, ["the token has no scopes"]),
        ({"param": "project", "equals": "apollo"}, {}, ['`project` is `"zeus"`']),
        ({"not": {"claim": "suspended", "equals": True}}, {"suspended": 1}, ["`suspended` is `1`"]),
        (
            {"any": [IN, {"claim": "level", "equals": 1}]},
            {"projects": ["a"], "level": 2},
            ['`projects` is `["a"]`', "`level` is `2`"],
        ),
        (
            {"not": {"claim": "suspended", "equals": True}},
            {"suspended": True},
            [],
        ),  # true, and the reason says so
        ({"claim": "name", "equals": "x"}, {"name": "a`b"}, ['`name` is `"a\'b"`']),
        ({"claim": "name", "equals": "x"}, {"name": "Zoë"}, ['`name` is `"Zoë"`']),
        (
            {"all": [{"claim": "level", "equals": 1}, IN]},
            {"projects": ["a"], "level": 1},
            ['`projects` is `["a"]`'],
        ),
    ],
)
def test_a_condition_that_is_not_true_shows_the_value(
    form: Any, claims: dict[str, Any], expected: list[str]
) -> None:
    assert sorted(look(form, person("ann", **claims))) == sorted(expected)


def test_another_room_is_named_with_the_rooms_that_the_session_is_in() -> None:
    form = {"member_of": "lobby:{project}"}
    assert look(form, person("ann")) == ["`lobby:zeus` is needed, and the session is in no room"]
    assert look(form, person("ann"), memberships=["b", "a"]) == [
        "`lobby:zeus` is needed, and the session is in `a`, `b`"
    ]


def test_who_has_no_token_is_shown_nothing_of_one() -> None:
    assert look({"any": [IN, {"scope": "x"}]}, ANONYMOUS) == []


@pytest.mark.parametrize(
    ("length", "shown"),
    [(LONGEST - 2, f'`"{"x" * (LONGEST - 2)}"`'), (LONGEST - 1, f'`"{"x" * (LONGEST - 1)}…`')],
)
def test_a_value_is_shown_whole_up_to_the_most_characters(length: int, shown: str) -> None:
    form = {"claim": "name", "equals": "y"}
    assert look(form, person("ann", name="x" * length)) == [f"`name` is {shown}"]


@pytest.mark.parametrize(
    ("count", "end"),
    [(2, "`s10`, `s11`"), (12, "`s20`, `s21`"), (13, "`s21` and 1 more"), (14, "`s21` and 2 more")],
)
def test_the_first_scopes_are_listed_and_the_rest_are_counted(count: int, end: str) -> None:
    scope = " ".join(f"s{number}" for number in range(10, 10 + count))
    (text,) = look({"scope": "chat"}, person("ann", scope=scope))
    assert text.startswith("the token's scopes are `s10`, `s11`")
    assert text.endswith(end)


def test_what_is_long_is_cut() -> None:
    (text,) = look(IN, person("ann", projects=["x" * 5000]))
    assert len(text) < LONGEST + 40
    assert text.endswith("…`")
    (scopes,) = look({"scope": "chat"}, person("ann", scope=" ".join(f"s{number}" for number in range(100))))
    assert scopes.endswith("and 88 more")


def test_the_rule_of_an_event_shows_its_values_too() -> None:
    rules = ruleset(template("lobby", publish="members", events={"note": {"claim": "level", "at_least": 3}}))
    ann = person("ann", level=1)
    decision = publish(rules, ann, "lobby", "note", memberships=frozenset({"lobby"}))
    found = find_seen_values(rules, ann, decision, namespace=HALL, room="lobby", event="note")
    assert [each.text for each in found] == ["`level` is `1`"]


def test_a_request_for_nothing_that_is_declared_shows_nothing() -> None:
    rules = ruleset()
    ann = person("ann", level=1)
    decision = join(rules, ann, "nowhere")
    assert find_seen_values(rules, ann, decision, namespace=HALL, room="nowhere", event=None) == ()
    other = NamespaceName("/nowhere")
    assert find_seen_values(rules, ann, decision, namespace=other, room=None, event=None) == ()


def test_a_refused_connection_shows_what_its_rule_saw() -> None:
    rules = ruleset(connect={"claim": "level", "at_least": 3})
    ann = person("ann", level=1)
    found = find_seen_values(rules, ann, connect(rules, ann), namespace=HALL, room=None, event=None)
    assert [each.text for each in found] == ["`level` is `1`"]
