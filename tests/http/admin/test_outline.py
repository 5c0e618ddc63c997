"""What the playground is told of a configuration, and the people whom it takes from the tests beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compartmentd.configuration.compiler import load
from compartmentd.http.admin.outline import build_outline
from compartmentd.http.admin.people import People, collect_people, find_people
from compartmentd.policy.ruleset import Ruleset
from compartmentd.storage.files import Disk

CONFIG = Path(__file__).parents[3] / "config"


def outlined(path: Path) -> dict[str, Any]:
    loaded = load(str(path), Disk())
    assert loaded.configuration is not None, loaded.problems
    rules = Ruleset.build(loaded.configuration.policy)
    return dict(build_outline(loaded.configuration, rules, str(path), "http://127.0.0.1:8000"))


def room(outline: dict[str, Any], namespace: str, template: str) -> dict[str, Any]:
    [found] = [space for space in outline["namespaces"] if space["name"] == namespace]
    [described] = [room for room in found["rooms"] if room["template"] == template]
    return dict(described)


def test_the_demo_checks_clean_but_for_the_key_that_dev_makes() -> None:
    problems = load(str(CONFIG / "demo.yaml"), Disk()).problems
    assert {problem.severity for problem in problems} <= {"note"}
    assert all("demo.dev-key" in problem.message for problem in problems)


def test_the_demo_has_its_people_and_rooms() -> None:
    demo = outlined(CONFIG / "demo.yaml")
    assert [person["name"] for person in demo["people"]] == ["ann", "bob", "mia", "eve", "rea", "visitor"]
    assert demo["people"][-1] == {"name": "visitor", "claims": {"sub": "visitor"}}
    assert demo["public"]["url"] == "http://127.0.0.1:8000"
    assert [space["name"] for space in demo["namespaces"]] == ["/", "/team"]
    assert "chat:ann:bob" in demo["namespaces"][1]["tried"]
    assert room(demo, "/", "moderation")["auto_join"] is True
    assert [(space["open"], space["speaks"]) for space in demo["namespaces"]] == [
        (True, True),
        (False, False),
    ]
    assert room(demo, "/team", "project:{project}")["sources"] == {"project": [("projects",)]}
    assert room(demo, "/team", "chat:{one}:{other}")["examples"][0] == "chat:ann:bob"
    assert room(demo, "/team", "lobby")["events"] == [
        {"name": "message", "schema": True, "volatile": False},
        {"name": "typing", "schema": False, "volatile": True},
    ]


def test_templates_are_described_with_their_parameters_and_places(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        """\
version: 1
namespaces:
  /:
    connect: public
    rooms:
      "{kind}:{number}:{name}":
        description: all kinds
        params:
          kind: {one_of: [x, y]}
          number: {integer: {min: 2, max: 5}}
        join: public
        capacity: 3
        echo: true
"""
    )
    described = room(outlined(path), "/", "{kind}:{number}:{name}")
    assert described == {
        "template": "{kind}:{number}:{name}",
        "pattern": ["", "kind", ":", "number", ":", "name", ""],
        "params": [
            {"name": "kind", "kind": "one_of", "values": ["x", "y"]},
            {"name": "number", "kind": "integer", "low": 2, "high": 5},
            {"name": "name", "kind": "pattern"},
        ],
        "description": "all kinds",
        "file": str(path),
        "line": 6,
        "events": [],
        "speaks": False,
        "examples": ["x:5:general", "y:2:random"],
        "sources": {},
        "auto_join": False,
        "capacity": 3,
        "echo": True,
    }


KEYED = """\
version: 1
issuers: {dev: {issuer: https://dev.example, audience: first, secret_file: dev.key}}
namespaces:
  /: {connect: {scope: chat}, publish: nobody, events: [a]}
  /b: {connect: public, publish: public, events: {a: {publish: nobody}}}
"""


@pytest.mark.parametrize(("key", "people"), [("compartmentd-development-" + "x" * 40, 3), ("y" * 40, 0)])
def test_people_are_proposed_where_tokens_can_be_made(tmp_path: Path, key: str, people: int) -> None:
    (tmp_path / "dev.key").write_text(key)
    (tmp_path / "a.yaml").write_text(KEYED)
    outline = outlined(tmp_path / "a.yaml")
    assert len(outline["people"]) == people
    assert [entry["mintable"] for entry in outline["entries"]] == [people > 0]
    assert [space["speaks"] for space in outline["namespaces"]] == [False, False]
    assert (outline["unmintable"] is None) is (people > 0)
    assert people or "secret of your own: move it away" in outline["unmintable"]


def test_a_configuration_without_tests_has_nobody_ready(tmp_path: Path) -> None:
    assert find_people(str(tmp_path / "a.yaml")) == People()


def test_the_tests_of_another_file_are_not_taken(tmp_path: Path) -> None:
    (tmp_path / "a.test.yaml").write_text("config: b.yaml\ntokens: {ann: {sub: ann}}\n")
    assert find_people(str(tmp_path / "a.yaml")) == People()
    assert find_people(str(tmp_path / "b.yaml")) == People({"ann": {"sub": "ann"}})


@pytest.mark.parametrize(
    "content",
    [b"\xff", b"a: [", b"- 1\n", b"config: 7\n", b"config: a.yaml\ntokens: []\ncases: 1\n", b""],
)
def test_a_file_that_is_no_test_is_passed_over(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.test.yaml").write_bytes(content)
    (tmp_path / "z.test.yaml").mkdir()
    assert find_people(str(tmp_path / "a.yaml")) == People()


def test_rooms_are_taken_from_every_kind_of_case_once_and_in_order() -> None:
    people = collect_people(
        {
            "tokens": {"ann": {"sub": "ann"}, "broken": 7},
            "cases": [
                {"connect": "/", "joins": ["a", "b"]},
                {"in": "/", "join": "c"},
                {"in": "/", "publish": "message", "room": "a", "member": ["d"]},
                {"in": "/x", "join": 7},
                {"in": 7, "join": "e"},
                "no case",
            ],
        }
    )
    assert people == People({"ann": {"sub": "ann"}}, {"/": ("a", "b", "c", "d"), "/x": ()})
