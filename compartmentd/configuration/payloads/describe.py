"""Says what of a payload does not fit its schema, in words that name the property."""

from __future__ import annotations

from collections.abc import Sequence

import jsonschema_rs
import msgspec

LONGEST = 200
"""Characters of a value, and of the library's own words, that are shown."""

_ARTICLES = {"array": "an array", "integer": "an integer", "object": "an object", "null": "null"}


def describe_error(error: jsonschema_rs.ValidationError) -> str:
    """Return the first thing that is wrong: `text` must be a string, and is `7`."""
    place, kind = format_path(error.instance_path), error.kind
    match kind:
        case jsonschema_rs.ValidationErrorKind.Type():
            wanted = " or ".join(_ARTICLES.get(name, f"a {name}") for name in kind.types)
            return f"{place} must be {wanted}, and is {_show(error.instance)}"
        case jsonschema_rs.ValidationErrorKind.Required():
            return f"{place} lacks `{kind.property}`"
        case jsonschema_rs.ValidationErrorKind.AdditionalProperties():
            names = ", ".join(f"`{name}`" for name in kind.unexpected)
            return f"{place} has {names}, which the schema does not name"
        case jsonschema_rs.ValidationErrorKind.Enum():
            return f"{place} must be one of {_show(kind.options)}, and is {_show(error.instance)}"
        case jsonschema_rs.ValidationErrorKind.Constant():
            return f"{place} must be {_show(kind.expected_value)}, and is {_show(error.instance)}"
    return f"{place}: {error.message[:LONGEST]}"


def format_path(path: Sequence[str | int]) -> str:
    """Return the place of a value: `the data`, or `items[0].name`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return f"`{text.removeprefix('.')}`" if text else "the data"


def _show(value: object) -> str:
    text = msgspec.json.encode(value).decode()
    return f"`{text}`" if len(text) <= LONGEST else f"`{text[:LONGEST]}…`"
