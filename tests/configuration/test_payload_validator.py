from __future__ import annotations

import time
from typing import Any

import pytest

from compartmentd.configuration.payload_validator import PayloadSchema

TEXT = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string", "maxLength": 5, "pattern": "^[a-z]+$"}},
    "patternProperties": {"^x-": {"type": "integer"}},
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("schema", "data", "holds"),
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
        (TEXT, b"", False),
        (TEXT, b'{"text":"abc"', False),
        ({"type": "number"}, b"1e400", True),
        ({"type": "number"}, b"NaN", False),
        ({"type": "number"}, b"Infinity", False),
        ({"type": "integer"}, b"1.0", True),
        ({"type": "integer"}, b"true", False),
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
        ({"uniqueItems": True}, b"[1e400,1e308,10e307]", False),
        ({"uniqueItems": True}, b'"aa"', True),
        ({"uniqueItems": False}, b"[1,1]", True),
    ],
)
def test_holds(schema: Any, data: bytes, holds: bool) -> None:
    assert PayloadSchema(schema).holds(data) is holds


def test_a_pattern_takes_no_exponential_time() -> None:
    schema = PayloadSchema({"pattern": "^(a+)+$"})
    started = time.process_time()
    assert not schema.holds(b'"' + b"a" * 5000 + b'!"')
    assert time.process_time() - started < 1


@pytest.mark.parametrize("item", ['{"a":%d}', '"%d"', "[%d]", "1%d0000000000000000000000"])
def test_that_items_are_unique_takes_no_time_that_grows_with_their_square(item: str) -> None:
    schema = PayloadSchema({"uniqueItems": True})
    data = "[1," + ",".join([item % number for number in range(3000)]) + "]"
    started = time.process_time()
    assert schema.holds(data.encode())
    assert time.process_time() - started < 0.5
