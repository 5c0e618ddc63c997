"""The schema for editors: takes what the checker takes, offers what can be written, and every example names it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from compartmentd.document.bundled import EDITOR, EDITOR_INCLUDED, schema
from docs.generate.editor_schema import IDENTITIES
from tests.support.markdown import blocks

ROOT = Path(__file__).parents[2]
MODELINE = "# yaml-language-server: $schema="
BESIDE = f"{MODELINE}compartmentd.schema.json\n"
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]
FILES = [
    path
    for path in (
        *sorted((ROOT / "config").glob("*.yaml")),
        *sorted((ROOT / "docs").rglob("*.yaml")),
        *sorted((ROOT / "debian").glob("*.yaml")),
    )
    if re.search(r"^version: 1$", path.read_text(), re.MULTILINE)
]


def read_examples() -> Iterator[Any]:
    """Yield every configuration that the documentation and the tree show."""
    for path in FILES:
        yield pytest.param(path.read_text(), id=str(path.relative_to(ROOT)))
    for page in PAGES:
        for number, block in enumerate(blocks(page.read_text(), "yaml")):
            if re.search(r"^version: 1$", block, re.MULTILINE) and "reference" not in page.parts:
                yield pytest.param(block, id=f"{page.relative_to(ROOT)}-{number}")


EXAMPLES = list(read_examples())


def walk(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every mapping of a schema."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from walk(item)


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_example_names_its_schema_and_fits_it(text: str) -> None:
    assert text.startswith(MODELINE)
    errors = Draft7Validator(schema(EDITOR)).iter_errors(yaml.safe_load(text))
    assert [error.message for error in errors] == []


def test_the_schema_that_the_examples_name_stands_beside_them_or_in_the_package() -> None:
    assert json.loads((ROOT / "config/compartmentd.schema.json").read_text()) == schema(EDITOR)
    installed = "/usr/share/compartmentd/compartmentd.schema.json"
    assert (ROOT / "debian/compartments.yaml").read_text().startswith(f"{MODELINE}{installed}\n")
    assert f"schemas/editor.schema.json $(PACKAGE){installed}" in (ROOT / "debian/rules").read_text()
    others = [example.values[0] for example in EXAMPLES if "debian" not in example.id]
    assert all(text.startswith(BESIDE) for text in others)


@pytest.mark.parametrize("name", [EDITOR, EDITOR_INCLUDED])
def test_it_is_a_schema_with_an_identity(name: str) -> None:
    Draft7Validator.check_schema(schema(name))
    assert schema(name)["$id"] == IDENTITIES[name]


@pytest.mark.parametrize("name", [EDITOR, EDITOR_INCLUDED])
def test_it_holds_nothing_that_an_editor_would_misread(name: str) -> None:
    for part in walk(schema(name)):
        assert not any(isinstance(key, str) and key.startswith("x-") for key in part)
        if isinstance(part.get("examples"), list):
            assert not any(isinstance(example, dict | list) for example in part["examples"])
    definitions = schema(name)["definitions"]
    assert not [part for part in walk(definitions) if "default" in part and "description" in part]


@pytest.mark.parametrize("name", [EDITOR, EDITOR_INCLUDED])
def test_no_pattern_is_ever_shown(name: str) -> None:
    patterns = [part for part in walk(schema(name)) if isinstance(part.get("pattern"), str)]
    assert len(patterns) > 5
    assert [part for part in patterns if not part.get("patternErrorMessage")] == []


def find_unusable(part: dict[str, Any]) -> set[str]:
    return {key for key, value in part.get("properties", {}).items() if "not" in value}


def test_no_key_is_offered_that_is_not_built_or_may_not_stand_there() -> None:
    ours, theirs = schema(), schema(EDITOR)
    assert find_unusable(ours), "there is a key to leave out"
    for name in ("", "issuer", "namespace", "room", "event", "server", "limits", "room_limits"):
        written = ours["$defs"][name] if name else ours
        offered = theirs["definitions"][name] if name else theirs
        assert set(offered["properties"]) == set(written["properties"]) - find_unusable(written), name
    assert set(schema(EDITOR_INCLUDED)["properties"]) == {"namespaces", "rules"}


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ("public", True),
        ("everyone", False),
        (None, False),
        ({}, False),
        ({"scope": "a"}, True),
        ({"scope": "a", "rule": "b"}, False),
        ({"claim": "a"}, False),
        ({"claim": "a", "equals": 1}, True),
        ({"claim": ["a", "b"], "exists": True}, True),
        ({"claim": "a", "equals": 1, "contains": 2}, False),
        ({"param": "a", "one_of": ["b"]}, True),
        ({"equals": 1}, False),
        ({"scope": "a", "equals": 1}, False),
        ({"all": ["public", {"not": {"rule": "x"}}]}, True),
        ({"all": ["public", {"not": {"rules": "x"}}]}, False),
    ],
    ids=json.dumps,
)
def test_a_rule_fits_as_for_the_checker(rule: Any, fits: bool) -> None:
    validator = Draft7Validator(schema(EDITOR))
    assert validator.is_valid({"version": 1, "rules": {"x": rule}}) is fits


@pytest.mark.parametrize(
    ("entry", "fits"),
    [
        ({"issuer": "a", "audience": "b"}, True),
        ({"issuer": "a", "audience": "b", "jwks_url": "https://a.example"}, True),
        ({"issuer": "a", "audience": "b", "jwks_url": "https://a.example", "jwks_file": "c"}, False),
        ({"issuer": "a", "audience": "b", "use": ["connect"]}, True),
        ({"issuer": "a", "audience": "b", "leeway": "30"}, False),
    ],
    ids=json.dumps,
)
def test_an_issuer_fits_as_for_the_checker(entry: Any, fits: bool) -> None:
    validator = Draft7Validator(schema(EDITOR))
    assert validator.is_valid({"version": 1, "issuers": {"x": entry}}) is fits
