"""The JSON of payloads: taken, refused, or no JSON."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, strategies as st

from compartmentd.errors import PayloadRefused, WireError
from compartmentd.protocol.payload_json import decode
from compartmentd.util.strict_json import MAX_DEPTH


def nested(depth: int, inner: str = "") -> bytes:
    return ("[" * depth + inner + "]" * depth).encode()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"[]", []),
        (b' [ 1 , {"a" : null } ] ', [1, {"a": None}]),
        (b'["\\ud83d\\ude00"]', ["😀"]),
        ('["€"]'.encode(), ["€"]),
        (b'{"a":1,"a":2}', {"a": 2}),
        (b"[1e5,-0.5,123456789012345678901234567890]", [1e5, -0.5, 123456789012345678901234567890]),
        (nested(MAX_DEPTH), json.loads(nested(MAX_DEPTH))),
    ],
)
def test_json_that_is_taken(text: bytes, value: Any):
    assert decode(text) == value


@pytest.mark.parametrize(
    "text",
    [
        nested(MAX_DEPTH + 1),
        b'{"a":' * 40 + b"1" + b"}" * 40,
        b'[{"a":' * 20 + b"1" + b"}]" * 20,
        nested(100_000),
        b"[" + b"1" * 5000 + b"]",
        b"[1e400]",
        b"[-1e400]",
        b'["\\ud800"]',
        b'["\\udc00x"]',
        b'["\\ud800\\u0041"]',
        b'{"\\ud800":1}',
    ],
    ids=range(11),
)
def test_json_that_is_refused(text: bytes):
    with pytest.raises(PayloadRefused):
        decode(text)


@pytest.mark.parametrize(
    "text",
    [b"", b"[", b"[1,]", b"[NaN]", b"[Infinity]", b"[-Infinity]", b"['a']", b'["\x01"]', b"[01]", b"[1]x",
     b"[1][2]", b'["\\x"]', b"nul"],
)  # fmt: skip
def test_what_is_no_json(text: bytes):
    with pytest.raises(WireError) as raised:
        decode(text)
    assert not isinstance(raised.value, PayloadRefused)


@pytest.mark.parametrize("filling", ['"[[["', '"\\"[[[["', '"\\\\"', '{"[":"]"}', '"' + "[" * 100 + '"'])
def test_brackets_in_strings_nest_nothing(filling: str):
    decode(nested(MAX_DEPTH - 1, ",".join([filling] * 50)))
    with pytest.raises(PayloadRefused):
        decode(nested(MAX_DEPTH + 1, ",".join([filling] * 50)))


def depth_of(value: Any) -> int:
    """Return the depth of a value, the slow and plain way."""
    if isinstance(value, dict):
        return 1 + max([0, *map(depth_of, value.values())])
    if isinstance(value, list):
        return 1 + max([0, *map(depth_of, value)])
    return 0


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('ab"\\[]{}€'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('a"\\[{', max_size=4), inner, max_size=3),
    max_leaves=30,
)  # fmt: skip


@given(values, st.integers(0, 40))
def test_depth_is_counted_as_the_decoder_sees_it(value: Any, more: int):
    for _ in range(more):
        value = [value, [], []]
    text = json.dumps(value).encode()
    if depth_of(value) <= MAX_DEPTH:
        assert decode(text) == value
    else:
        with pytest.raises(PayloadRefused):
            decode(text)


@given(st.text().map(str.encode) | values.map(lambda value: json.dumps(value).encode()[:-1]))
def test_any_text_is_a_value_or_an_error(text: bytes):
    try:
        decode(text)
    except WireError:
        return
    json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 1_000_000,
        b"[]," * 330_000,
        b'"\\' * 500_000,
        b'{"a":[' * 160_000,
        b'"' * 999_999,
        b"[" * 40 + b'"' + b'\\"' * 8_000,  # where each quote is tried, a whole megabyte would take an hour
        b"[" * 40 + b'"' + b'\\"' * 480_000,
        b"[" * 40 + b'"' + b"\\" * 999_999,
        b"[" * 40 + b'"a' * 480_000,
    ],
    ids=range(9),
)
def test_a_megabyte_of_anything_takes_no_time(text: bytes):
    began = time.process_time()
    with pytest.raises(WireError):
        decode(text)
    assert time.process_time() - began < 0.5
