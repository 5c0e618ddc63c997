"""The nearest known word."""

from __future__ import annotations

import pytest

from compartmentd.document.nearest import find_nearest

KNOWN = ["connect", "publish", "events", "rooms", "RS256"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("conect", "connect"),
        ("PUBLISH", "publish"),
        ("event", "events"),
        ("rs256", "RS256"),
        ("zzz", None),
        ("", None),
    ],
)
def test_nearest(word, expected):
    assert find_nearest(word, KNOWN) == expected


def test_a_huge_word_costs_nothing():
    assert find_nearest("connect" * 100_000, KNOWN) is None
