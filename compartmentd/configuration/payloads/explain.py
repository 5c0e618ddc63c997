"""Explains what is wrong with a keyword of a JSON Schema."""

from __future__ import annotations

from typing import Any

from jsonschema.exceptions import SchemaError

from compartmentd.document.fault import describe_kind, join_kinds, quote_value
from compartmentd.document.nearest import find_nearest

_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_OTHER_NAMES = {
    "str": "string", "text": "string", "char": "string", "varchar": "string", "uuid": "string", "date": "string",
    "int": "integer", "long": "integer", "float": "number", "double": "number", "decimal": "number",
    "bool": "boolean", "list": "array", "tuple": "array", "dict": "object", "map": "object", "none": "null",
    "nil": "null", "undefined": "null",
}  # fmt: skip


def explain_schema_error(place: str, error: SchemaError) -> tuple[str, str]:
    """Return what is wrong, and what to write.

    Args:
        place: The path of the value in the file.
        error: What the schema of schemas has against it.
    """
    path = [str(step) for step in error.absolute_path]
    value: Any = error.instance
    if path[-1:] == ["type"] or path[-2:-1] == ["type"]:
        value = (
            next((item for item in value if item not in _TYPES), value) if isinstance(value, list) else value
        )
        if isinstance(value, str):
            near = _OTHER_NAMES.get(value.lower()) or find_nearest(value, _TYPES)
            known = f"the types are {', '.join(f'`{each}`' for each in _TYPES)}"
            return (
                f"{quote_value(value)} is no type (`{place}`)",
                f"did you mean `{near}`?" if near else known,
            )
    if error.validator == "type":
        wanted: Any = error.validator_value
        kinds = [wanted] if isinstance(wanted, str) else list(wanted)
        if set(kinds) == {"object", "boolean"}:
            return f"`{place}` must be a schema, not {describe_kind(value)}", "write a schema, as in `{}`"
        return f"`{place}` must be {join_kinds(kinds)}, not {describe_kind(value)}", ""
    if error.validator == "minimum":
        return f"`{place}` must be at least {error.validator_value}", ""
    if error.validator == "exclusiveMinimum":
        return f"`{place}` must be more than {error.validator_value}", ""
    if error.validator == "uniqueItems":
        return f"`{place}` names something twice", "remove one of them"
    return f"`{place}` does not have the form that JSON Schema gives it: {quote_value(value)}", ""
