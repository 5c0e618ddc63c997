"""Patterns: those that RE2 and Rust's `regex` both take mean the same, and none holds the server."""

from __future__ import annotations

import time

import msgspec
import pytest
from hypothesis import assume, given, settings, strategies as st

from compartmentd.configuration.payloads.patterns import estimate_character_cost
from compartmentd.configuration.payloads.validator import PayloadValidator, PayloadVerdict, build_validator
from compartmentd.util.regex import compile_pattern, find_pattern_error

TEXTS = st.text(st.sampled_from("ab1_- \n.é\u0663\u017f\u212a😀ß"), max_size=8)
ATOMS = st.sampled_from(
    ["a", "b", ".", "[a-z]", "[^a]", "\\d", "\\D", "[\\d-]", "1", "é", "(?:a|b)", "[aé]", "😀", "-", "_"]
)
PIECES = st.tuples(ATOMS, st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,3}", "*?"])).map("".join)
PATTERNS = st.tuples(
    st.sampled_from(["", "^"]), st.lists(PIECES, max_size=5).map("".join), st.sampled_from(["", "$", "|b$"])
).map("".join)


@settings(max_examples=500, deadline=None)
@given(PATTERNS, st.lists(TEXTS, min_size=1, max_size=6))
def test_that_both_engines_find_the_same(pattern: str, texts: list[str]) -> None:
    assume(find_pattern_error(pattern) is None)
    validator = build_validator({"pattern": pattern})
    for text in texts:
        assert validator.is_valid(text) is (compile_pattern(pattern).search(text) is not None)


@pytest.mark.parametrize(
    ("pattern", "one_step"),
    [
        ("^[a-z]{1,40}$", True),
        (r"^\d{4}-\d{2}-\d{2}$", True),
        ("^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$", True),
        ("^https://[a-z0-9.-]+/[a-z]{3,20}$", True),
        ("^[a-z]{20}[0-9]?[a-z]{20}$", True),
        ("abc", True),
        ("a.b", False),
        ("^[ab]*a[ab]{20}c", False),
        ("^[a-z]{1,9}[a-z]{20}$", False),
        ("^[0-9]?[a-z]*[0-9]{20}$", False),
        ("^[^a]{1,20}[^b]{20}$", False),
        ("[ab]*a[ab]{20}", False),
        ("^(a|b){20}$", False),
        ("^[é-ü]{1,20}[é-ü]{20}$", False),
        ("^[é-ü]{20}$", True),
        (r"\S", True),
        (r"\S+\S{20}", False),
        ("[é-ü]{20}$", True),
    ],
)
def test_the_cost_of_a_character(pattern: str, one_step: bool) -> None:
    assert (estimate_character_cost(pattern) == 2.0) is one_step


@pytest.mark.parametrize("pattern", ["^(a+)+$", "(x+x+)+y", "^[ab]*a[ab]{300}c", "(a?){200}a{200}"])
def test_a_pattern_takes_no_exponential_time(pattern: str) -> None:
    validator = PayloadValidator({"pattern": pattern})
    started = time.process_time()
    for size in (10, 1000, 30_000, 65_000):
        assert validator.validate(b'"' + b"ab" * (size // 2) + b'!"') is not PayloadVerdict.VALID
    assert time.process_time() - started < 1


def test_a_long_text_beside_a_short_one_with_a_pattern_is_validated() -> None:
    schema = {"properties": {"id": {"pattern": "(?i)^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}}}
    data = {"id": "123e4567-e89b-12d3-a456-426614174000", "text": "x" * 60_000}
    assert PayloadValidator(schema).validate(msgspec.json.encode(data)) is PayloadVerdict.VALID
