"""What the schema validator found, and the words in which values are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from compartmentd.document.node import Node

_KINDS: Mapping[str, str] = {
    "object": "a mapping", "array": "a list", "string": "text", "boolean": "`true` or `false`",
    "integer": "an integer", "number": "a number",
}  # fmt: skip


class Fault(NamedTuple):
    """A keyword of the schema that a value does not satisfy."""

    node: Node
    name: str
    keyword: str
    wanted: Any
    schema: Mapping[str, Any]


def either(kinds: str | Sequence[str]) -> str:
    """Return types of JSON Schema in words, as in `text or a list`."""
    *most, last = [_KINDS[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    return f"{', '.join(most)} or {last}" if most else last


def kind_of(data: Any) -> str:
    """Return what a value is, for a message about its type."""
    if isinstance(data, dict):
        return "a mapping"
    if isinstance(data, list):
        return "a list"
    return "text" if isinstance(data, str) else f"`{bare(data)}`"


def shown(data: Any) -> str:
    """Return a value as a message quotes it; of a mapping or list only that it is one."""
    return (
        kind_of(data) if isinstance(data, dict | list) else f"`{bare(data)}`" if data != "" else "empty text"
    )


def bare(data: Any) -> str:
    """Return a value as YAML spells it, cut where it is long."""
    if isinstance(data, bool):
        return str(data).lower()
    text = str(data)
    return text if len(text) <= 80 else f"{text[:77]}..."
