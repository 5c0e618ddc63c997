"""The committed reference is what the code's tables make, nothing is missing in it, and its examples compile."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import yaml
from hypothesis import given, strategies as st

from compartmentd.cli.main import COMMANDS
from compartmentd.configuration.compiler import load
from compartmentd.document.bundled import schema
from compartmentd.document.units import Unit, parse_quantity
from compartmentd.policy.codes import MEANINGS
from docs.generate import client_codes, commands, http
from docs.generate.configuration import INTRODUCTIONS, QUANTITIES, SECTIONS, Key, keys
from docs.generate.markdown import flow
from docs.generate.pages import DIRECTORY, PAGES, ROOT, SCHEMAS
from tests.support.cases import InMemory

KEYS = list(keys(schema()))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_makes(name: str) -> None:
    assert (DIRECTORY / name).read_text() == PAGES[name](), "run: make reference"


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_for_editors_is_what_the_code_makes(name: str) -> None:
    assert (ROOT / "schemas" / name).read_text() == SCHEMAS[name](), "run: make reference"


def test_every_page_is_made_or_the_index() -> None:
    assert {page.name for page in DIRECTORY.iterdir()} == {*PAGES, "index.md"}


def test_every_definition_with_keys_has_a_section() -> None:
    with_keys = {name for name, part in schema()["$defs"].items() if "properties" in part}
    # The limits of a namespace are those of the top, less two.
    assert with_keys - {section.definition for section in SECTIONS} == {"included", "namespace_limits"}


def test_every_quantity_is_written_as_its_example() -> None:
    assert set(QUANTITIES) == set(get_args(Unit))
    for unit, (_, example) in QUANTITIES.items():
        assert (parse_quantity(example, unit) is not None) is (unit != "count"), example
    assert set(INTRODUCTIONS) <= {section.definition for section in SECTIONS}


def test_every_anchor_is_there_once() -> None:
    anchors = [key.anchor for key in KEYS]
    assert len(anchors) == len(set(anchors))


def test_every_code_has_advice_and_every_command_its_ends() -> None:
    assert set(client_codes.ADVICE) == set(MEANINGS)
    assert set(commands.ENDS) == set(COMMANDS)


def test_every_resource_has_a_text() -> None:
    assert {route.path for route in http.admin_routes()} == set(http.TEXTS)


# --- examples -------------------------------------------------------------------------------------------------

NEEDS: dict[str, dict[str, Any]] = {
    "issuer.tenants": {
        "preset": "entra",
        "issuer": "https://login.microsoftonline.com/{tenantid}/v2.0",
        "audience": "realtime",
    },
    "issuer.secret_file": {"algorithms": ["HS256"]},
    "issuer.secret_env": {"algorithms": ["HS256"]},
}
"""What an entry must have beside a key, for the key to be meant well."""

DOUBTFUL = {"issuer.allow_http", "room.publish"}
"""Keys that are warned of where they stand alone: `publish` of a room needs its `events`."""


def rule_in_its_place(rule: dict[str, Any]) -> dict[str, Any]:
    """Return namespaces in which a rule of the reference has all that it speaks of."""
    return {
        "connect": "authenticated",
        "rooms": {
            "case:{case}": {"join": "authenticated"},
            "board:{case}:{project}": {
                "params": {"project": {"one_of": ["apollo", "zeus"]}},
                "join": rule,
            },
        },
    }


def whole(key: Key) -> dict[str, Any]:
    """Return a configuration that has the example in its place, and only what this needs besides."""
    path, example = key.example()
    base: dict[str, Any] = {
        "version": 1,
        "server": {"state": "state"},
        "issuers": {"corp": {"issuer": "https://id.example.com/realms/acme", "audience": "realtime"}},
        "rules": {},
        "namespaces": {"/chat": {"connect": "authenticated", "publish": "authenticated"}},
    }
    base["issuers"]["corp"] |= NEEDS.get(key.anchor, {})
    if key.section.definition == "rule":
        base["rules"]["staff"] = {"claim": "roles", "contains": "staff"}
        base["namespaces"]["/chat"] = rule_in_its_place(example["example"])
        return base
    place = base
    for name in path:
        place = place.setdefault(name, {})
    place.update(example)
    if "tls" in base["server"]:
        base["server"]["tls"] = {"cert": "server.crt", "key": "server.key", **base["server"]["tls"]}
    if isinstance(sessions := base.get("limits", {}).get("sessions_per_user"), dict):
        sessions.setdefault("max", 1)
    for room in base["namespaces"]["/chat"].get("rooms", {}).values():
        room.setdefault("join", "authenticated")
        if "events" in room:
            room.setdefault("publish", "members")
    return base


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.anchor)
def test_an_example_compiles(key: Key) -> None:
    files = {
        "compartments.yaml": yaml.safe_dump(whole(key)).encode(),
        "events/message.schema.json": b'{"type": "object"}',
        "namespaces/more.yaml": b"namespaces: {/more: {connect: authenticated}}",
    }
    loaded = load("compartments.yaml", InMemory(files))
    warned = [str(problem) for problem in loaded.problems if problem.severity != "note"]
    assert bool(warned) is (key.anchor in DOUBTFUL), warned
    assert loaded.configuration is not None


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.anchor)
def test_an_example_is_shown_as_it_is_in_the_schema(key: Key) -> None:
    text = (DIRECTORY / "configuration.md").read_text()
    entry = text[text.index(f"{{ #{key.anchor} }}") :]
    shown = yaml.safe_load(entry.split("```yaml\n", 1)[1].split("```", 1)[0])
    path, example = key.example()
    for name in path:
        shown = shown[name]
    assert shown == example


PRINTABLE = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | PRINTABLE,
    lambda inner: st.lists(inner) | st.dictionaries(PRINTABLE, inner),
    max_leaves=8,
)


@given(JSON)
def test_a_value_on_one_line_reads_as_itself(value: object) -> None:
    assert yaml.safe_load(flow(value)) == value
