"""The fast validator finds the same values to fit as the thorough one, over what people write and nearly that."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from jsonschema import Draft202012Validator
from jsonschema.validators import extend

from compartmentd.document import schema as schema_check
from compartmentd.document.bundled import schema
from compartmentd.document.fast_fit import FastFit, fits
from compartmentd.document.source import Source
from compartmentd.document.yamldoc import parse

CONFIG = Path(__file__).parents[2] / "config"
LIBRARY: Any = extend(  # type: ignore[no-untyped-call]
    schema_check._Validator, {"additionalProperties": Draft202012Validator.VALIDATORS["additionalProperties"]}
)
"""Our validator as it judges without asking the fast one about anything."""

_shared: dict[str, Any] = {}
DEFINITIONS: dict[str, Any] = {
    name: schema_check._inline_references({"$ref": f"#/$defs/{name}"}, schema()["$defs"], _shared)
    for name in schema()["$defs"]
}
MORE = """
version: 1
rules: {r: {not: {any: [public, {claim: [a, b], one_of: [1, x, true]}, {param: p, is: past}]}}}
limits: {message_size: 1KiB, message_rate: unlimited, sessions_per_user: 3}
namespaces:
  /:
    connect: {all: [{claim: n, at_least: 1.5}, {claim: n, exists: false}, {all_scopes: [a, b]}]}
    events: {message: {volatile: true, publish: members}, other: {}}
    limits: {rooms_per_session: unlimited, byte_rate: 5/s}
    rooms:
      "a{p}{q}":
        params: {p: {integer: {min: -3, max: 9}}, q: {one_of: [x, y]}}
        join: server
        auto_join: {p: claim, q: other}
        echo: true
        capacity: 5
"""


def data_of(text: str) -> Any:
    parsed = parse(Source("f", text))
    assert parsed.root is not None
    assert parsed.problems == ()
    return parsed.root.data


WRITTEN = [data_of((CONFIG / name).read_text()) for name in ("compartments.yaml", "demo.yaml")] + [
    data_of(MORE)
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value inside."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, part in parts:
        yield (*path, step)
        yield from places(part, (*path, step))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


_words = st.sampled_from(
    [
        "public",
        "members",
        "server",
        "scope",
        "claim",
        "equals",
        "is",
        "past",
        "join",
        "p",
        "",
        "30s",
        "5/s",
        "x y",
    ]
)
_scalars = _words | st.none() | st.booleans() | st.integers(-2, 9) | st.floats(-1, 2)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def documents(draw: st.DrawFn) -> Any:
    """What somebody wrote, with some values replaced, copied from elsewhere, added or left out."""
    document = copy.deepcopy(draw(st.sampled_from(WRITTEN)))
    for _ in range(draw(st.integers(0, 3))):
        paths = list(places(document))
        *outer, step = draw(st.sampled_from(paths))
        place = at(document, tuple(outer))
        match draw(st.sampled_from(["replace", "copy", "add", "leave out"])):
            case "replace":
                place[step] = draw(_values)
            case "copy":
                place[step] = copy.deepcopy(at(document, draw(st.sampled_from(paths))))
            case "add" if isinstance(place, dict):
                place[draw(_words)] = draw(_values)
            case "add":
                place.append(draw(_values))
            case _:
                del place[step]
    return document


def found(validator: Any, value: Any) -> list[tuple[Any, ...]]:
    """Return what a validator finds, so that two can be compared."""
    errors = validator.iter_errors(value)
    return sorted((repr(list(e.absolute_path)), repr(list(e.absolute_schema_path))) for e in errors)


@given(documents())
def test_the_library_alone_would_find_the_same(document: Any) -> None:
    ours = schema_check._make_validator(None)
    expected = found(LIBRARY(ours.schema), document)
    assert found(ours, document) == expected
    assert fits(schema(), document) is not bool(expected)


_forms = st.sampled_from(
    ["30s", "64KiB", "5/s", "unlimited", "/", "/a", "a", "127.0.0.1:80", "10.0.0.0/8", "A_B"]
)


def _texts(part: Any) -> st.SearchStrategy[Any]:
    known = part.get("enum") or part.get("then", {}).get("enum") or ["x"]
    lengths = [part.get(name, 1) + more for name in ("minLength", "maxLength") for more in (-1, 0, 1)]
    return _forms | st.sampled_from([*known, *("x" * length for length in lengths)])


def _numbers(part: Any) -> st.SearchStrategy[Any]:
    ends = [part.get(name, 0) + more for name in ("minimum", "maximum") for more in (-1, 0, 1)]
    return st.sampled_from([*ends, *map(float, ends), True, 0.5])


def _mappings(part: Any, depth: int) -> st.SearchStrategy[Any]:
    known, others = part.get("properties", {}), part.get("additionalProperties") or {}
    required = part.get("required", [])
    chosen = [name for branch in part.get("oneOf", []) for name in branch.get("required", [])]
    made = _texts(part.get("propertyNames", {}))
    names = st.sampled_from([*(chosen or known or ["a"]), *required, *known]) | made if known else made
    few = st.lists(names, max_size=3, unique=True)
    return (few | few.map(lambda drawn: [*dict.fromkeys([*required, *drawn])])).flatmap(
        lambda drawn: st.fixed_dictionaries(
            {name: near(known.get(name, others), depth - 1) for name in drawn}
        )
    )


def near(part: Any, depth: int = 3) -> st.SearchStrategy[Any]:
    """Return values that fit a schema, or miss it by little."""
    kinds = part.get("type", ["string", "object", "array", "number"])
    kinds = {kinds} if isinstance(kinds, str) else {*kinds}
    found = []
    found += [_texts(part)] if "string" in kinds else []
    found += [_numbers(part)] if kinds & {"number", "integer", "boolean"} else []
    if depth and "array" in kinds:
        found += [st.lists(near(part.get("items", {}), depth - 1), max_size=3)]
    if depth and "object" in kinds:
        found += [_mappings(part, depth)] * 2
    return st.one_of([*found, _scalars]) if depth == 3 or not found else st.one_of(found)


@settings(max_examples=1000)
@given(
    st.sampled_from(sorted(DEFINITIONS)).flatmap(
        lambda name: st.tuples(st.just(name), near(DEFINITIONS[name]))
    )
)
def test_that_a_value_fits_where_the_thorough_validator_finds_nothing(drawn: tuple[str, Any]) -> None:
    name, value = drawn
    part, finds = schema_check._get_part(name), found(LIBRARY(DEFINITIONS[name]), value)
    fast = fits(part, value)
    # A choice among keys says nothing of what is no mapping to the thorough one; it always stands beside a type.
    assert not finds if fast else finds or "oneOf" in part


@pytest.mark.parametrize("value", [1.0, [1.0], 1e3])
def test_a_fraction_is_no_integer(value: Any) -> None:
    """Unlike in JSON Schema: who writes 1.0 in a configuration means a fraction."""
    part = {"type": "integer"} if not isinstance(value, list) else {"items": {"type": ["integer", "string"]}}
    assert not FastFit({}).fits(part, value)
    assert FastFit({}).fits({"type": ["integer", "number", "array"]}, value)
