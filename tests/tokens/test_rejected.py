from __future__ import annotations

import pytest

from compartmentd.policy.codes import Code
from compartmentd.tokens.rejected import Reason, invalid, listed, quoted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "``"),
        ("https://id.example.com/ä", "`https://id.example.com/ä`"),
        ("a`b", "`a'b`"),
        ("line\r\nfake", "`line\\r\\nfake`"),
        ("\x1b[31m\x00", "`\\x1b[31m\\x00`"),
        ("\u202egnp", "`\\u202egnp`"),
        ("\ud800", "`\\ud800`"),
        ("x" * 120, f"`{'x' * 120}`"),
        ("x" * 121, f"`{'x' * 120}…`"),
    ],
    ids=range(9),
)
def test_what_a_stranger_wrote_is_shown_bounded_and_breaks_no_line(text: str, shown: str) -> None:
    assert quoted(text) == shown
    assert quoted(text).isprintable()


def test_lists_are_bounded() -> None:
    assert listed([]) == ""
    assert listed("abcde") == "`a`, `b`, `c`, `d`, `e`"
    assert listed("abcdef") == "`a`, `b`, `c`, `d`, `e` and 1 more"
    assert listed("abc", most=2) == "`a`, `b` and 1 more"


def test_an_invalid_token_is_told_to_the_client_by_its_code_alone() -> None:
    assert invalid(Reason.EXPIRED, "x").code is Code.TOKEN_INVALID
