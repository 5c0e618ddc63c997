"""Numbers as people write them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from compartmentd.util.humanize import format_count, format_duration, format_rate

SIZES = {"d": 86400, "h": 3600, "min": 60, "s": 1}


@pytest.mark.parametrize(
    ("count", "told"), [(0, "0 sessions"), (1, "1 session"), (2, "2 sessions"), (10_000, "10000 sessions")]
)
def test_counts_have_their_noun(count: int, told: str) -> None:
    assert format_count(count, "session") == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0.0 s"),
        (1.54, "1.5 s"),
        (9.99, "10.0 s"),
        (10, "10 s"),
        (119.4, "119 s"),
        (120, "2 min"),
        (125.9, "2 min 5 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h"),
        (3659, "1 h"),
        (86213, "23 h 56 min"),
        (86400, "1 d"),
        (183_600, "2 d 3 h"),
        (86400 + 3599, "1 d"),
        (400 * 86400, "400 d"),
    ],
)
def test_spans_are_told_in_the_units_that_fit(seconds: float, told: str) -> None:
    assert format_duration(seconds) == told


@given(st.integers(120, 10**12))
def test_what_is_told_is_no_more_than_it_is_and_nearly_that(seconds: int) -> None:
    parts = re.findall(r"(\d+) (\w+)", format_duration(seconds))
    told = sum(int(count) * SIZES[unit] for count, unit in parts)
    assert told <= seconds < told * (1 + 1 / 20), "what is left out is less than one of the smaller units"


@pytest.mark.parametrize(
    ("rate", "noun", "told"),
    [
        (10.0, "message", "10 messages a second"),
        (1.0, "join", "1 join a second"),
        (1 / 60, "message", "1 message a minute"),
        (90 / 60, "message", "90 messages a minute"),
        (7 / 3600, "join", "7 joins an hour"),
        (999_999_999.0, "byte", "999999999 bytes a second"),
    ],
)
def test_a_rate_is_told_in_the_unit_in_which_it_is_whole(rate: float, noun: str, told: str) -> None:
    assert format_rate(rate, noun) == told
