from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from compartmentd.policy.rules.placeholders import fill, format_text, list_parameters, parse_text
from compartmentd.policy.templates.pattern import PatternProblem


@pytest.mark.parametrize(
    ("string", "parts"),
    [
        ("", ("",)),
        ("lobby", ("lobby",)),
        ("{a}", ("", "a", "")),
        ("project:{project}:read", ("project:", "project", ":read")),
        ("{a}{b}", ("", "a", "", "b", "")),
        ("{{a}}", ("{a}",)),
        ("{{{a}}}", ("{", "a", "}")),
        ("}}{{", ("}{",)),
        ("{tenant-id}/{_x}", ("", "tenant-id", "/", "_x", "")),
    ],
)
def test_a_text_is_literals_and_parameters_in_turn(string: str, parts: tuple[str, ...]) -> None:
    assert parse_text(string) == parts
    assert format_text(parts) == string


@pytest.mark.parametrize(
    ("string", "offset", "message"),
    [
        ("{a", 0, "`{` has no partner"),
        ("ab}", 2, "`}` has no partner"),
        ("a}b{", 1, "no partner"),
        ("{", 0, "no partner"),
        ("{}", 0, "not a placeholder"),
        ("x{a b}", 1, "not a placeholder"),
        ("{1a}", 0, "not a placeholder"),
        ("{-a}", 0, "not a placeholder"),
        ("{a{b}}", 0, "no partner"),
        ("{" + "x" * 65 + "}", 0, "not a placeholder"),
    ],
)
def test_a_brace_that_means_nothing_is_told_with_its_place(string: str, offset: int, message: str) -> None:
    problem = parse_text(string)
    assert isinstance(problem, PatternProblem)
    assert problem.offset == offset
    assert message in problem.message


@given(st.text(st.sampled_from("ab{}_-1 "), max_size=12))
def test_what_is_read_is_what_was_written(string: str) -> None:
    parts = parse_text(string)
    if not isinstance(parts, PatternProblem):
        assert len(parts) % 2 == 1
        assert format_text(parts) == string


def test_values_are_put_in_once_and_never_read_again() -> None:
    parts = parse_text("{a}/{{a}}/{b}/{a}")
    assert not isinstance(parts, PatternProblem)
    assert list_parameters(parts) == ("a", "b", "a")
    assert fill(parts, {"a": "{b}", "b": "{a}"}) == "{b}/{a}/{a}/{b}"
    with pytest.raises(KeyError):
        fill(parts, {"a": "x"})
