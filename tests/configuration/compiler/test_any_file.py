"""Whatever is in the files: problems that are told, or a configuration that travels; never an exception."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
from hypothesis import given, settings, strategies as st

from compartmentd.configuration.compiler import load
from compartmentd.configuration.settings import Configuration
from compartmentd.document.bundled import schema
from compartmentd.policy.model import Limits
from tests.support.cases import InMemory

REFERENCE = (Path(__file__).parents[3] / "config/compartments.yaml").read_text(encoding="utf-8")
LINES = REFERENCE.splitlines(keepends=True)


def check(main: bytes, **others: bytes) -> None:
    files = {
        "compartments.yaml": main,
        "events/message.schema.json": b"{}",
        "keys/corp.jwks.json": b"{}",
        **others,
    }
    loaded = load("compartments.yaml", InMemory(files))
    refused = any(problem.severity == "error" for problem in loaded.problems)
    assert (loaded.configuration is None) == refused
    for problem in loaded.problems:
        assert problem.span.line >= 1
        assert problem.span.column >= 1
        assert problem.message
        assert "\n" not in problem.message
    if loaded.configuration is not None:
        raw = msgspec.msgpack.encode(loaded.configuration)
        assert msgspec.msgpack.decode(raw, type=Configuration) == loaded.configuration


_words = st.sampled_from(
    [
        *(
            "no",
            "{x}",
            "[]",
            "{}",
            "~",
            "public",
            "members",
            "server",
            "-",
            "1.0",
            "99999999999999999999",
            "&a",
        ),
        *(
            "*a",
            "!t",
            "{rule: staff}",
            "{member_of: lobby}",
            '"{tenant}"',
            "é",
            "\t",
            "'",
            '"',
            ":",
            "#",
            "\\",
        ),
        *("0/s", "lobby"),
    ]
)


@given(st.data())
@settings(max_examples=150)
def test_the_reference_with_words_put_in_their_place(data):
    lines = list(LINES)
    for _ in range(data.draw(st.integers(1, 4))):
        index = data.draw(st.integers(0, len(lines) - 1))
        words = lines[index].split(" ")
        words[data.draw(st.integers(0, len(words) - 1))] = data.draw(_words)
        lines[index] = " ".join(words)
    check("".join(lines).encode())


@given(st.data())
@settings(max_examples=150)
def test_the_reference_with_lines_moved_about(data):
    lines = list(LINES)
    for _ in range(data.draw(st.integers(1, 4))):
        line = lines.pop(data.draw(st.integers(0, len(lines) - 1)))
        if data.draw(st.booleans()):
            lines.insert(data.draw(st.integers(0, len(lines))), line)
    check("".join(lines).encode())


@given(st.integers(0, len(REFERENCE)), st.binary(max_size=4))
@settings(max_examples=150)
def test_the_reference_with_bytes_put_in(at, raw):
    whole = REFERENCE.encode()
    check(whole[:at] + raw + whole[at:])


# --- documents that are nearly right, key by key --------------------------------------------------------------

DEFINITIONS = schema()["$defs"]
QUANTITIES = {
    "size": ["64KiB", "999999999GiB"],
    "duration": ["1s", "30s", "999999999d"],
    "rate": ["20/s", "1/h", "unlimited"],
    "count": [1, 2**63 - 1, "unlimited"],
}
_texts = st.sampled_from(["a", "b", "{a}", "x:{a}", "x:{b}", "{{", "a b", "corp", "*", "SECRET", "é", "30s"])
_anything = (
    _texts | st.integers(-5, 5) | st.booleans() | st.floats(-3, 3) | st.sampled_from([2**63, None, [], {}])
)
_names = st.sampled_from(["a", "b", "x:{a}", "{a}", "lobby"])
OF_TYPE = {
    "string": _texts,
    "integer": st.integers(-3, 9),
    "boolean": st.booleans(),
    "number": st.integers(-3, 9),
}


def seldom(wrong: st.SearchStrategy, right: st.SearchStrategy) -> st.SearchStrategy:
    return st.integers(0, 30).flatmap(lambda n: wrong if n == 30 else right)


def of(definition: str, depth: int) -> st.SearchStrategy:
    """Draw something that has the keys of a definition, with values that mostly fit."""
    part = DEFINITIONS[definition]
    if definition == "rule":
        words = st.sampled_from(["public", "authenticated", "nobody", "members", "server"])
        return words if depth > 5 else words | rule(part, depth)
    if definition in ("rules", "namespaces"):
        names = st.sampled_from(["a", "b", "corp"] if definition == "rules" else ["/", "/a"])
        return st.dictionaries(names, of(definition.removesuffix("s"), depth + 1), min_size=1, max_size=2)
    if definition == "events":
        return st.lists(_names, max_size=2, unique=True) | st.dictionaries(
            _names, of("event", depth), max_size=2
        )
    return mapping(part, depth) if "properties" in part else value(part, depth)


def rule(part: dict, depth: int) -> st.SearchStrategy:
    keys = part["properties"]
    tests = [branch["required"][0] for branch in DEFINITIONS["one_test"]["oneOf"]]
    kinds = [key for key in keys if key not in tests and "not" not in keys[key]]

    def condition(chosen: tuple[str, str]) -> st.SearchStrategy:
        kind, test = chosen
        tested = (test,) if kind in ("claim", "param") else ()
        return st.fixed_dictionaries({key: value(keys[key], depth + 1) for key in (kind, *tested)})

    return st.tuples(st.sampled_from(kinds), st.sampled_from(tests)).flatmap(condition)


def mapping(part: dict, depth: int) -> st.SearchStrategy:
    keys = {
        key: value(wanted, depth + 1) for key, wanted in part["properties"].items() if "not" not in wanted
    }
    usual = [key for key in ("namespaces", "rooms", "rules") if key in keys]
    required = {key: keys.pop(key) for key in (*part.get("required", ()), *usual)}
    sources = {branch["required"][0] for branch in part.get("oneOf", ()) if "required" in branch}
    for source in sources:
        keys.pop(source, None)
    if sources:
        required["secret_env"] = st.just("SECRET")
    if not keys:
        return st.fixed_dictionaries(required)
    few = st.lists(st.sampled_from(sorted(keys)), max_size=part.get("maxProperties", 4), unique=True)
    return few.flatmap(
        lambda chosen: st.fixed_dictionaries({**required, **{key: keys[key] for key in chosen}})
    )


def value(wanted: dict, depth: int) -> st.SearchStrategy:
    return seldom(_anything, fitting(wanted, depth))


def fitting(wanted: dict, depth: int) -> st.SearchStrategy:
    if "$ref" in wanted:
        name = wanted["$ref"].removeprefix("#/$defs/")
        return st.deferred(lambda: of(name, depth))
    if "x-unit" in wanted:
        return st.sampled_from(QUANTITIES[wanted["x-unit"]])
    if "const" in wanted or "enum" in wanted:
        return st.sampled_from([wanted["const"]] if "const" in wanted else wanted["enum"])
    if "default" in wanted and "pattern" in wanted:
        return st.just(wanted["default"])
    kinds = wanted.get("type", "string")
    if kinds == "array":
        return st.lists(value(wanted["items"], depth + 1), min_size=1, max_size=2)
    if "properties" in wanted:
        return mapping(wanted, depth)
    if isinstance(wanted.get("additionalProperties"), dict):
        return st.dictionaries(_names, value(wanted["additionalProperties"], depth + 1), max_size=2)
    return st.one_of(
        [OF_TYPE[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds) if kind in OF_TYPE]
    )


@given(mapping(schema(), 0))
@settings(max_examples=200)
def test_documents_that_are_nearly_right(document):
    check(json.dumps(document).encode())


def test_the_largest_quantities_travel():
    limits = {"message_size": "999999999GiB", "message_rate": "999999999/s", "rooms_per_session": 2**63 - 1}
    document = {"version": 1, "limits": limits, "namespaces": {"/": {"connect": "public"}}}
    loaded = load("c.yaml", InMemory({"c.yaml": json.dumps(document).encode()}))
    assert loaded.configuration is not None
    compiled = loaded.configuration.policy.namespaces["/"].limits
    assert msgspec.structs.replace(compiled, spans=()) == Limits(
        message_size=999_999_999 << 30, message_rate=999_999_999.0, rooms_per_session=2**63 - 1
    )
    assert msgspec.msgpack.encode(loaded.configuration)


def test_a_rule_as_deep_as_yaml_allows():
    nested: dict = {"scope": "a"}
    for depth in range(36):
        nested = {"not": nested} if depth % 2 else {"all": [nested]}
    document = {"version": 1, "namespaces": {"/": {"connect": nested, "rooms": {"a": {"join": nested}}}}}
    check(json.dumps(document).encode())
    for _ in range(10):
        nested = {"any": [nested]}
    document["namespaces"]["/"]["connect"] = nested
    loaded = load("c.yaml", InMemory({"c.yaml": json.dumps(document).encode()}))
    assert [problem.code for problem in loaded.problems] == ["yaml.depth"]


def test_a_chain_of_rules_longer_than_the_stack():
    rules = {f"r{n}": {"rule": f"r{n + 1}"} for n in range(5000)} | {"r5000": "public"}
    document = {"version": 1, "rules": rules, "namespaces": {"/": {"connect": {"rule": "r0"}}}}
    loaded = load("c.yaml", InMemory({"c.yaml": json.dumps(document).encode()}))
    assert {problem.code for problem in loaded.problems} == {"rule.depth"}
