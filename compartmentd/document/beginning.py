"""Reads values from a YAML file that is unreadable further down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml


class _Open:
    """A mapping or sequence that has begun; `key` is the key whose value comes next."""

    def __init__(self, *, mapping: bool) -> None:
        self.mapping = mapping
        self.key: str | None = None

    def take(self, value: str) -> None:
        """Accept the next key or value."""
        self.key = value if self.mapping and self.key is None else None


def find_scalar_before_mistake(text: str, path: Sequence[str]) -> str | None:
    """Return the scalar at a path of keys, if it stands before the mistake."""
    try:
        return _find_scalar(yaml.parse(text, Loader=yaml.SafeLoader), list(path))
    except yaml.YAMLError:
        return None


def _find_scalar(events: Any, path: list[str]) -> str | None:
    trail: list[_Open] = []
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            trail.append(_Open(mapping=isinstance(event, yaml.MappingStartEvent)))
        elif isinstance(event, yaml.CollectionEndEvent):
            trail.pop()
            if trail:
                trail[-1].take("")
        elif isinstance(event, yaml.ScalarEvent) and trail:
            if trail[-1].key is not None and [part.key for part in trail] == path:
                return str(event.value)
            trail[-1].take(event.value)
    return None
