"""Binary values: out of a payload, and back into it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from compartmentd.errors import WireError
from compartmentd.protocol.attachments import put_back, take_out


def test_leaves_are_numbered_depth_first():
    found: list[bytes] = []
    value = ["a", {"x": b"0", "y": [bytearray(b"1")]}, memoryview(b"2")]
    assert take_out(value, found) == [
        "a",
        {"x": {"_placeholder": True, "num": 0}, "y": [{"_placeholder": True, "num": 1}]},
        {"_placeholder": True, "num": 2},
    ]
    assert found == [b"0", b"1", b"2"]


def test_a_value_without_binary_is_not_copied():
    value = ["a", {"x": [1, 2]}]
    assert take_out(value, []) is value


@pytest.mark.parametrize("num", [1, -1, True, 0.0, "0", None, [0]])
def test_placeholders_that_name_no_attachment(num: Any):
    with pytest.raises(WireError):
        put_back([{"_placeholder": True, "num": num}], [b"x"])


def test_only_true_makes_a_placeholder():
    value = [{"_placeholder": 1, "num": 0}, {"_placeholder": "true"}, {"num": 0}]
    assert put_back(value, [b"x"]) == value


values = st.recursive(
    st.none() | st.integers(-1000, 1000) | st.text(max_size=5) | st.binary(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=20,
)


@given(st.lists(values, max_size=4))
def test_what_is_taken_out_is_put_back(value: list[Any]):
    found: list[bytes] = []
    text = msgspec.json.encode(take_out(value, found))
    assert put_back(msgspec.json.decode(text), found) == value
