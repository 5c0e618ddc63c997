from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from compartmentd.policy.model import CharClass
from compartmentd.policy.templates.automaton import Automaton
from compartmentd.policy.templates.charset import contains
from compartmentd.policy.templates.pattern import PatternProblem, build_default_param, parse_pattern
from tests.support.policies import param, span

A_TO_Z = (97, 122)
DIGITS = (48, 57)


@pytest.mark.parametrize(
    ("pattern", "items"),
    [
        ("a", [CharClass(((97, 97),))]),
        ("ab", [CharClass(((97, 97),)), CharClass(((98, 98),))]),
        ("[a-z0-9-]{1,40}", [CharClass(((45, 45), DIGITS, A_TO_Z), 1, 40)]),
        ("[a-z]{2,12}", [CharClass((A_TO_Z,), 2, 12)]),
        ("[a-z]{3}", [CharClass((A_TO_Z,), 3, 3)]),
        ("[a-z]?", [CharClass((A_TO_Z,), 0, 1)]),
        ("[a-z]*", [CharClass((A_TO_Z,), 0, None)]),
        ("[a-z]+", [CharClass((A_TO_Z,), 1, None)]),
        ("x{0,256}", [CharClass(((120, 120),), 0, 256)]),
        ("[-a]", [CharClass(((45, 45), (97, 97)))]),
        ("[a-]", [CharClass(((45, 45), (97, 97)))]),
        ("[-]", [CharClass(((45, 45),))]),
        ("[]]", [CharClass(((93, 93),))]),
        ("[]a]", [CharClass(((93, 93), (97, 97)))]),
        ("[a^]", [CharClass(((94, 94), (97, 97)))]),
        ("[.]", [CharClass(((46, 46),))]),
        ("[[]", [CharClass(((91, 91),))]),
        ("[{}()|$?*+]", [CharClass(((36, 36), (40, 43), (63, 63), (123, 125)))]),
        ("\u00e9", [CharClass(((0xE9, 0xE9),))]),
        ("[\U0001f600-\U0001f64f]", [CharClass(((0x1F600, 0x1F64F),))]),
        ("[^a]", [CharClass(((32, 96), (98, 126), (0xA0, 0xD7FF), (0xE000, 0x10FFFF)))]),
        ("[^]]", [CharClass(((32, 92), (94, 126), (0xA0, 0xD7FF), (0xE000, 0x10FFFF)))]),
        ("-/:,", [CharClass(((ord(c), ord(c)),)) for c in "-/:,"]),
    ],
)
def test_what_a_pattern_means(pattern: str, items: list[CharClass]) -> None:
    assert parse_pattern(pattern) == tuple(items)


@pytest.mark.parametrize(
    ("pattern", "offset", "message", "advice"),
    [
        ("", 0, "empty", "[a-z0-9]{1,40}"),
        ("a.b", 1, "`.`", "write `[.]`"),
        ("^a", 0, "`^`", "leave it out"),
        ("a$", 1, "`$`", "write `[$]`"),
        ("a|b", 1, "`|`", "write `[|]`"),
        ("(a)", 0, "`(`", "write `[(]`"),
        ("a)", 1, "`)`", "write `[)]`"),
        ("a]", 1, "`]`", "write `[]]`"),
        ("a}", 1, "`}`", "write `[}]`"),
        (r"\d+", 0, "backslashes", "`[0-9]`"),
        (r"a\.b", 1, "backslashes", "`[.]`"),
        (r"[\w]", 1, "backslashes", "`[A-Za-z0-9_]`"),
        (r"[a-\d]", 3, "backslashes", "`[0-9]`"),
        ("a\\", 1, "backslashes", "a class"),
        ("?", 0, "`?`", "write `[?]`"),
        ("{2}", 0, "`{`", "write `[{]`"),
        ("a**", 2, "`*`", "one count"),
        ("a+?", 2, "`?`", "one count"),
        ("a{2}{3}", 4, "`{`", "one count"),
        ("a{", 1, "`{n}` or `{m,n}`", "{0,40}"),
        ("a{2,}", 1, "`{n}` or `{m,n}`", "{0,40}"),
        ("a{,2}", 1, "`{n}` or `{m,n}`", "{0,40}"),
        ("a{}", 1, "`{n}` or `{m,n}`", "{0,40}"),
        ("a{1,2,3}", 1, "`{n}` or `{m,n}`", "{0,40}"),
        ("a{-1}", 1, "`{n}` or `{m,n}`", "{0,40}"),
        ("a{\u0663}", 1, "`{n}` or `{m,n}`", "{0,40}"),  # a digit, but not an ASCII one
        ("a{257}", 1, "256", "longer"),
        ("a{1,99999999999999999999}", 1, "256", "longer"),
        ("a{3,2}", 1, "reversed", "`{2,3}`"),
        ("a{0}", 1, "zero times", "remove"),
        ("[a-z", 0, "not closed", "`]`"),
        ("[]", 0, "not closed", "`]`"),
        ("[^]", 0, "not closed", "`]`"),
        ("x[z-a]", 2, "`z-a`", "`a-z`"),
        ("[a-z-9]", 4, "`-`", "first"),
        ("[[:alpha:]]", 1, "named classes", "a-z"),
        ("a\x07", 1, "no room name", "control"),
        ("[\x00-\x1f]", 0, "no room name", "control"),
        ("\ud800", 0, "no room name", "surrogates"),
    ],
)
def test_what_a_pattern_must_not_say_is_told_with_its_place(
    pattern: str, offset: int, message: str, advice: str
) -> None:
    problem = parse_pattern(pattern)
    assert isinstance(problem, PatternProblem)
    assert problem.offset == offset
    assert message in problem.message
    assert advice in problem.help


@given(st.text(st.sampled_from("ab-^]\\[.{}0,1?*+$|():\u00e9\x00\ud800"), max_size=12))
def test_any_text_is_a_pattern_or_a_located_problem(pattern: str) -> None:
    parsed = parse_pattern(pattern)
    if isinstance(parsed, PatternProblem):
        assert 0 <= parsed.offset <= len(pattern)
        assert parsed.message
        assert parsed.help
    else:
        assert parsed
        assert all(item.ranges and (item.most is None or 0 < item.most <= 256) for item in parsed)


def _ranges() -> st.SearchStrategy[str]:
    return st.tuples(st.sampled_from("aceg"), st.integers(0, 3)).map(
        lambda p: f"{p[0]}-{chr(ord(p[0]) + p[1])}"
    )


ITEMS = st.builds(
    lambda characters, times: characters + times,
    st.one_of(
        st.sampled_from(["a", "b", ":", "-", "\u00e9"]),
        st.builds(
            lambda negated, first, ranges, last: f"[{negated}{first}{''.join(ranges)}{last}]",
            st.sampled_from(["", "^"]),
            st.sampled_from(["", "]", "-", "k"]),
            st.lists(_ranges(), min_size=1, max_size=2),
            st.sampled_from(["", "-", "h"]),
        ),
    ),
    st.sampled_from(["", "?", "*", "+", "{2}", "{0,2}", "{1,3}"]),
)


def accepts(automaton: Automaton, string: str) -> bool:
    states = {0}
    for character in string:
        moves = [move for state in states for move in automaton.moves(state)]
        states = {move.target for move in moves if contains(move.ranges, ord(character))}
    return any(automaton.accepts(state) for state in states)


@given(st.lists(ITEMS, min_size=1, max_size=4).map("".join), st.text("abcdefghk]-:\u00e9", max_size=7))
def test_a_pattern_means_what_it_means_as_a_regular_expression(pattern: str, string: str) -> None:
    automaton = Automaton(("", "p", ""), {"p": param("p", pattern)})
    assert accepts(automaton, string) == bool(re.fullmatch(pattern, string)), pattern


@pytest.mark.parametrize(
    ("value", "fits"),
    [("a", True), ("Z9_.@|-", True), ("x" * 128, True), ("", False), ("x" * 129, False), ("a:b", False)],
)
def test_the_form_of_a_parameter_of_which_nothing_is_said(value: str, fits: bool) -> None:
    automaton = Automaton(("", "p", ""), {"p": build_default_param("p", span())})
    assert accepts(automaton, value) is fits
