"""Checks quickly whether a value fits a part of our schema, with `jsonschema-rs`.

The thorough validator (`document.schema`) is slow, since it makes an object for every value. It is used only for
values that do not fit, and it alone produces messages. Both accept the same values (checked by a property test).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, TypeAlias

import jsonschema_rs

from compartmentd.document.bundled import schema

SchemaObject: TypeAlias = Mapping[str, Any]

_INTEGER = "x-integer"


class FastFit:
    """Validators of the parts of one schema, each built when it is first asked for.

    Args:
        definitions: the `$defs` to which the parts refer.
    """

    def __init__(self, definitions: SchemaObject) -> None:
        self._definitions = _forbid_fractions(definitions)
        # By identity; the parts are kept, so that no other takes an identity over.
        self._built: dict[int, tuple[SchemaObject, jsonschema_rs.Draft202012Validator]] = {}

    def fits(self, part: SchemaObject, value: Any) -> bool:
        """Return whether a value fits a part."""
        known = self._built.get(id(part))
        if known is None:
            known = self._built[id(part)] = part, self._build(part)
        return known[1].is_valid(value)

    def _build(self, part: SchemaObject) -> jsonschema_rs.Draft202012Validator:
        return jsonschema_rs.Draft202012Validator(
            {**_forbid_fractions(part), "$defs": self._definitions},
            keywords={_INTEGER: _Integer},
            pattern_options=jsonschema_rs.RegexOptions(),
            offline=True,
        )


def fits(part: SchemaObject, value: Any) -> bool:
    """Return whether a value fits a part of the configuration's schema."""
    return _make_fast_fit().fits(part, value)


@cache
def _make_fast_fit() -> FastFit:
    return FastFit(schema()["$defs"])


def _forbid_fractions(schema: Any) -> Any:
    """Return a schema in which a number that must be an integer may not be written as a fraction."""
    if isinstance(schema, list):
        return [_forbid_fractions(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    copy = {key: _forbid_fractions(value) for key, value in schema.items()}
    kinds = schema.get("type", ())
    if kinds == "integer" or ("integer" in kinds and "number" not in kinds):
        copy[_INTEGER] = True
    return copy


class _Integer:
    """The keyword that refuses 1.0, which JSON Schema takes for an integer: in a configuration it is a fraction."""

    def __init__(self, *_: Any) -> None:
        pass

    def validate(self, value: Any) -> None:
        """Refuse a fraction."""
        if isinstance(value, float):
            raise ValueError  # noqa: TRY004 - the library asks for any exception
