from __future__ import annotations

import pytest

from compartmentd.util.regex import compile_pattern, escape_literal, find_pattern_error, matches_whole


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        ("a+", "aaa", True),
        ("a+", "aaab", False),
        ("a+", "aaa\n", False),
        ("a|ab", "ab", True),
        ("[a-c]{2}", "ab", True),
        (".", "€", True),
        ("", "", True),
    ],
)
def test_the_whole_value_has_to_match(pattern: str, value: str, matches: bool) -> None:
    assert matches_whole(pattern, value) is matches


def test_the_end_of_a_pattern_is_the_end_of_the_text_alone() -> None:
    assert compile_pattern("a$").search("ba") is not None
    assert compile_pattern("a$").search("ba\n") is None


@pytest.mark.parametrize(
    ("pattern", "error"),
    [
        ("a{2", None),
        ("(a", "missing ): (a"),
        ("[a", "missing ]: [a"),
        ("(?=a)", "invalid perl operator: (?="),
        (r"(a)\1", r"invalid escape sequence: \1"),
        ("((a{100}){100}){100}", "invalid repetition size"),
    ],
)
def test_what_re2_refuses_is_told_and_printed_nowhere(
    pattern: str, error: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    found = find_pattern_error(pattern)
    assert found == error if error is None else error in (found or "")
    assert capfd.readouterr() == ("", "")


def test_a_literal_matches_itself_alone() -> None:
    assert matches_whole(escape_literal("a.b[1]"), "a.b[1]")
    assert not matches_whole(escape_literal("a.b"), "axb")


def test_a_list_of_very_many_values_is_taken_where_it_is_compiled_for_ourselves() -> None:
    values = [f"value-{number:06}-{'x' * 40}" for number in range(40_000)]
    pattern = "|".join(values)
    assert matches_whole(pattern, values[-1])
    assert find_pattern_error(pattern) is not None
