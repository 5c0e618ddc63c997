"""The schema itself, and that whatever it refuses is told: once, in words, where it stands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from jsonschema import Draft202012Validator

from compartmentd.document import explain_values, schema as schema_check
from compartmentd.document.bundled import load_schema_text, schema
from compartmentd.document.explain_keys import STRUCTURE
from compartmentd.document.source import Source
from compartmentd.document.yamldoc import parse
from compartmentd.problems import Problem

ANNOTATIONS = {
    "markdownEnumDescriptions",
    "$schema",
    "$defs",
    "$ref",
    "title",
    "description",
    "default",
    "examples",
}
APPLICATORS = {"properties", "items", "propertyNames", "allOf", "if", "then", "else", "dependentSchemas"}


def parts(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every subschema."""
    yield value
    for keyword in ("properties", "dependentSchemas", "$defs"):
        for part in value.get(keyword, {}).values():
            yield from parts(part)
    for keyword in ("items", "propertyNames", "if", "then", "else", "additionalProperties"):
        if isinstance(value.get(keyword), dict):
            yield from parts(value[keyword])
    for part in value.get("allOf", ()):
        yield from parts(part)


PARTS = list(parts(schema()))


def problems(text: str, definition: str | None = None) -> tuple[Problem, ...]:
    parsed = parse(Source("f", text))
    assert parsed.root is not None
    return parsed.problems + schema_check.check(parsed.root, definition)


def test_it_is_a_schema():
    Draft202012Validator.check_schema(schema())
    assert json.loads(load_schema_text()) == schema()


WITHOUT_DEFAULT = {
    "secret_file": "a key source, one of several",
    "secret_env": "a key source, one of several",
    "origins": "depends on the request",
    "algorithms": "depends on the key source",
    "ca_file": "the authorities of the system, or of SSL_CERT_FILE",
    "issuers": "depends on how many entries there are",
    "connections_per_address": "a quarter of `connections`",
    "schema": "none",
    "max": "none",
    "preset": "none",
    "tenants": "none",
    "logout": "none",
    "state": "none",
    "tls": "none",
    "trusted_proxies": "none",
    **dict.fromkeys(("server", "limits", "rules", "namespaces", "api", "log"), "each of its keys has one"),
}


def test_every_key_has_a_description_and_every_optional_one_a_default():
    for part in PARTS:
        for key, value in part.get("properties", {}).items():
            assert value["description"][0].isupper(), key
            unusable = value.keys() & {"x-not-built", "x-refused"}
            if not unusable and "default" not in value and key not in part.get("required", ()):
                assert key in WITHOUT_DEFAULT or is_choice(part, key), key


def is_choice(part: dict[str, Any], key: str) -> bool:
    """Tell whether a key is one of several of which exactly one stands, so that it has no default."""
    branches = (*part.get("oneOf", ()), *schema()["$defs"]["one_test"]["oneOf"])
    return "maxProperties" in part or any(key in branch.get("required", ()) for branch in branches)


def test_every_default_fits_its_own_schema():
    validator = Draft202012Validator(schema())
    for part in PARTS:
        if "default" in part:
            assert validator.evolve(schema=part).is_valid(part["default"]), part


def test_every_key_that_can_be_written_has_an_example_that_fits():
    validator = Draft202012Validator(schema())
    for part in PARTS:
        for key, value in part.get("properties", {}).items():
            if "not" not in value:
                assert value["examples"], key
                assert all(validator.evolve(schema=value).is_valid(one) for one in value["examples"]), key


def test_everything_closed_is_closed():
    for part in PARTS:
        if "properties" in part:
            assert part["additionalProperties"] is False


def test_every_reference_is_to_the_schemas_own_definitions():
    for part in PARTS:
        if "$ref" in part:
            assert part["$ref"].removeprefix("#/$defs/") in schema()["$defs"]
            assert part.keys() <= ANNOTATIONS


def test_choices_are_among_keys_only():
    for part in PARTS:
        branches = (*part.get("oneOf", ()), *part.get("anyOf", ()))
        choices = [branch for branch in branches if "not" not in branch]
        assert all(branch.keys() <= {"required", "type"} for branch in choices)
        assert [branch for branch in branches if "not" in branch] in ([], [{"not": {"anyOf": choices}}])


def test_every_keyword_that_can_fail_is_explained():
    explained = set(explain_values.ORDER) | STRUCTURE
    for part in PARTS:
        keywords = {key for key in part if not key.startswith("x-")} - ANNOTATIONS - APPLICATORS
        assert keywords <= explained


def test_every_pattern_says_what_it_wants():
    for part in PARTS:
        if "pattern" in part:
            assert "x-form" in part or "x-unit" in part


def test_a_standard_validator_agrees_on_what_is_not_built():
    validator = Draft202012Validator(schema())
    assert not validator.is_valid({"version": 1, "hooks": {}})
    assert validator.is_valid({"version": 1, "rules": {"a": {"all": ["public", {"scope": "x"}]}}})


def test_a_standard_validator_takes_the_reference_configuration():
    text = (Path(__file__).parents[2] / "config/compartments.yaml").read_text(encoding="utf-8")
    parsed = parse(Source("f", text))
    assert parsed.root is not None
    assert list(Draft202012Validator(schema()).iter_errors(parsed.root.data)) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version: 1\nrulez: {}\n", "unknown key `rulez`"),
        ("version: 1\nserver:\n", "`server` is empty"),
        (
            "version: yes\n",
            "`yes` without quotes is true or false to some readers of YAML and text to others",
        ),
    ],
)
def test_one_mistake_is_one_problem(text, message):
    assert [problem.message for problem in problems(text)] == [message]


def rule(condition: str) -> str:
    return f"version: 1\nrules: {{a: {condition}}}\n"


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        (rule("{claim: a, equals: {tenant}}"), 'placeholders need quotes: "{tenant}"'),
        (rule("{scope: 5}"), 'write it in quotes: "5"'),
        (rule("{all: public}"), "write a list: `all: [public]`"),
        (rule("{all: {scope: a}}"), "write a list of rules: `all: [{scope: a}]`"),
        (rule('{claim: a, exists: "true"}'), "write `true`, without quotes"),
        (rule('{claim: a, at_least: "3"}'), "write a number, without quotes"),
        (rule("staf"), "write `{rule: staf}` if a named rule is meant"),
        (rule("publik"), "did you mean `public`?"),
        ("version: 1\nnamespaces: {/: {connect: public, events: [5]}}\n", 'write it in quotes: "5"'),
        ("version: 1\nserver: {listen: [8000]}\n", "write `127.0.0.1:8000`"),
        ("version: 1\nlimits: {join_rate: 5}\n", "did you mean `5/s`?"),
        ("version: 1\nserver: {watch: }\n", "write `true` or `false`, or leave it out"),
        ("rules: {}\n", "add it, for example `version: 1` (the version of this grammar"),
    ],
)  # fmt: skip
def test_what_to_do_is_said(text, advice):
    (problem,) = problems(text)
    assert problem.help.startswith(advice)


def test_a_secret_in_the_place_of_its_name_is_not_repeated():
    entry = "{issuer: a, audience: b, secret_env: hunter2/hunter2=}"
    (problem,) = problems(f"version: 1\nissuers: {{a: {entry}}}\n")
    assert problem.message == "`secret_env` is not a variable's name"
    assert "hunter2" not in problem.as_text()


def test_two_mistakes_are_two_problems_whatever_lies_around_them():
    found = problems("version: 1\nserver: {transports: [x, polling, polling]}\n")
    assert sorted(problem.span.column for problem in found) == [23, 35]


def test_a_definition_can_be_checked_by_itself():
    assert problems("rules: {a: public}\n", "included") == ()
    assert [problem.code for problem in problems("server: {}\n", "included")] == ["schema.not-here"]


KEYS = sorted({key for part in PARTS for key in part.get("properties", {})})
_words = st.sampled_from([*KEYS, "public", "/", "a", "30s", "64KiB", "unlimited", "x y", ""])
_values = st.recursive(
    _words | st.none() | st.booleans() | st.integers(-2, 9) | st.floats(-1, 1),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(list(schema()["properties"])), _values))
def test_told_are_exactly_the_documents_that_do_not_fit(value):
    """Against the library alone, which knows only valid and invalid: a document is refused if a problem is told."""
    parsed = parse(Source("f", json.dumps(value)))
    assert parsed.root is not None
    if parsed.problems:
        return
    told = schema_check.check(parsed.root)
    valid = Draft202012Validator(schema()).is_valid(parsed.root.data)
    # Stricter than the library in one thing: 1.0 is no integer here.
    assert valid or told
    assert not told or not valid or "1.0" in json.dumps(value) or "0.0" in json.dumps(value)
    for problem in told:
        assert "Traceback" not in problem.message
        assert "{'" not in problem.message
