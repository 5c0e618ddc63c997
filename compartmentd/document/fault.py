"""A violation of the schema, and how messages name values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from compartmentd.document.node import Node

_KINDS: Mapping[str, str] = {
    "object": "a mapping", "array": "a list", "string": "text", "boolean": "`true` or `false`",
    "integer": "an integer", "number": "a number",
}  # fmt: skip


class Fault(NamedTuple):
    """A keyword of the schema that a value violates."""

    node: Node
    name: str
    keyword: str
    wanted: Any
    schema: Mapping[str, Any]


def join_kinds(kinds: str | Sequence[str]) -> str:
    """Return JSON Schema types in words, such as `text or a list`."""
    *most, last = [_KINDS[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    return f"{', '.join(most)} or {last}" if most else last


def describe_kind(data: Any) -> str:
    """Return a value's type in words, for a message."""
    if isinstance(data, dict):
        return "a mapping"
    if isinstance(data, list):
        return "a list"
    return "text" if isinstance(data, str) else f"`{spell_value(data)}`"


def quote_value(data: Any) -> str:
    """Return a value as messages quote it; for a mapping or list only its type."""
    return (
        describe_kind(data)
        if isinstance(data, dict | list)
        else f"`{spell_value(data)}`"
        if data != ""
        else "empty text"
    )


def spell_value(data: Any) -> str:
    """Return a value as YAML spells it, shortened if it is long."""
    if isinstance(data, bool):
        return str(data).lower()
    text = str(data)
    return text if len(text) <= 80 else f"{text[:77]}..."
