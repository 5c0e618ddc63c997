"""A violation of the schema, and how messages name values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from compartmentd.document.node import Node
from compartmentd.document.spell import spell_scalar

_KINDS: Mapping[str, str] = {
    "object": "a mapping", "array": "a list", "string": "text", "boolean": "`true` or `false`",
    "integer": "an integer", "number": "a number",
}  # fmt: skip


class Fault(NamedTuple):
    """A keyword of the schema that a value violates; `key` is the value's key, empty for an item of a list."""

    node: Node
    key: str
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
    return "text" if isinstance(data, str) else f"`{spell_scalar(data)}`"


def quote_value(data: Any) -> str:
    """Return a value as messages quote it; for a mapping or list only its type."""
    if isinstance(data, dict | list):
        return describe_kind(data)
    return f"`{spell_scalar(data)}`" if data != "" else "empty text"
