"""Texts with a placeholder that stands twice: a string that is named has two readings, and none is missed."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given, strategies as st

from compartmentd.policy.rules.placeholders import fill
from compartmentd.policy.templates.overlap import Ambiguity, find_ambiguity
from tests.support.policies import param, text

SHORT = "[a0]*"


def count_readings(form: str, params: dict[str, list[str]], string: str) -> int:
    """Return how many sets of values give the string."""
    pattern = text(form)
    names = sorted(set(pattern[1::2]))
    sets = (dict(zip(names, values, strict=True)) for values in product(*(params[name] for name in names)))
    return sum(fill(pattern, each) == string for each in sets)


@pytest.mark.parametrize(
    ("form", "of_a", "of_b", "expected"),
    [
        ("{a}{a}:{b}", SHORT, SHORT, None),
        ("{a}{a}:{b}{b}", SHORT, SHORT, None),
        ("{a}:{a}{b}", SHORT, SHORT, None),
        ("{b}{a}:{a}", SHORT, SHORT, None),
        ("{a}{b}{a}", "[a]{1,3}", "[b]{1,3}", None),
        ("{b}{a}{a}", SHORT, SHORT, Ambiguity("00")),
        ("{a}{b}{a}", SHORT, SHORT, Ambiguity("00")),
        ("{a}{b}{a}{b}", SHORT, SHORT, Ambiguity("00")),
        ("{a}{b}{b}:{a}", SHORT, SHORT, None),
        ("x{a}{b}{b}", "[a]{0,4}", "[a]{0,2}", Ambiguity("xaa")),
        ("{a}{b}{a}", "[a-z]{1,6}", "[a-z]{1,6}", Ambiguity("aaaaa")),
        ("{a}{b}{a}", "[a-bd-eg-h]{1,6}", "[a-bd-eg-h]{1,6}", Ambiguity("aaaaa")),
        ("{a}{b}{a}", "[01]?", "[01]?", Ambiguity(None)),  # it cannot, but that is not shown
    ],
)
def test_what_is_named_has_two_readings(form, of_a, of_b, expected):
    found = find_ambiguity(text(form), {"a": param("a", of_a), "b": param("b", of_b)})
    assert found == expected


VALUES = st.lists(
    st.sampled_from(["", "a", "0", ":", "a0", "0a", "a:", "00"]), min_size=1, max_size=4, unique=True
)
PARTS = st.lists(st.sampled_from(["{a}", "{b}", ":", "0", "a"]), min_size=2, max_size=5)


@given(PARTS, VALUES, VALUES)
def test_it_is_as_when_all_values_are_written_down(
    parts: list[str], of_a: list[str], of_b: list[str]
) -> None:
    form = "".join(parts)
    forms: dict[str, Any] = {"a": param("a", of_a), "b": param("b", of_b)}
    found = find_ambiguity(text(form), forms)
    pattern, names = text(form), sorted(set(text(form)[1::2]))
    values = {"a": of_a, "b": of_b}
    sets = [dict(zip(names, each, strict=True)) for each in product(*(values[name] for name in names))]
    strings = [fill(pattern, each) for each in sets]
    collide = any(strings.count(each) > 1 and each for each in strings)
    if len(names) < 2:
        return
    if found is None:
        assert not collide
    elif found.example is not None:
        assert count_readings(form, values, found.example) > 1
    if collide:
        assert found is not None
        assert found.example is not None
