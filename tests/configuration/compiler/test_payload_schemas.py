"""Payload schemas: whatever could fail, fetch or hang while a client waits is refused when it is read."""

from __future__ import annotations

import json
import socket

import pytest

from compartmentd.configuration.compiler import load
from tests.support.cases import InMemory

MAIN = b"version: 1\nnamespaces: {/: {connect: public, publish: public, events: {m: {schema: m.json}}}}\n"


def refusal(schema: bytes) -> str | None:
    loaded = load("c.yaml", InMemory({"c.yaml": MAIN, "m.json": schema}))
    if not loaded.problems:
        assert loaded.configuration is not None
        return None
    (problem,) = loaded.problems
    assert (problem.severity, problem.code, problem.span.file) == ("error", "schema-file.invalid", "m.json")
    assert problem.help.endswith("`m.json` is named at c.yaml:2:73")
    return problem.message


@pytest.mark.parametrize(
    "schema",
    [
        b"{}",
        b"true",
        b"false",
        b'{"type": ["string", "null"], "pattern": "^[a-z]{1,5}$"}',
        b'{"$schema": "https://json-schema.org/draft/2020-12/schema"}',
        b'{"$schema": "https://json-schema.org/draft/2020-12/schema#"}',
        b'{"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {}}}',
        b'{"$id": "https://example.com/m", "$ref": "n", "$defs": {"n": {"$id": "n"}}}',
        b'{"$defs": {"n": {"$anchor": "here"}}, "$ref": "#here"}',
        b'{"properties": {"$ref": {"type": "string"}, "pattern": {"type": "string"}}}',
        b'{"items": {"$ref": "#"}}',
        b'{"type": "object", "properties": {"const": {"const": {"$ref": "http://127.0.0.1:1/"}}}}',
    ],
)
def test_usable(schema):
    assert refusal(schema) is None


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not UTF-8"),
        (b"[]", "a schema is a JSON object"),
        (b"null", "a schema is a JSON object"),
        (b"3", "a schema is a JSON object"),
        (b'{"type": "text"}', "`type`"),
        (b'{"properties": {"a": {"minLength": "1"}}}', "`properties/a/minLength`"),
        (b'{"properties": []}', "`properties`"),
        (b'{"$schema": 5}', "`$schema`"),
        (b'{"$schema": "http://json-schema.org/draft-07/schema#"}', "`$schema` must be"),
        (b'{"pattern": "(?=a)"}', "RE2"),
        (b'{"pattern": "(a"}', "RE2"),
        (b'{"patternProperties": {"(?<!a)b": {}}}', "RE2"),
        (b'{"$ref": "http://127.0.0.1:1/x.json"}', "nothing is fetched"),
        (b'{"$ref": "file:///etc/passwd"}', "nothing is fetched"),
        (b'{"$ref": "other.json"}', "nothing is fetched"),
        (b'{"$dynamicRef": "#gone"}', "nothing is fetched"),
        (b'{"items": [{}]}', "`items`"),
        (b'{"anyOf": [{"$ref": "#/$defs/x"}]}', "nothing is fetched"),
        (b'{"type": "string", "type": "number"}', "twice"),
        (b'{"maximum": 18446744073709551616}', "64 bits"),
        (b'{"maximum": ' + b"9" * 5000 + b"}", "64 bits"),
        (b'{"maximum": NaN}', "NaN"),
        (b'{"maximum": 1e400}', "out of range"),
        (b'{"pattern": "\\\\Qa.b\\\\E"}', "Rust"),
        (b'{"$ref": "#"}', "without end"),
        (b'{"$ref": "#/x/y", "x": {"y": {"type": "strng"}}}', "`strng` is no type (`$ref/type`)"),
        (b'{"$ref": "#/x/y", "x": {"y": {"pattern": "(?=a)"}}}', "RE2"),
        (b'{"const": "\\ud800"}', "surrogate"),
        (b'{"not": ' * 200 + b"{}" + b"}" * 200, "nested"),
        (b"[" * 100_000, "nested"),
    ],
)
def test_refused(schema, told):
    message = refusal(schema)
    assert message is not None
    assert told in message
    assert "Traceback" not in message


@pytest.mark.parametrize(
    ("schema", "place", "told", "help_"),
    [
        ('{\n  "type": "strng"\n}', "2:11", "`strng` is no type", "`string`"),
        ('{"properties": {"a": {"type": "int"}}}', "1:31", "`int` is no type", "`integer`"),
        ('{"properties": {"a": {"type": ["string", "nil"]}}}', "1:31", "`nil` is no type", "`null`"),
        ('{"properties":\n {"x": {}, "a\\u0041": {"minLength": -1}}}', "2:37", "must be at least 0", ""),
        ('{"required": "a"}', "1:14", "`required` must be a list, not text", ""),
        ('{"required": ["a", "a"]}', "1:14", "twice", ""),
        ('{"properties": {"a": "string"}}', "1:22", "must be a schema, not text", "as in `{}`"),
        ('{"additionalProperties": "no"}', "1:26", "must be a schema, not text", "as in `{}`"),
        ('{"items": [1, {"pattern": 5}], "pattern": 7}', "1:11", "`items`", ""),
        ('{"prefixItems": [{}, {"pattern": "(?=a)"}]}', "1:34", "RE2", ""),
        ('{"patternProperties": {"a": {}, "(?=a)": {}}}', "1:42", "RE2", ""),
        ('{"$ref": "#/gone"}', "1:10", "nothing is fetched", "put it under `$defs`"),
        ('{"$ref": "#/x/y", "x": {"y": {"type": "strng"}}}', "1:39", "`strng` is no type", "`string`"),
        ('{"type": "object",\n "a" 1}', "2:6", "not JSON: expecting ':' delimiter", ""),
        ('{"type": "object"', "1:18", "not JSON", ""),
    ],
)  # fmt: skip
def test_the_place_is_that_in_the_schema_file(schema, place, told, help_):
    (problem,) = load("c.yaml", InMemory({"c.yaml": MAIN, "m.json": schema.encode()})).problems
    assert (str(problem.span)) == f"m.json:{place}"
    assert told in problem.message
    assert help_ in problem.help


def test_nothing_is_fetched(monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("a schema must not open a connection")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert refusal(b'{"$ref": "http://example.com/schema.json"}') is not None
    assert refusal(b'{"$schema": "http://example.com/dialect"}') is not None


def test_a_schema_that_many_events_share_is_read_once():
    text = MAIN.replace(b"{m: {schema: m.json}}", b"{a: {schema: m.json}, b: {schema: m.json}}")
    loaded = load("c.yaml", InMemory({"c.yaml": text, "m.json": b"{}"}))
    assert loaded.configuration is not None
    assert list(loaded.configuration.policy.schemas) == ["m.json"]
    assert [use.path for use in loaded.configuration.files] == ["m.json"]


def test_a_schema_that_can_take_long_is_warned_of():
    branches = [{"properties": {"a": {"minimum": n}}, "required": ["a"]} for n in range(200)]
    schema = json.dumps({"items": {"anyOf": branches}}).encode()
    loaded = load("c.yaml", InMemory({"c.yaml": MAIN, "m.json": schema}))
    assert loaded.configuration is not None
    (problem,) = loaded.problems
    assert (problem.severity, problem.code) == ("warning", "schema-file.costly")
    assert "values" in problem.message
    assert "`const`" in problem.help
