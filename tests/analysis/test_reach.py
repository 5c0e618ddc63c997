"""The rooms that a token reaches, and the words for what a parameter takes."""

from __future__ import annotations

from typing import Any

import pytest

from compartmentd.analysis.reach import ROOMS, NamespaceReach, describe_param, find_reach
from tests.support.policies import HALL, param, person, ruleset, template


def reach(*templates: Any, asked: tuple[str, ...] = (), **claims: Any) -> NamespaceReach:
    rules = ruleset(*templates)
    return find_reach(rules, rules.policy.namespaces[HALL], person("ann", **claims), now=0.0, asked=asked)


def rooms(found: NamespaceReach) -> dict[str, bool]:
    return {row.room: row.decision.allowed for row in found.rooms}


IN = {"claim": "projects", "contains": "{project}"}
PROJECT = "project:{project}"


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"projects": ["a", "b"]}, {"project:a": True, "project:b": True}),
        ({"projects": {"a": 1}}, {"project:a": True}),
        ({"projects": ["a", 7, True, None]}, {"project:a": True, "project:7": False}),
        ({"projects": ["not a name", "a"]}, {"project:a": True}),
    ],
)
def test_the_rooms_that_claims_name_are_tried(claims: dict[str, Any], expected: dict[str, bool]) -> None:
    assert rooms(reach(template(PROJECT, join=IN), **claims)) == expected


@pytest.mark.parametrize("claims", [{}, {"projects": None}, {"projects": []}])
def test_without_such_claims_an_example_is_tried(claims: dict[str, Any]) -> None:
    [room] = rooms(reach(template(PROJECT, join=IN), **claims))
    assert room.startswith("project:")


@pytest.mark.parametrize(
    ("claims", "asked", "example"),
    [({}, (), True), ({"projects": ["a"]}, (), False), ({"projects": ["a"]}, ("project:a",), False)],
)
def test_an_example_is_told_to_be_one(
    claims: dict[str, Any], asked: tuple[str, ...], *, example: bool
) -> None:
    [row] = reach(template(PROJECT, join=IN), asked=asked, **claims).rooms
    assert row.example is example


def test_a_long_claim_is_tried_in_part() -> None:
    found = reach(template(PROJECT, join=IN), projects=[f"p{n}" for n in range(1000)])
    assert len(found.rooms) == ROOMS


def test_rooms_that_are_asked_for_are_tried_where_a_template_has_them() -> None:
    found = reach(template("lobby", join="public"), template(PROJECT, join=IN), asked=("project:z", "other"))
    assert rooms(found)["project:z"] is False
    assert "other" not in rooms(found)


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("[a-z0-9-]{1,40}", "of the pattern `[0-9a-z-]{1,40}`"),
        ("v[0-9]+x?[a]*", "of the pattern `v[0-9]+x?a*`"),
        ("[ab]{2}[.]", "of the pattern `[a-b]{2}[.]`"),
        ((1, None), "an integer from 1"),
        ((1, 9), "an integer from 1 to 9"),
        (["red", "blue"], "one of `red`, `blue`"),
    ],
)
def test_what_a_parameter_takes(form: Any, words: str) -> None:
    assert describe_param(param("p", form)) == words
