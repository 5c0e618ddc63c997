"""The ready-made people of the playground: those whom the policy tests beside the configuration speak of.

`demo.test.yaml` says `config: demo.yaml`, has the claims of its people under `tokens`, and tries rooms in its
`cases`. So whoever has written tests has a playground for the same people and rooms, and nothing is declared
twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from compartmentd.document.source import Source, decode
from compartmentd.document.yamldoc import parse

PATTERN = "*.test.yaml"


class People(msgspec.Struct, frozen=True):
    """Claims by the name of their holder, and the rooms of each namespace that the cases speak of."""

    claims: Mapping[str, Mapping[str, Any]] = {}
    rooms: Mapping[str, tuple[str, ...]] = {}


def people_beside(path: str) -> People:
    """Return the people of the first test file, by name, that is for the configuration at `path`; else nobody.

    A file that cannot be read as such a test is passed over: it is no part of the configuration.
    """
    configuration = Path(path)
    for file in sorted(configuration.parent.glob(PATTERN)):
        tests = _mapping(_content(file))
        named = tests.get("config")
        if isinstance(named, str) and (file.parent / named).resolve() == configuration.resolve():
            return people_of(tests)
    return People()


def people_of(tests: Mapping[str, Any]) -> People:
    """Return the people of a policy test; whatever has not the form of one is left out."""
    claims = {name: held for name, held in _mapping(tests.get("tokens")).items() if isinstance(held, dict)}
    rooms: dict[str, dict[str, None]] = {}
    for case in _items(tests.get("cases")):
        namespace = case.get("in", case.get("connect"))
        if isinstance(namespace, str):
            rooms.setdefault(namespace, {}).update(dict.fromkeys(_rooms(case)))
    return People(claims, {namespace: tuple(names) for namespace, names in rooms.items()})


def _rooms(case: Mapping[str, Any]) -> Iterator[str]:
    for key in ("join", "room", "joins", "member"):
        value = case.get(key)
        yield from (room for room in (value if isinstance(value, list) else [value]) if isinstance(room, str))


def _content(file: Path) -> Any:
    try:
        source = decode(str(file), file.read_bytes())
    except OSError:
        return None
    if not isinstance(source, Source):
        return None
    parsed = parse(source)
    return None if parsed.root is None or parsed.problems else parsed.root.data


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
