"""Reads a policy test file (`*.test.yaml`): its people, and the rooms that its cases use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from compartmentd.document.source import Source, decode
from compartmentd.document.yamldoc import parse


class People(msgspec.Struct, frozen=True):
    """Claims by a person's name, and for each namespace the rooms that the cases use."""

    claims: Mapping[str, Mapping[str, Any]] = {}
    rooms: Mapping[str, tuple[str, ...]] = {}


def read_cases(file: str, data: bytes) -> Mapping[str, Any]:
    """Return the content of a test file; empty if the bytes are not a YAML mapping without problems."""
    source = decode(file, data)
    if not isinstance(source, Source):
        return {}
    parsed = parse(source)
    return {} if parsed.root is None or parsed.problems else _as_mapping(parsed.root.data)


def collect_people(tests: Mapping[str, Any]) -> People:
    """Return the people of a policy test; entries without the form of a person are left out."""
    claims = {
        name: value for name, value in _as_mapping(tests.get("tokens")).items() if isinstance(value, dict)
    }
    rooms: dict[str, dict[str, None]] = {}
    for case in _as_items(tests.get("cases")):
        namespace = case.get("in", case.get("connect"))
        if isinstance(namespace, str):
            rooms.setdefault(namespace, {}).update(dict.fromkeys(_iter_rooms(case)))
    return People(claims, {namespace: tuple(names) for namespace, names in rooms.items()})


def _iter_rooms(case: Mapping[str, Any]) -> Iterator[str]:
    for key in ("join", "room", "joins", "member"):
        value = case.get(key)
        yield from (room for room in (value if isinstance(value, list) else [value]) if isinstance(room, str))


def _as_mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _as_items(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
