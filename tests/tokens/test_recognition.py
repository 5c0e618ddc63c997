"""What is given in place of a token."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st

from compartmentd.tokens.recognition import decode_base64, read_header_members, recognize
from tests.tokens.forge import sign

TOKEN = sign({"alg": "HS256"}, {"iss": "a"})


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        (f"Bearer {TOKEN}", "clients send the token alone"),
        (f"bearer   {TOKEN}\r\n", "clients send the token alone"),
        (f"'{TOKEN}'", "the quotes around the token"),
        (TOKEN[:30] + "\n" + TOKEN[30:60] + " \n" + TOKEN[60:], "white space inside the token"),
        (urlsafe_b64encode(TOKEN.encode()).decode(), "encoded twice"),
        (b64encode(TOKEN.encode()).decode(), "encoded twice"),
        (urlsafe_b64encode(TOKEN.encode()).decode().rstrip("="), "encoded twice"),
        (quote(TOKEN).replace(".", "%2E"), "percent-encoded"),
        (f'{{"id_token": "x", "access_token": "{TOKEN}"}}', "its `access_token` is checked"),
        (f'{{"token": "{TOKEN}"}}', "its `token` is checked"),
    ],
)
def test_a_token_is_found_in_what_stands_around_it(text: str, remark: str) -> None:
    found = recognize(text)
    assert found.token == TOKEN
    assert [remark in each for each in found.remarks] == [True]
    assert TOKEN not in repr(found)


def test_several_things_may_stand_around_it() -> None:
    found = recognize(f'{{"access_token": "Bearer {TOKEN}"}}')
    assert found.token == TOKEN
    assert len(found.remarks) == 2


def test_what_is_wrapped_more_often_than_by_mistake_is_left() -> None:
    found = recognize("Bearer " * 9 + TOKEN)
    assert found.token == "Bearer " * 3 + TOKEN
    assert len(found.remarks) == 6


@pytest.mark.parametrize(
    "text", [TOKEN, "c0ffee", "", "{", '{"a": 1}', "a b c", "'", "-----BEGIN KEY-----\nx", "%2E", "eyJ\n.a"]
)
def test_anything_else_is_left_as_it_is(text: str) -> None:
    assert recognize(text).token == text
    assert recognize(text).remarks == ()


@given(st.text(max_size=60) | st.text("eyJ.{}\"' =%2EBearer:", max_size=60))
def test_any_text_gives_a_value(text: str) -> None:
    assert isinstance(recognize(text).token, str)
    assert isinstance(read_header_members(text), dict)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("YQ", "a"), ("YQ==", "a"), ("_-8", None), ("a", None), ("", None), ("!", None)],
)
def test_base64(text: str, expected: str | None) -> None:
    assert decode_base64(text) == expected


@pytest.mark.parametrize("text", ["", "x.y", "YQ.y", "W10.y"])
def test_a_header_that_is_none_has_no_members(text: str) -> None:
    assert read_header_members(text) == {}
