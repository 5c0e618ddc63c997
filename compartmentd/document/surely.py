"""Whether a value surely fits a schema: said at once of nearly everything that a large file holds.

The library's validator is thorough and slow, since it makes an object for every value that it looks at: 58 % of
what ten thousand room templates cost to check, of which this saves nine tenths. Here a schema becomes functions,
once, that say yes or do not know. Where they do not know, for a mistake or for a keyword that is not in the tables
below, the library judges as ever, and it alone says what is wrong.

INVARIANT: in what surely fits the library finds nothing (held by a property). Values are plain, as YAML gives them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from compartmentd.util.regex import compile_pattern

Schema: TypeAlias = Mapping[str, Any]
Fits: TypeAlias = Callable[[Any], bool]

_KINDS: Mapping[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "boolean": (bool,), "integer": (int,),
    "number": (int, float),
}  # fmt: skip
"""Exactly these, as YAML gives them: a boolean is no number, and 1.0 no integer."""


class Surely:
    """The functions of a validator's schemas, which may hold themselves, and must not change."""

    def __init__(self) -> None:
        # By identity; the schemas are kept, so that no other takes an identity over.
        self._made: dict[int, tuple[Schema, list[Fits]]] = {}

    def fits(self, schema: Schema, value: Any) -> bool:
        """Tell whether the value surely fits."""
        return _all(self.tests(schema), value)

    def tests(self, schema: Schema) -> Sequence[Fits]:
        """Return the functions that must all say yes."""
        made = self._made.get(id(schema))
        if made is not None:
            return made[1]
        tests: list[Fits] = []
        self._made[id(schema)] = schema, tests  # before it is read: it may hold itself
        tests += (self._test(schema, keyword) for keyword in schema if not _is_silent(keyword))
        return tests

    def _test(self, schema: Schema, keyword: str) -> Fits:
        if keyword in _PLAIN:
            return _PLAIN[keyword](schema[keyword])
        return _OF_PARTS.get(keyword, _unknown)(self.tests, schema)


def _is_silent(keyword: str) -> bool:
    # `then` is told by its `if`.
    return keyword in {"description", "default", "examples", "title", "then"} or keyword.startswith("x-")


def _all(tests: Sequence[Fits], value: Any) -> bool:
    for test in tests:  # noqa: SIM110 - `all` of a generator would cost as much as the tests
        if not test(value):
            return False
    return True


# --- keywords (JSON Schema 2020-12, Validation 6) ---------------------------------------------------------------


def _type(names: str | Sequence[str]) -> Fits:
    kinds = {kind for name in ([names] if isinstance(names, str) else names) for kind in _KINDS[name]}
    return lambda value: type(value) in kinds


def _text(holds: Callable[[str, Any], bool]) -> Callable[[Any], Fits]:
    return lambda wanted: lambda value: type(value) is not str or holds(value, wanted)


def _list(holds: Callable[[list[Any], Any], bool]) -> Callable[[Any], Fits]:
    return lambda wanted: lambda value: type(value) is not list or holds(value, wanted)


def _mapping(holds: Callable[[dict[str, Any], Any], bool]) -> Callable[[Any], Fits]:
    return lambda wanted: lambda value: type(value) is not dict or holds(value, wanted)


def _number(holds: Callable[[int, Any], bool]) -> Callable[[Any], Fits]:
    # Fractions are left to the library.
    return lambda wanted: lambda value: type(value) is str or (type(value) is int and holds(value, wanted))


def _different_texts(items: list[Any], wanted: Any) -> bool:
    return not wanted or (all(type(item) is str for item in items) and len(set(items)) == len(items))


def _choice(branches: Sequence[Schema], most: int) -> Fits:
    """Return the test of a choice among keys, which is all that `oneOf` and `anyOf` are to us (see `schema`)."""
    names = [name for branch in branches for name in branch.get("required", ())]
    least = 0 if any("not" in branch for branch in branches) else 1
    return lambda value: type(value) is not dict or least <= sum(name in value for name in names) <= most


_PLAIN: Mapping[str, Callable[[Any], Fits]] = {
    "type": _type,
    "enum": lambda wanted: lambda value: type(value) is str and value in wanted,
    "minimum": _number(lambda value, least: value >= least),
    "maximum": _number(lambda value, most: value <= most),
    "pattern": _text(lambda text, pattern: compile_pattern(pattern).search(text) is not None),
    "minLength": _text(lambda text, least: len(text) >= least),
    "maxLength": _text(lambda text, most: len(text) <= most),
    "minItems": _list(lambda items, least: len(items) >= least),
    "uniqueItems": _list(_different_texts),
    "maxProperties": _mapping(lambda value, most: len(value) <= most),
    "required": _mapping(lambda value, names: all(name in value for name in names)),
    "oneOf": lambda branches: _choice(branches, 1),
    "anyOf": lambda branches: _choice(branches, len(branches)),
}
"""What needs nothing but the keyword's own value."""


# --- keywords that apply schemas (JSON Schema 2020-12, 10) ------------------------------------------------------

Tests: TypeAlias = Callable[[Schema], Sequence[Fits]]


def _items(of: Tests, schema: Schema) -> Fits:
    tests = of(schema["items"])
    return lambda value: type(value) is not list or all(_all(tests, item) for item in value)


def _names(of: Tests, schema: Schema) -> Fits:
    tests = of(schema["propertyNames"])
    return lambda value: type(value) is not dict or all(_all(tests, name) for name in value)


def _properties(of: Tests, schema: Schema) -> Fits:
    known = {name: of(part) for name, part in schema["properties"].items()}
    return lambda value: (
        type(value) is not dict
        or all(_all(known[name], part) for name, part in value.items() if name in known)
    )


def _others(of: Tests, schema: Schema) -> Fits:
    known, wanted = schema.get("properties", {}).keys(), schema["additionalProperties"]
    if wanted is False:
        return lambda value: type(value) is not dict or value.keys() <= known
    tests = of(wanted)
    return lambda value: (
        type(value) is not dict or all(_all(tests, part) for name, part in value.items() if name not in known)
    )


def _dependent(of: Tests, schema: Schema) -> Fits:
    dependent = {name: of(part) for name, part in schema["dependentSchemas"].items()}
    return lambda value: (
        type(value) is not dict
        or all(_all(tests, value) for name, tests in dependent.items() if name in value)
    )


def _if(of: Tests, schema: Schema) -> Fits:
    condition = schema["if"]
    if condition.keys() != {"type"} or "else" in schema:
        return _unknown(of, schema)  # a `yes` of ours is sure, a `no` is not
    concerns, tests = _type(condition["type"]), of(schema["then"])
    return lambda value: not concerns(value) or _all(tests, value)


def _unknown(_: Tests, __: Schema) -> Fits:
    return lambda _: False


_OF_PARTS: Mapping[str, Callable[[Tests, Schema], Fits]] = {
    "items": _items,
    "propertyNames": _names,
    "properties": _properties,
    "additionalProperties": _others,
    "dependentSchemas": _dependent,
    "if": _if,
}
