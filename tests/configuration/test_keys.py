"""A key of the configuration has an effect: it changes what is compiled, and something reads that."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from compartmentd.configuration.compiler import load
from compartmentd.configuration.settings import LogSettings, ServerSettings
from compartmentd.problems import Span
from docs.generate.configuration import Key
from tests.docs.test_reference import KEYS, whole
from tests.support.cases import InMemory

PACKAGE = Path(__file__).parents[2] / "compartmentd"

FILES = {
    "events/message.schema.json": b'{"type": "object"}',
    "namespaces/more.yaml": b"namespaces: {/more: {connect: authenticated}}",
}

FOR_PEOPLE = {"$schema", "description"}
"""Keys that are for editors and readers."""


def plain(value: Any) -> Any:
    """Return a compiled value as plain data without the places of its parts, which every change moves."""
    match value:
        case Span():
            return None
        case msgspec.Struct():
            fields = msgspec.structs.asdict(value)
            compiled_parts = {name: plain(part) for name, part in fields.items() if name != "server_spans"}
            return {"": type(value).__name__, **compiled_parts}
        case Mapping():
            return {str(name): plain(part) for name, part in value.items()}
        case tuple() | list():
            return [plain(part) for part in value]
    return value


def compiled(settings: dict[str, Any]) -> Any:
    """Compile, and return plain data and the errors; a key that is missed is an effect, too."""
    loaded = load(
        "compartments.yaml", InMemory({"compartments.yaml": yaml.safe_dump(settings).encode(), **FILES})
    )
    problems = [problem.code for problem in loaded.problems if problem.severity == "error"]
    return [plain(loaded.configuration), problems]


def without(key: Key) -> dict[str, Any]:
    """Return the configuration of a key's example with the key left out."""
    settings = copy.deepcopy(whole(key))
    path, example = key.example()
    place = settings
    for name in path:
        place = place[name]
    for name in example:
        del place[name]
    return settings


@pytest.mark.parametrize(
    "key",
    [key for key in KEYS if key.section.definition != "rule" and key.name.split(".")[-1] not in FOR_PEOPLE],
    ids=lambda key: key.anchor,
)
def test_a_key_changes_what_is_compiled(key: Key) -> None:
    """Rules are not compared here: what each of their keys means is tested in tests/policy."""
    with_it, without_it = whole(key), without(key)
    if key.anchor == "namespace.issuers":  # with one entry, the default says the same
        for settings in (with_it, without_it):
            settings["issuers"]["other"] = {"issuer": "https://other.example.com", "audience": "realtime"}
    what = "either nothing reads the key, or its example is its default"
    assert compiled(with_it) != compiled(without_it), what


@pytest.mark.parametrize("name", [*ServerSettings.__struct_fields__, *LogSettings.__struct_fields__])
def test_something_outside_the_compiler_reads_each_setting(name: str) -> None:
    readers = [
        path for path in PACKAGE.rglob("*.py") if "configuration" not in path.relative_to(PACKAGE).parts
    ]
    assert any(re.search(rf"\.{name}\b|\"{name}\"", path.read_text()) for path in readers)
