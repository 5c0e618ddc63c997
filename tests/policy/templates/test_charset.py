from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from compartmentd.policy.templates.charset import (
    MAX_CODE_POINT,
    ROOM_CHARACTERS,
    charset_from_text,
    complement,
    contains,
    intersection,
    is_valid_room_name,
    pick_specimen,
    union,
    utf8_length,
)

SMALL = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 8)).map(lambda p: (p[0], p[0] + p[1])), max_size=6
)


def members(ranges: tuple[tuple[int, int], ...]) -> set[int]:
    return {code for low, high in ranges for code in range(low, high + 1)}


@given(SMALL)
def test_a_union_is_sorted_disjoint_and_holds_what_its_parts_hold(ranges: list[tuple[int, int]]) -> None:
    joined = union(ranges)
    assert members(joined) == members(tuple(ranges))
    assert all(left[1] + 1 < right[0] for left, right in pairwise(joined))


@given(SMALL, SMALL)
def test_an_intersection_holds_what_both_hold(
    left: list[tuple[int, int]], right: list[tuple[int, int]]
) -> None:
    found = intersection(union(left), union(right))
    assert members(found) == members(union(left)) & members(union(right))


@given(SMALL)
def test_a_complement_holds_the_room_characters_that_a_set_does_not(ranges: list[tuple[int, int]]) -> None:
    others = complement(union(ranges))
    for code in range(0x110):
        assert contains(others, code) == (
            contains(ROOM_CHARACTERS, code) and code not in members(union(ranges))
        )


def test_a_set_up_to_the_last_code_point_has_a_complement() -> None:
    assert complement(((0x61, MAX_CODE_POINT),)) == ((0x20, 0x60),)
    assert complement(((0, MAX_CODE_POINT),)) == ()
    assert complement(()) == ROOM_CHARACTERS


def test_room_characters_are_all_but_controls_and_surrogates() -> None:
    for code in range(0x110000):
        if (unicodedata.category(chr(code)) in ("Cc", "Cs")) == contains(ROOM_CHARACTERS, code):
            pytest.fail(f"U+{code:04X}")


@pytest.mark.parametrize(
    ("room", "valid"),
    [
        ("lobby", True),
        ("a b", True),
        (" ", True),
        ("caf\u00e9", True),
        ("\u200b", True),  # invisible, but nothing is trimmed or folded
        ("x" * 256, True),
        ("\u00e9" * 128, True),
        ("\U0001f600" * 64, True),
        ("", False),
        ("x" * 257, False),
        ("\u00e9" * 129, False),
        ("\U0001f600" * 65, False),
        ("a\nb", False),
        ("a\x00", False),
        ("\x7f", False),
        ("\x85\u00e9", False),
        ("\ud800", False),
        ("a\udfff", False),
    ],
)
def test_room_names_are_short_and_printable(room: str, valid: bool) -> None:
    assert is_valid_room_name(room) is valid


@given(SMALL)
def test_a_specimen_is_a_shortest_member(ranges: list[tuple[int, int]]) -> None:
    characters = intersection(union((low * 9, high * 9) for low, high in ranges), ROOM_CHARACTERS)
    found = pick_specimen(characters)
    if found is None:
        assert not characters
    else:
        size, character = found
        assert contains(characters, ord(character))
        assert size == len(character.encode()) == min(utf8_length(code) for code in members(characters))


@pytest.mark.parametrize(
    ("characters", "shown"),
    [("z9_", "z"), ("9_", "9"), (" !", "!"), (" ", " "), ("\u00e9 ", " "), ("~#", "#")],
)
def test_a_specimen_is_readable_where_it_can_be(characters: str, shown: str) -> None:
    assert pick_specimen(charset_from_text(characters)) == (1, shown)
