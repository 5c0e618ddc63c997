"""What a problem shows of the file that it is about."""

from __future__ import annotations

import pytest

from compartmentd.problems import Problem, Span

HERE = Span("c.yaml", 3, 7, 3, 12)


@pytest.mark.parametrize(
    ("quoted", "shown"),
    [
        ("lobby", "lobby"),
        ("zürich 東京", "zürich 東京"),
        ("a\nb", "a<U+000A>b"),
        ("a\n::error::b", "a<U+000A>::error::b"),
        ("\x1b[2Jgone", "<U+001B>[2Jgone"),
        ("a\u00a0b\u200b", "a<U+00A0>b<U+200B>"),
        ("\udc80", "<U+DC80>"),
        ("\u202eevil", "<U+202E>evil"),
    ],
)
def test_what_a_terminal_would_hide_or_obey_is_named(quoted: str, shown: str) -> None:
    problem = Problem("error", "text.size", f"no room `{quoted}`", HERE, f"write `{quoted}`")
    assert problem.message == f"no room `{shown}`"
    assert str(problem) == f"c.yaml:3:7: error: no room `{shown}`"


def test_help_may_have_several_lines_and_nothing_else_that_cannot_be_shown() -> None:
    problem = Problem("error", "text.size", "too large", HERE, "write\n  a: 1\tb\n  c: \x1b[0m")
    assert problem.help == "write\n  a: 1<U+0009>b\n  c: <U+001B>[0m"
    assert problem.as_text().count("\n") == 3
