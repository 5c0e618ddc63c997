"""No data can hold the server: the budget knows what evaluating costs, whatever the schema and the data are."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from compartmentd.configuration.payloads import cost, keywords
from compartmentd.configuration.payloads.budget import Budget, IntricateError
from compartmentd.configuration.payloads.choices import are_rewritable, rewrite
from compartmentd.configuration.payloads.parts import make_root_part
from compartmentd.configuration.payloads.validator import PayloadValidator, PayloadVerdict

LIST_KEYWORDS = ("anyOf", "allOf", "oneOf")
MAPPINGS = ("properties", "patternProperties", "dependentSchemas", "$defs")
SINGLE = ("if", "then", "else", "not", "items", "contains", "additionalProperties", "propertyNames")
SINGLE += ("unevaluatedProperties", "unevaluatedItems")


class Schemas:
    """Makes branching schemas that refer to themselves, and data that leads through them."""

    def __init__(self, seed: int, keywords: tuple[str, ...]) -> None:
        self.random = random.Random(seed)
        self.keywords = keywords

    def schema(self, definitions: int) -> Any:
        self.names = ["a", "b", "c"][:definitions]
        made = {"$dynamicAnchor": "node", "$defs": {name: self.in_place(4) for name in self.names}}
        return {**made, **self.in_place(4)}

    def in_place(self, depth: int) -> Any:
        """Return a schema that refers to others for children only, so that none applies itself to one value."""
        made = self.any(depth)
        return {"properties": {"c": made}} if "$ref" in made else made

    def any(self, depth: int) -> Any:
        choose = self.random.choice
        if depth <= 0 or self.random.random() < 0.25:
            name = choose(self.names)
            return choose([{"$ref": f"#/$defs/{name}"}, {"$ref": "#"}, {"type": "object"}, {"const": 1}, {}])
        keyword = choose(self.keywords)
        if keyword in LIST_KEYWORDS:
            return {keyword: [self.in_place(depth - 1) for _ in range(self.random.randint(2, 3))]}
        if keyword == "if":
            return {part: self.in_place(depth - 1) for part in ("if", "then", "else")}
        if keyword == "kinds":
            return {"oneOf": [self.kind(name, depth - 1) for name in ("x", "y", "z")]}
        if keyword == "$dynamicRef":
            return {"properties": {"c": {"$dynamicRef": "#node"}}}
        if keyword == "unevaluatedProperties":
            return {**self.in_place(depth - 1), keyword: choose([False, self.any(depth - 1)])}
        if keyword in MAPPINGS:
            inner = self.in_place if keyword == "dependentSchemas" else self.any
            return {keyword: {"c": inner(depth - 1)}}
        return {keyword: (self.in_place if keyword == "not" else self.any)(depth - 1)}

    def kind(self, name: str, depth: int) -> Any:
        properties = {"kind": {"const": name}, "c": self.any(depth)}
        return {"type": "object", "required": ["kind"], "properties": properties}

    def data(self, depth: int) -> Any:
        if depth == 0 or self.random.random() < 0.15:
            return self.random.choice([1, "a", {}, [], {"kind": "x"}])
        if self.random.random() < 0.2:
            return [self.data(depth - 1) for _ in range(self.random.randint(0, 3))]
        names = self.random.sample(["c", "x", "cc"], self.random.randint(1, 3))
        made = {name: self.data(depth - 1) for name in names}
        return {**made, "kind": self.random.choice("xyz")} if self.random.random() < 0.5 else made


def counted(schema: Any) -> Any:
    """Return a schema in which every part counts how often it is entered."""
    if isinstance(schema, bool):
        return schema
    made: dict[str, Any] = {"#count": True}
    for keyword, value in schema.items():
        if keyword in LIST_KEYWORDS:
            made[keyword] = [counted(part) for part in value]
        elif keyword in MAPPINGS:
            made[keyword] = {name: counted(part) for name, part in value.items()}
        else:
            made[keyword] = counted(value) if keyword in SINGLE else value
    return made


class Entered:
    """A keyword of ours that counts, and always holds."""

    count = 0

    def __init__(self, *_: object) -> None:
        pass

    def validate(self, _: object) -> None:
        Entered.count += 1


EVERYTHING = (
    *("anyOf", "oneOf", "allOf", "not", "if", "properties", "properties", "items", "dependentSchemas"),
    *("unevaluatedProperties", "additionalProperties", "patternProperties", "$dynamicRef", "kinds"),
)
BRANCHING = ("anyOf", "oneOf", "allOf", "not", "properties", "properties", "kinds")


@pytest.mark.parametrize("keywords_used", [EVERYTHING, BRANCHING], ids=["everything", "branching"])
@pytest.mark.parametrize("seed", range(4))
def test_that_the_library_evaluates_no_more_than_the_budget_counts(
    seed: int, keywords_used: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hold the model of how `jsonschema-rs` evaluates against what it does, schema by schema."""
    for module, name in (
        *((cost, name) for name in ("_CONDITION", "_MEMBER", "KEYWORD", "LOOKUP")),
        *((keywords, name) for name in ("_FRACTION", "_EXTREME", "KEYWORD", "LOOKUP")),
    ):
        monkeypatch.setattr(module, name, 0.0)
    monkeypatch.setattr(cost, "_EVALUATION", 1.0)
    monkeypatch.setattr("compartmentd.configuration.payloads.budget._STEP", 0.0)
    monkeypatch.setattr("compartmentd.configuration.payloads.budget._CONTAINER", 0.0)
    schemas = Schemas(seed, keywords_used)
    tried = 0
    for number in range(60):
        schema = schemas.schema(1 + number % 3)
        root = make_root_part(schema)
        try:
            budget = Budget(*cost.evaluate(root))
        except IntricateError:
            continue
        validator = jsonschema_rs.Draft202012Validator(
            rewrite(make_root_part(counted(schema)), choices=are_rewritable(root)),
            keywords={"#count": Entered},
            offline=True,
        )
        for _ in range(4):
            value = schemas.data(schemas.random.randint(1, 8))
            Entered.count = 0
            validator.is_valid(value)
            assert not budget.follow(value, Entered.count - 0.5), (schema, value)
            tried += 1
    assert tried > 100


# --- what people declare --------------------------------------------------------------------------------------


def node(kind: str, closed: bool, **properties: Any) -> Any:
    made = {"type": "object", "required": ["type"], "properties": {"type": {"const": kind}, **properties}}
    return {**made, "additionalProperties": False} if closed else made


def rich_text(keyword: str, *, unevaluated: bool = False) -> Any:
    """Return the schema of a document whose nodes hold nodes, as editors declare it."""
    content = {"content": {"type": "array", "items": {"$ref": "#/$defs/node"}}}
    kinds = ["doc", "paragraph", "list", "item", "quote", "heading", "table", "row", "cell"]
    branches = [node("text", not unevaluated, text={"type": "string"})]
    branches += [node(kind, not unevaluated, **content) for kind in kinds]
    made: dict[str, Any] = {keyword: branches}
    if unevaluated:
        made["unevaluatedProperties"] = False
    return {"$ref": "#/$defs/node", "$defs": {"node": made}}


def nested(depth: int, leaf: str) -> Any:
    made: Any = {"type": leaf, "text": "x"}
    for _ in range(depth):
        made = {"content": [made], "type": "list"}
    return made


def flat(paragraphs: int) -> Any:
    text = [{"type": "text", "text": "hello world"}, {"type": "text", "text": "x"}]
    return {"type": "doc", "content": [{"type": "paragraph", "content": text}] * paragraphs}


@pytest.mark.parametrize("unevaluated", [False, True])
@pytest.mark.parametrize("keyword", ["oneOf", "anyOf"])
def test_a_rich_text_is_validated_at_any_depth_and_size_that_a_message_may_have(
    keyword: str, unevaluated: bool
) -> None:
    validator = PayloadValidator(rich_text(keyword, unevaluated=unevaluated))
    started = time.process_time()
    assert validator.validate(msgspec.json.encode(nested(8, "nothing"))) is PayloadVerdict.INVALID
    assert validator.validate(msgspec.json.encode(nested(15, "text"))) is PayloadVerdict.VALID
    large = msgspec.json.encode(flat(450))
    assert len(large) > 40_000
    assert validator.validate(large) is PayloadVerdict.VALID
    assert time.process_time() - started < 1


N = 30_000
FILL = 64 << 10


def repeated(item: str) -> bytes:
    """Return a list of one item, of 64 KiB."""
    return ("[" + ",".join([item] * (FILL // (len(item) + 1))) + "]").encode()


def numbered(form: str) -> bytes:
    """Return a list of items that differ by a number, of about 64 KiB."""
    items: list[str] = []
    size = 0
    while size < FILL - 40:
        items.append(form % len(items))
        size += len(items[-1]) + 1
    return ("[" + ",".join(items) + "]").encode()


BRANCHING_NODE = {
    "$ref": "#/$defs/n",
    "$defs": {
        "n": {
            "anyOf": [{"properties": {"c": {"items": {"$ref": "#/$defs/n"}}}, "required": [k]} for k in "abc"]
        }
    },
}


def tree(depth: int, width: int) -> Any:
    return {"a": 1, "c": [tree(depth - 1, width) for _ in range(width)] if depth else []}


ATTACKS: dict[str, tuple[Any, bytes]] = {
    "numbers": ({"items": {"type": "number", "minimum": 0.5, "multipleOf": 0.1}}, repeated("1e300")),
    "thousands of digits": ({"items": {"minimum": 0.5, "multipleOf": 0.1}}, repeated("9" * 4000)),
    "unique thousands of digits": ({"uniqueItems": True}, numbered("%d" + "9" * 4000)),
    "many digits": ({"items": {"minimum": 5, "maximum": 7}}, repeated("9" * 300)),
    "unique large integers": ({"uniqueItems": True}, numbered("1%020d0000000000000000000000")),
    "unique fractions": ({"uniqueItems": True}, numbered("%d.5")),
    "short unique lists": (
        {"items": {"uniqueItems": True}},
        repeated("[" + ",".join(f"[{i}.5,0.5]" for i in range(15)) + "]"),
    ),
    "unique objects": ({"uniqueItems": True}, numbered('{"a":%d}')),
    "large enum": ({"items": {"enum": [{"a": i} for i in range(2000)]}}, numbered('{"a":%d}')),
    "enum of fractions": ({"items": {"enum": [i + 0.5 for i in range(500)]}}, repeated("499.5")),
    "large const": ({"items": {"const": list(range(300))}}, repeated(json.dumps(list(range(300))))),
    "many branches": ({"items": {"anyOf": [{"minimum": i} for i in range(900, 1000)]}}, repeated("1")),
    "many properties": (
        {
            "items": {
                "properties": {f"p{i}": {"minimum": 1} for i in range(500)},
                "required": [f"p{i}" for i in range(200)],
            }
        },
        repeated("{}"),
    ),
    "many patterns": (
        {"patternProperties": {f"^[ab]*a[ab]{{{i}}}c": {} for i in range(20, 60)}},
        msgspec.json.encode({"ab" * 16 + str(i): 1 for i in range(1500)}),
    ),
    "contains": (
        {"contains": {"anyOf": [{"const": str(i)} for i in range(100)]}, "minContains": 5},
        repeated("1"),
    ),
    "deep branching": (BRANCHING_NODE, msgspec.json.encode(tree(30, 1))),
    "wide branching": (BRANCHING_NODE, msgspec.json.encode(tree(4, 7))),
    "unevaluated": (
        {
            "$ref": "#/$defs/n",
            "$defs": {
                "n": {
                    "allOf": [
                        {
                            "anyOf": [
                                {
                                    "properties": {"c": {"items": {"$ref": "#/$defs/n"}}},
                                    "unevaluatedProperties": False,
                                },
                                {"unevaluatedProperties": {"type": "integer"}},
                            ]
                        }
                    ]
                    * 3,
                    "unevaluatedProperties": False,
                }
            },
        },
        msgspec.json.encode(tree(4, 7)),
    ),
}


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_no_data_of_64_kib_takes_long(name: str) -> None:
    """A deadline far above the 5 ms that are meant: unbounded, each of these takes 50 ms to minutes."""
    schema, data = ATTACKS[name]
    try:
        validator = PayloadValidator(schema)
    except IntricateError:
        return
    started = time.process_time()
    for _ in range(20):
        validator.validate(data)
    assert time.process_time() - started < 1


@pytest.mark.parametrize("name", ["many digits", "unique large integers", "large enum", "many branches"])
def test_what_could_take_too_long_is_told_from_what_is_wrong(name: str) -> None:
    schema, data = ATTACKS[name]
    assert PayloadValidator(schema).validate(data) is PayloadVerdict.TOO_COSTLY


@pytest.mark.parametrize(
    ("schema", "data"),
    [
        ({"items": {"type": "number"}}, repeated("1")),
        ({"items": {"type": "string", "maxLength": 20}}, repeated('"hello"')),
        ({"uniqueItems": True, "items": {"type": "string"}}, numbered('"item %d"')),
        (
            {"additionalProperties": {"type": "integer", "minimum": 0}},
            msgspec.json.encode({f"user{i}": i for i in range(3000)}),
        ),
        ({"items": {"properties": {"x": {"minimum": 0, "maximum": 1}}}}, numbered('{"x":0.25,"i":%d}')),
        (
            {"properties": {"text": {"type": "string", "pattern": "\\S"}}},
            msgspec.json.encode({"text": "word " * 13_000}),
        ),
        ({"items": {"enum": ["a", "b", "c"]}}, repeated('"a"')),
        ({"type": "array", "items": {"$ref": "#"}}, repeated("[[]]")),
    ],
)
def test_usual_data_of_64_kib_is_validated(schema: Any, data: bytes) -> None:
    assert len(data) > FILL // 2
    assert PayloadValidator(schema).validate(data) is PayloadVerdict.VALID


def test_larger_messages_have_more_time() -> None:
    validator = PayloadValidator({"items": {"type": "number"}})
    assert validator.validate(b"[" + b",".join([b"1"] * 1_000_000) + b"]") is PayloadVerdict.VALID


def test_a_schema_that_is_too_intricate_is_refused() -> None:
    """Which of twelve schemas apply to a value depends on each of its last twelve ancestors."""
    to = {n: {"$ref": f"#/$defs/n{n}"} for n in range(13)}
    definitions: dict[str, Any] = {
        f"n{n}": {"properties": {"a": to[n + 1], "b": to[n + 1]}} for n in range(1, 12)
    }
    definitions["n0"] = {"properties": {"a": {"allOf": [to[0], to[1]]}, "b": to[0]}}
    definitions["n12"] = {"type": "object"}
    with pytest.raises(IntricateError):
        PayloadValidator({**to[0], "$defs": definitions})


def test_a_large_schema_is_no_intricate_one() -> None:
    fields = {f"field{n}": {"type": "string", "maxLength": n} for n in range(2000)}
    kinds = [node(f"kind{n}", closed=True, value={"type": "number", "minimum": n}) for n in range(200)]
    validator = PayloadValidator({"properties": {**fields, "items": {"items": {"oneOf": kinds}}}})
    data = {"field7": "abc", "items": [{"type": "kind42", "value": 43}] * 100}
    assert validator.validate(msgspec.json.encode(data)) is PayloadVerdict.VALID
