from __future__ import annotations

import pytest

from compartmentd.policy.codes import Code
from compartmentd.tokens.rejected import RejectReason, quote, quote_list, reject


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
    assert quote(text) == shown
    assert quote(text).isprintable()


def test_lists_are_bounded() -> None:
    assert quote_list([]) == ""
    assert quote_list("abcde") == "`a`, `b`, `c`, `d`, `e`"
    assert quote_list("abcdef") == "`a`, `b`, `c`, `d`, `e` and 1 more"
    assert quote_list("abc", most=2) == "`a`, `b` and 1 more"


def test_an_invalid_token_is_told_to_the_client_by_its_code_alone() -> None:
    assert reject(RejectReason.EXPIRED, "x").code is Code.TOKEN_INVALID
