"""Every test of a rule against every type of value: what is true, false, and unknown."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from compartmentd.policy.decision import Truth
from compartmentd.policy.model import Bound, Test
from compartmentd.policy.rules.comparisons import (
    WRONG_TYPE,
    JsonType,
    Result,
    compile_test,
    evaluate_absent,
    get_json_type,
)
from tests.support.policies import NOW, condition, span

T, F, U = Truth.TRUE, Truth.FALSE, Truth.UNKNOWN
BIG = 2**53


def come_to(form: dict[str, Any], *readings: Any) -> Truth:
    return hold(condition(form), readings).truth


def hold(test: Test, readings: tuple[Any, ...], now: float = NOW) -> Result:
    """Test a value, with values that have no placeholders."""
    return compile_test(test, lambda value: lambda _scene: (value,))(readings, None, now)


TABLE: list[tuple[dict[str, Any], list[tuple[Any, Truth]]]] = [
    (
        {"equals": "a"},
        [
            ("a", T),
            ("A", F),
            ("a ", F),
            ("", F),
            ("\u0061\u0301", F),
            (1, U),
            (1.5, U),
            (True, U),
            ([], U),
            (["a"], U),
            ({}, U),
            ({"a": 1}, U),
        ],
    ),
    ({"equals": "\u00e9"}, [("\u00e9", T), ("e\u0301", F)]),  # by code point, nothing is normalised
    (
        {"equals": 1},
        [
            (1, T),
            (1.0, T),
            (2, F),
            (1.5, F),
            (True, U),
            (False, U),
            ("1", U),
            ([1], U),
            ({"1": 1}, U),
            (float("nan"), U),
            (float("inf"), U),
        ],
    ),
    ({"equals": 0}, [(0, T), (-0.0, T), (False, U), ("", U)]),
    ({"equals": 1.5}, [(1.5, T), (1, F), ("1.5", U)]),
    ({"equals": BIG + 1}, [(BIG + 1, T), (BIG, F), (float(BIG), F), (float(BIG + 2), F)]),
    ({"equals": True}, [(True, T), (False, F), (1, U), ("true", U), ("yes", U)]),
    ({"equals": False}, [(False, T), (True, F), (0, U), ("", U), ([], U)]),
    ({"one_of": ["a", "b"]}, [("b", T), ("c", F), (1, U), (True, U), (["a"], U)]),
    ({"one_of": ["a", 1]}, [("a", T), (1, T), (1.0, T), ("1", F), (2, F), (True, U), ([], U)]),
    ({"one_of": [True, "x"]}, [(True, T), (False, F), ("x", T), (1, U)]),
    (
        {"matches": "[a-z]+[0-9]"},
        [
            ("ab1", T),
            ("ab1 ", F),
            ("xab1", T),
            ("-ab1", F),
            ("", F),
            (1, U),
            (True, U),
            (["ab1"], U),
            ({}, U),
        ],
    ),
    ({"matches": "a|ab"}, [("ab", T), ("abc", F)]),  # the whole value, whatever comes first
    ({"matches": "(?i)ann"}, [("ANN", T), ("bob", F)]),
    ({"matches": "."}, [("\u00e9", T), ("\U0001f600", T), ("ab", F)]),
    (
        {"contains": "a"},
        [
            (["a"], T),
            (["b", "a"], T),
            (["a", 1], T),
            ([1, "a"], T),
            ([["a"], "a"], T),
            (["b"], F),
            ([], F),
            (["b", 1], U),
            (["A", None], U),
            ([["a"]], U),
            ([{"a": 1}], U),
            ([True], U),
            ({"a": None}, T),
            ({"b": "a"}, F),
            ({}, F),
            ("a", U),
            ("cat", U),
            (1, U),
            (True, U),
        ],
    ),
    (
        {"contains": 1},
        [
            ([1], T),
            ([1.0], T),
            ([True, 1], T),
            ([2], F),
            ([True], U),
            (["1"], U),
            ([2, "1"], U),
            ({"1": 1}, U),
            ({}, F),
        ],
    ),
    ({"contains": True}, [([True], T), ([1], U), ([False], F), ([False, "x"], U)]),
    ({"contains_any": ["a", "b"]}, [(["x", "b"], T), (["x"], F), ([], F), ([1], U), ({"b": 0}, T), ("b", U)]),
    ({"contains_any": ["a", 1]}, [([1], T), (["x", 2], F), (["x", True], U), ([None], U), ({"x": 0}, F)]),
    (
        {"at_least": 3},
        [
            (3, T),
            (3.0, T),
            (10**30, T),
            (2.999, F),
            (-5, F),
            ("3", U),
            (True, U),
            ([3], U),
            ({}, U),
            (float("inf"), U),
            (float("nan"), U),
        ],
    ),
    ({"at_least": 0.5}, [(1, T), (0, F), (0.5, T)]),
    ({"at_least": 0}, [(True, U), (0, T), (-1, F)]),
    ({"at_most": 3}, [(3, T), (3.5, F), (-(10**30), T), ("3", U), (False, U), (float("-inf"), U)]),
    ({"exists": True}, [("", T), (0, T), (False, T), ([], T), ({}, T)]),
    ({"exists": False}, [("", F), (0, F), (False, F), ([], F), ({}, F)]),
    (
        {"is": "past"},
        [
            (NOW - 1, T),
            (NOW, T),
            (NOW + 0.001, F),
            (0, T),
            (-1, T),
            (10**400, F),
            (str(NOW - 1), U),
            ("2020-01-01", U),
            (True, U),
            ([NOW], U),
            ({}, U),
            (float("inf"), U),
        ],
    ),
    ({"is": "future"}, [(NOW - 1, F), (NOW, F), (NOW + 0.001, T), (10**400, T), ("soon", U), (True, U)]),
]


@pytest.mark.parametrize(
    ("form", "reading", "truth"), [(form, value, truth) for form, rows in TABLE for value, truth in rows]
)
def test_what_a_test_of_a_value_comes_to(form: dict[str, Any], reading: Any, truth: Truth) -> None:
    assert come_to(form, reading) is truth


@pytest.mark.parametrize(
    ("form", "truth"),
    [
        ({"equals": "a"}, F),
        ({"one_of": ["a", 1]}, F),
        ({"matches": ".*"}, F),
        ({"contains": "a"}, F),
        ({"contains_any": ["a"]}, F),
        ({"at_least": 0}, F),
        ({"at_most": 0}, F),
        ({"exists": True}, F),
        ({"exists": False}, T),
        ({"is": "past"}, F),
        ({"is": "future"}, F),
    ],
)
def test_an_absent_claim_is_false_for_all_but_exists_false(form: dict[str, Any], truth: Truth) -> None:
    result = evaluate_absent(condition(form), "because")
    assert result.truth is truth
    assert result.why == ("" if truth is Truth.TRUE else "because")


@pytest.mark.parametrize(
    ("form", "truth"),
    [
        ({"equals": 7}, T),
        ({"equals": 7.0}, T),
        ({"equals": "7"}, T),
        ({"equals": "07"}, F),
        ({"equals": 8}, F),
        ({"equals": True}, U),
        ({"one_of": ["x", 7]}, T),
        ({"one_of": [True, False]}, U),
        ({"matches": "[0-9]"}, T),
        ({"matches": "x"}, F),
        ({"at_least": 7}, T),
        ({"at_most": 6}, F),
        ({"contains": 7}, U),
        ({"exists": True}, T),
        ({"is": "past"}, T),
    ],
)
def test_an_integer_parameter_is_the_integer_and_its_decimal_form(form: dict[str, Any], truth: Truth) -> None:
    assert come_to(form, 7, "7") is truth


def test_a_moment_holds_until_it_comes() -> None:
    def result(word: str, moment: float) -> tuple[Truth, float | None]:
        found = hold(condition({"is": word}), (moment,))
        return found.truth, found.until

    assert result("past", NOW - 1) == (T, None)
    assert result("future", NOW - 1) == (F, None)
    assert result("past", NOW + 5) == (F, NOW + 5)
    assert result("future", NOW + 5) == (T, NOW + 5)
    assert result("future", 10**400) == (T, None)


@pytest.mark.parametrize("word", ["past", "future"])
def test_without_a_time_nothing_is_past_or_future(word: str) -> None:
    assert hold(condition({"is": word}), (NOW,), float("nan")).truth is U


def test_a_bound_without_a_bound_is_unknown() -> None:
    assert hold(Bound(span=span()), (1,)).truth is U


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)


@given(JSON, JSON)
def test_values_are_equal_if_of_one_type_and_equal(left: Any, right: Any) -> None:
    comparable = get_json_type(left) is get_json_type(right) is not JsonType.OTHER
    result = hold(condition({"equals": left}), (right,)) if _scalar(left) else WRONG_TYPE
    assert (result.truth is U) is not comparable
    assert (result.truth is T) is (comparable and left == right)


def _scalar(value: Any) -> bool:
    return isinstance(value, (str, bool, int, float)) and "{" not in str(value) and "}" not in str(value)
