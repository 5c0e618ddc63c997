"""Bytes of a file as text: decoded, or refused with the place."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from compartmentd.document.source import MAX_BYTES, Source, decode


@pytest.mark.parametrize(
    ("raw", "line", "column", "code"),
    [
        (b"\xff\xfea\0", 1, 1, "text.encoding"),
        (b"\xfe\xff\0a", 1, 1, "text.encoding"),
        (b"\xef\xbb\xbfversion: 1\n", 1, 1, "text.encoding"),
        (b"a: \xff\n", 1, 4, "text.encoding"),
        ("é\n\U0001d11e: ".encode() + b"\xe2\x82", 2, 4, "text.encoding"),
        (b"a: \x00\n", 1, 4, "text.character"),
        (b"a: 1\n\x1b[0m", 2, 1, "text.character"),
        (b"a\x7f", 1, 2, "text.character"),
        ("a\u0085b".encode(), 1, 2, "text.character"),
        ("a\u2028b".encode(), 1, 2, "text.character"),
        ("a\ufeffb".encode(), 1, 2, "text.character"),
        ("a\uffffb".encode(), 1, 2, "text.character"),
        (b"a: 1\rb: 2\n", 1, 5, "text.character"),
    ],
)
def test_what_is_no_text_is_refused_where_it_stands(raw, line, column, code):
    (problem,) = decode("f.yaml", raw)
    assert (problem.span.line, problem.span.column, problem.code) == (line, column, code)
    assert problem.help


def test_the_whole_of_unicode_that_editors_show_is_text():
    text = "a: é\t\u00a0\U0001f600\r\n# \U0010ffff\n"
    assert decode("f.yaml", text.encode()) == Source("f.yaml", text)


def test_a_binary_file_does_not_fill_the_screen():
    assert len(decode("f.yaml", b"\x00" * 1000)) == 20


def test_a_file_that_is_too_large_is_refused():
    (problem,) = decode("f.yaml", b" " * (MAX_BYTES + 1))
    assert problem.code == "text.size"


@given(st.binary(max_size=64))
def test_any_bytes_are_text_or_a_problem(raw):
    result = decode("f.yaml", raw)
    if isinstance(result, Source):
        assert result.text.encode() == raw
    else:
        assert result
        assert all(problem.severity == "error" for problem in result)
