from __future__ import annotations

from itertools import combinations, product

import pytest
from hypothesis import given, strategies as st

from compartmentd.policy.model import IntegerParam
from compartmentd.policy.templates.integers import (
    LARGEST,
    Spelling,
    find_overlapping,
    read_integer,
    spell_integers,
)
from tests.support.policies import span


def integer(low: int, high: int | None) -> IntegerParam:
    return IntegerParam(name="n", low=low, high=high, span=span())


def spelled(spelling: Spelling) -> set[str]:
    choices = [[chr(code) for code in range(ord(low), ord(high) + 1)] for low, high in spelling]
    return {"".join(characters) for characters in product(*choices)}


def fits(text: str, spelling: Spelling) -> bool:
    return len(text) == len(spelling) and all(
        low <= character <= high for character, (low, high) in zip(text, spelling, strict=True)
    )


@given(st.integers(-130, 130), st.integers(-130, 1300))
def test_a_range_is_spelled_exactly(low: int, high: int) -> None:
    parts = [spelled(spelling) for spelling in spell_integers(integer(low, high))]
    together = [text for part in parts for text in part]
    assert sorted(together) == sorted(str(number) for number in range(low, high + 1))


NUMBERS = st.one_of(st.integers(-LARGEST * 10, LARGEST * 10), st.integers(-300, 300))


@given(NUMBERS, st.none() | NUMBERS, st.data())
def test_spelling_and_reading_agree_at_any_size(low: int, high: int | None, data: st.DataObject) -> None:
    param = integer(low, high)
    near = [
        low,
        low - 1,
        low + 1,
        0,
        LARGEST,
        -LARGEST,
        *([] if high is None else [high, high - 1, high + 1]),
    ]
    number = data.draw(st.sampled_from(near) | NUMBERS)
    in_language = abs(number) <= LARGEST and low <= number and (high is None or number <= high)
    assert any(fits(str(number), spelling) for spelling in spell_integers(param)) is in_language
    assert (read_integer(str(number), param) == number) is in_language


@pytest.mark.parametrize(
    "text",
    ["", "-", "-0", "00", "007", "+1", " 1", "1 ", "1.0", "1e3", "0x1", "1_0", "\u0661", "\uff11", "1\n"],
)
def test_an_integer_has_one_spelling(text: str) -> None:
    assert read_integer(text, integer(-LARGEST, None)) is None


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("7", 7), ("-7", -7), ("9" * 16, LARGEST), ("1" + "0" * 16, None)]
)
def test_an_integer_has_at_most_sixteen_digits(text: str, value: int | None) -> None:
    assert read_integer(text, integer(-LARGEST, None)) == value


SMALL = st.tuples(st.integers(0, 12), st.integers(0, 12)).map(lambda pair: integer(min(pair), max(pair)))


@given(
    st.integers(1, 3).flatmap(lambda places: st.lists(st.tuples(*[SMALL] * places), min_size=1, max_size=8))
)
def test_overlapping_integers_are_found_as_by_comparing_each_pair(
    several: list[tuple[IntegerParam, ...]],
) -> None:
    def share(one: IntegerParam, other: IntegerParam) -> bool:
        assert one.high is not None
        assert other.high is not None
        return bool(set(range(one.low, one.high + 1)) & set(range(other.low, other.high + 1)))

    found = [tuple(sorted(pair)) for pair in find_overlapping(several)]
    assert sorted(found) == [
        (left, right)
        for (left, one), (right, other) in combinations(enumerate(several), 2)
        if all(map(share, one, other))
    ]


def test_pairs_that_overlap_at_different_positions_share_nothing() -> None:
    several = [
        (integer(0, 5), integer(0, 1)),
        (integer(3, 9), integer(5, 6)),
        (integer(20, None), integer(6, 9)),
    ]
    assert list(find_overlapping(several)) == []
