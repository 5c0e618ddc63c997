from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from jsonschema import Draft202012Validator
from referencing import Registry

from compartmentd.configuration.payloads.budget import IntricateError
from compartmentd.configuration.payloads.cost import InPlaceCycleError
from compartmentd.configuration.payloads.validator import PayloadValidator, PayloadVerdict, build_validator

TEXT = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string", "maxLength": 5, "pattern": "^[a-z]+$"}},
    "patternProperties": {"^x-": {"type": "integer"}},
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("schema", "data", "valid"),
    [
        (TEXT, b'{"text":"abc"}', True),
        (TEXT, b' { "text" : "abc" , "x-a" : 1 } ', True),
        (TEXT, b'{"text":"abc","x-a":"1"}', False),
        (TEXT, b'{"text":"abc","other":1}', False),
        (TEXT, b'{"text":"ABC"}', False),
        (TEXT, b'{"text":"abcdef"}', False),
        (TEXT, b'{"text":"abc\\n"}', False),
        (TEXT, b"{}", False),
        (TEXT, b"[]", False),
        (TEXT, b'{"text":"abc","text":"abc"}', False),
        (TEXT, b'{"text":"abc","\\u0074ext":"abc"}', False),
        (TEXT, b"", False),
        (TEXT, b'{"text":"abc"', False),
        (True, b'[{"a":1,"a":2}]', False),
        (True, b'{"a":{"b":1},"c":{"b":1}}', True),
        (True, b'"\\ud800"', False),
        (True, b'"\xff"', False),
        ({"type": "number"}, b"1e400", False),
        ({"type": "number"}, b"NaN", False),
        ({"type": "number"}, b"Infinity", False),
        ({"type": "integer"}, b"1.0", True),
        ({"type": "integer"}, b"1.5", False),
        ({"type": "integer"}, b"1e3", True),
        ({"type": "integer"}, b"100000000000000000000", True),
        ({"type": "integer"}, b"true", False),
        ({"maximum": 9007199254740992}, b"9007199254740993", False),
        ({"minimum": 18446744073709551616}, b"18446744073709551617", True),
        ({"const": 1}, b"1.0", True),
        ({"const": {"a": [1, None]}}, b'{"a":[1.0,null]}', True),
        ({"enum": [0]}, b"false", False),
        ({"maxLength": 1}, '"é"'.encode(), True),
        ({"maxLength": 1}, '"😀"'.encode(), True),
        ({"format": "email"}, b'"nobody"', True),
        ({"contentMediaType": "application/json"}, b'"{"', True),
        ({"pattern": "^é$"}, '"é"'.encode(), True),
        ({"pattern": "a$"}, b'"a\\n"', False),
        (True, b"[[[1]]]", True),
        (False, b"1", False),
        ({"additionalProperties": {"type": "string"}}, b'{"a":"b"}', True),
        ({"additionalProperties": {"type": "string"}}, b'{"a":1}', False),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"const": 1}}}, b"1", True),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"const": 1}}}, b"2", False),
        ({"items": {"$ref": "#"}}, b"[" * 100_000 + b"]" * 100_000, False),
        ({}, b"1" * 5000, False),
        ({"uniqueItems": True}, b'[1,true,"1",[1],{"a":1},null,0,false,1.5]', True),
        ({"uniqueItems": True}, b"[1,2,1.0]", False),
        ({"uniqueItems": True}, b"[[0],[-0.0]]", False),
        ({"uniqueItems": True}, b'[{"a":1,"b":[2]},{"b":[2.0],"a":1}]', False),
        ({"uniqueItems": True}, b"[1e308,10e307]", False),
        ({"uniqueItems": True}, b'"aa"', True),
        ({"uniqueItems": False}, b"[1,1]", True),
    ],
)
def test_validate(schema: Any, data: bytes, valid: bool) -> None:
    assert PayloadValidator(schema).validate(data) is (
        PayloadVerdict.VALID if valid else PayloadVerdict.INVALID
    )


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"allOf": [{"anyOf": [{"$ref": "#"}]}]},
        {"$ref": "#/$defs/a", "$defs": {"a": {"not": {"$ref": "#/$defs/b"}}, "b": {"$ref": "#/$defs/a"}}},
        {"$dynamicAnchor": "n", "if": {"$dynamicRef": "#n"}},
    ],
)
def test_a_schema_that_applies_itself_to_the_same_value_is_refused(schema: Any) -> None:
    with pytest.raises(InPlaceCycleError):
        PayloadValidator(schema)


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a validator must not open a connection")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(ValueError, match="127"):
        build_validator({"$ref": "http://127.0.0.1:1/schema.json"})
    schema = {"$schema": "http://127.0.0.1:1/dialect", "const": 1}
    assert PayloadValidator(schema).validate(b"1") is PayloadVerdict.VALID


# --- random schemas, beside `jsonschema` -------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "kind"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([2**53, 2**64, 10**20, 0.5, 1.0, 2.5, -0.0, 1e300, 1e-9]),
    st.sampled_from(["", "a", "ab", "é", "😀", "x-1", "kind"]),
)
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=4) | st.dictionaries(NAMES, v, max_size=3), max_leaves=12
)
LIMITS = st.sampled_from([-1, 0, 1, 2, 0.5, 2**53, 1e300])
KINDS = ("null", "boolean", "integer", "number", "string", "array", "object")
LEAVES = st.one_of(
    st.booleans(),
    st.sampled_from([{}, {"uniqueItems": True}, {"$ref": "#"}, {"$ref": "#/$defs/a"}]),
    st.sampled_from(KINDS).map(lambda kind: {"type": kind}),
    st.lists(st.sampled_from(KINDS), min_size=1, unique=True).map(lambda kinds: {"type": kinds}),
    VALUES.map(lambda value: {"const": value}),
    st.lists(SCALARS, min_size=1, max_size=4).map(lambda values: {"enum": values}),
    st.tuples(st.sampled_from(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]), LIMITS).map(
        lambda pair: {pair[0]: pair[1]}
    ),
    st.sampled_from([1, 2, 0.5, 3]).map(lambda divisor: {"multipleOf": divisor}),
    st.tuples(
        st.sampled_from(["minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"]),
        st.integers(0, 3),
    ).map(lambda pair: {pair[0]: pair[1]}),
    st.sampled_from(["^a", "b$", "^[a-z]{1,3}$", "\\d", "é|b", "^$", "."]).map(lambda p: {"pattern": p}),
    st.lists(NAMES, max_size=2, unique=True).map(lambda names: {"required": names}),
    st.dictionaries(NAMES, st.lists(NAMES, max_size=2, unique=True), max_size=2).map(
        lambda value: {"dependentRequired": value}
    ),
)


def joined(parts: list[Any]) -> Any:
    """Return one schema with the keywords of several."""
    return {key: value for part in parts if isinstance(part, dict) for key, value in part.items()}


def applied(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists, mappings = st.lists(inner, min_size=1, max_size=3), st.dictionaries(NAMES, inner, max_size=3)
    single = st.sampled_from(
        [
            *("not", "if", "then", "else", "items", "contains", "additionalProperties", "propertyNames"),
            *("unevaluatedProperties", "unevaluatedItems"),
        ]
    )
    kinds = st.lists(inner, min_size=2, max_size=3).map(
        lambda branches: {
            "oneOf": [
                {
                    **(branch if isinstance(branch, dict) else {}),
                    "type": "object",
                    "required": ["kind"],
                    "properties": {"kind": {"const": name}, "a": branch},
                }
                for name, branch in zip(["a", "ab", "kind"], branches, strict=False)
            ]
        }
    )
    return st.one_of(
        st.tuples(st.sampled_from(["allOf", "anyOf", "oneOf", "prefixItems"]), lists).map(
            lambda p: {p[0]: p[1]}
        ),
        st.tuples(st.sampled_from(["properties", "dependentSchemas"]), mappings).map(lambda p: {p[0]: p[1]}),
        st.dictionaries(st.sampled_from(["^a", "b"]), inner, max_size=2).map(
            lambda v: {"patternProperties": v}
        ),
        st.tuples(single, inner).map(lambda p: {p[0]: p[1]}),
        st.tuples(inner, st.integers(0, 2), st.integers(0, 3)).map(
            lambda p: {"contains": p[0], "minContains": p[1], "maxContains": p[2]}
        ),
        kinds,
        st.lists(inner, min_size=2, max_size=3).map(joined),
    )


SCHEMAS = st.recursive(LEAVES, applied, max_leaves=10)


@settings(max_examples=400, deadline=None)
@given(SCHEMAS, SCHEMAS, st.lists(VALUES, min_size=1, max_size=5))
def test_that_it_says_the_same_as_jsonschema(root: Any, other: Any, values: list[Any]) -> None:
    schema = {**(root if isinstance(root, dict) else {"allOf": [root]}), "$defs": {"a": other}}
    try:
        validator = PayloadValidator(schema)
    except (InPlaceCycleError, IntricateError):
        return
    slow = Draft202012Validator(schema, registry=Registry())
    for value in values:
        verdict = validator.validate(json.dumps(value, ensure_ascii=False).encode())
        assert (verdict is PayloadVerdict.VALID) is slow.is_valid(value), value


@pytest.mark.parametrize(
    ("schema", "data", "told"),
    [
        (TEXT, b'{"text":7}', "`text` must be a string, and is `7`"),
        (TEXT, b"[]", "the data must be an object, and is `[]`"),
        (TEXT, b"{}", "the data lacks `text`"),
        (TEXT, b'{"text":"a","b":1}', "the data has `b`, which the schema does not name"),
        (TEXT, b'{"text":"abcdef"}', "`text`: "),
        (TEXT, b'{"text":"a","text":"b"}', "an object of the data names a member twice"),
        (TEXT, b'{"text"', "the data is not taken as JSON"),
        (
            {"items": {"properties": {"n": {"enum": [1, 2]}}}},
            b'[{"n":3}]',
            "`[0].n` must be one of `[1,2]`, and is `3`",
        ),
        ({"const": 1}, b"2", "the data must be `1`, and is `2`"),
        ({"type": ["string", "null"]}, b"2", "the data must be null or a string, and is `2`"),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, b"2", "the data: "),
        (False, b"2", "the data: "),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(schema: Any, data: bytes, told: str) -> None:
    validator = PayloadValidator(schema)
    assert validator.validate(data) is PayloadVerdict.INVALID
    text = validator.explain(data)
    assert text.startswith(told), text
    assert len(text) < 500
