"""Where a value stands in a JSON text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from compartmentd.document.json_positions import find_json_position

TEXT = '{\n  "a": [1, {"b\\"c": null}, "]"],\n  "d": {"e": {}, "f": [[], 2.5e3]}\n}'


@pytest.mark.parametrize(
    ("pointer", "place"),
    [
        ((), (1, 1)),
        (("a",), (2, 8)),
        (("a", 0), (2, 9)),
        (("a", 1), (2, 12)),
        (("a", 1, 'b"c'), (2, 21)),
        (("a", 2), (2, 28)),
        (("d", "f", 1), (3, 28)),
        (("d", "gone", "x"), (3, 8)),
        (("a", 9), (2, 8)),
        (("d", "e", "x"), (3, 14)),
    ],
)
def test_a_value_is_found(pointer, place):
    assert find_json_position(TEXT, pointer) == place


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.data(), st.sampled_from([None, 1]))
def test_the_text_at_the_place_is_the_value(value, data, indent):
    text = json.dumps(value, indent=indent)
    pointer: list[str | int] = []
    while isinstance(value, list | dict) and value and data.draw(st.booleans()):
        step = data.draw(
            st.sampled_from(sorted(value)) if isinstance(value, dict) else st.integers(0, len(value) - 1)
        )
        pointer.append(step)
        value = value[step]
    line, column = find_json_position(text, pointer)
    rest = "\n".join(text.split("\n")[line - 1 :])[column - 1 :]
    assert json.JSONDecoder().raw_decode(rest)[0] == value
