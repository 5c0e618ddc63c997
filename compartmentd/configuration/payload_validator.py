"""Payload schemas of events: JSON Schema 2020-12, with RE2 for patterns and without references to elsewhere.

`pattern` in Python's `re` can take exponential time on a client's data; RE2 cannot. `$ref` resolves inside the
schema only: the registry is empty, so nothing is ever fetched.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from referencing import Registry

from compartmentd.util.regex import compile_pattern


def _pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not compile_pattern(pattern).search(instance):
        yield ValidationError(f"does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, _: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for pattern, subschema in patterns.items():
        for key, value in instance.items():
            if compile_pattern(pattern).search(key):
                yield from validator.descend(value, subschema, path=key, schema_path=pattern)


def _additional_properties(
    validator: Any, extra: Any, instance: Any, schema: Any
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    declared = schema.get("properties", {})
    patterns = [compile_pattern(pattern) for pattern in schema.get("patternProperties", {})]
    for key, value in instance.items():
        if key in declared or any(pattern.search(key) for pattern in patterns):
            continue
        if extra is False:
            yield ValidationError("has a property that is not declared")
        else:
            yield from validator.descend(value, extra, path=key)


def _unique_items(_: Any, unique: bool, instance: Any, __: Any) -> Iterator[ValidationError]:
    """Compare by text: the library compares each object with each, 7 s for 30 KB of a client's data."""
    if unique and isinstance(instance, list):
        texts = {json.dumps(_canonical(item), sort_keys=True) for item in instance}
        if len(texts) < len(instance):
            yield ValidationError("has an item twice")


def _canonical(value: Any) -> Any:
    """Return a value whose JSON is the same as that of all that are equal to it: 1.0 is 1 (4.2.2 of its Core)."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    if isinstance(value, dict):
        return {name: _canonical(item) for name, item in value.items()}
    return value


_Validator: Any = extend(  # type: ignore[no-untyped-call]  # the library's stubs leave it untyped
    Draft202012Validator,
    {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "uniqueItems": _unique_items,
    },
)


class _TwiceError(ValueError):
    """An object names a member twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _TwiceError
    return members


class PayloadSchema:
    """A payload schema, ready to check data as it came over the wire."""

    __slots__ = ("_validator",)

    def __init__(self, schema: Any) -> None:
        self._validator = _Validator(schema, registry=Registry())

    def holds(self, data: bytes) -> bool:
        """Tell whether the JSON text fits.

        An object that names a member twice does not fit: recipients may read the other one than was checked
        (RFC 8259, 4). Neither does what is nested too deeply to be checked.
        """
        try:
            value = json.loads(data, object_pairs_hook=_once, parse_constant=_refuse_constant)
            return bool(self._validator.is_valid(value))
        except (ValueError, RecursionError):
            return False

    def holds_value(self, value: Mapping[str, Any] | Any) -> bool:
        """Tell whether an already decoded value fits."""
        try:
            return bool(self._validator.is_valid(value))
        except RecursionError:
            return False


def _refuse_constant(_: str) -> Any:
    # NaN and Infinity are no JSON (RFC 8259, 6), though Python's parser takes them.
    raise ValueError
