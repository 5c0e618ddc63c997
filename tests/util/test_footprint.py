from __future__ import annotations

import json
from typing import Any

import pytest

from compartmentd.util import footprint as module
from compartmentd.util.footprint import MOST_NAMES, measure_memory, share_names


@pytest.fixture(autouse=True)
def empty_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start with no shared names."""
    monkeypatch.setattr(module, "_NAMES", {})


def read(text: str) -> dict[str, Any]:
    """Return an object whose strings are its own."""
    members: dict[str, Any] = json.loads(text)
    return members


TEXT = '{"realm_access": {"roles": ["a"], "nested": {"roles": []}}, "list": [{"roles": 1}], "": null}'


def test_names_are_one_string_for_all_objects() -> None:
    first, second = share_names(read(TEXT)), share_names(read(TEXT))
    assert first == second == read(TEXT)
    for one, other in (
        (first, second),
        (first["realm_access"], second["realm_access"]),
        (first["realm_access"]["nested"], second["realm_access"]),
    ):
        names = {name: name for name in one}
        assert all(name not in names or name is names[name] for name in other)


def test_the_names_that_are_shared_are_bounded() -> None:
    for number in range(MOST_NAMES + 100):
        share_names({f"name-{number}": 1, "x" * (65 + number): 1})
    assert len(module._NAMES) == MOST_NAMES
    members = {"one more": 1}
    assert share_names(members) == members
    assert len(module._NAMES) == MOST_NAMES


def test_names_are_counted_unless_they_are_shared() -> None:
    long = "x" * 200
    alone, shared = share_names(read(f'{{"{long}": 1}}')), share_names(read('{"short": 1}'))
    assert measure_memory(alone) > measure_memory(shared) + 200


@pytest.mark.parametrize("size", [0, 10, 1000])
def test_what_is_inside_counts(size: int) -> None:
    deep: Any = "x" * size
    for _ in range(30):
        deep = {"a": [deep, {"b": None}]}
    assert size + 30 * 200 < measure_memory(deep) < size + 30 * 700
