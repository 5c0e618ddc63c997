"""When keys are fetched: by a clock that the tests move."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from compartmentd.keys.schedule import JITTER, LATEST, RELIED_ON, SOONEST, SPACING, FetchSchedule

NOW = 5000.0


def fetched(
    course: FetchSchedule, now: float, fresh_for: float | None = None, jitter: float = 0.0
) -> FetchSchedule:
    course.note_start(now)
    course.note_success(now, fresh_for, jitter)
    return course


def failing(course: FetchSchedule, now: float, jitter: float = 0.0) -> FetchSchedule:
    course.note_start(now)
    course.note_failure(now, jitter)
    return course


def test_the_first_fetch_is_due_at_once() -> None:
    assert FetchSchedule(NOW).seconds_left(NOW) == 0


@pytest.mark.parametrize(
    ("fresh_for", "jitter", "wait"),
    [
        (None, 0.0, LATEST),
        (None, 1.0, LATEST * (1 - JITTER)),
        (300.0, 0.0, 300.0),
        (300.0, 0.5, 285.0),
        (0.0, 0.0, SOONEST),
        (61.0, 1.0, SOONEST),
        (86400.0, 0.0, LATEST),
    ],
)
def test_a_good_set_is_fresh_for_what_its_provider_says_within_bounds(
    fresh_for: float | None, jitter: float, wait: float
) -> None:
    assert fetched(FetchSchedule(NOW), NOW, fresh_for, jitter).seconds_left(NOW) == pytest.approx(wait)


def test_without_keys_it_is_tried_again_soon_and_then_less_often() -> None:
    course = FetchSchedule(NOW)
    assert [failing(course, NOW).seconds_left(NOW) for _ in range(8)] == [1, 2, 4, 8, 15, 30, 30, 30]


def test_with_keys_failures_are_less_urgent() -> None:
    course = fetched(FetchSchedule(NOW), NOW)
    assert [failing(course, NOW).seconds_left(NOW) for _ in range(6)] == [10, 20, 40, 60, 60, 60]


def test_success_ends_the_row_of_failures() -> None:
    course = failing(failing(fetched(FetchSchedule(NOW), NOW), NOW), NOW)
    assert course.stale
    fetched(course, NOW)
    assert not course.stale
    assert failing(course, NOW).seconds_left(NOW) == 10


def test_a_stale_set_is_relied_on_for_a_day() -> None:
    course = fetched(FetchSchedule(NOW), NOW)
    assert failing(course, NOW + RELIED_ON).good_at == NOW
    assert failing(course, NOW + RELIED_ON + 1).good_at is None
    assert not course.stale


def test_an_unknown_key_brings_the_fetch_forward() -> None:
    course = fetched(FetchSchedule(NOW), NOW)
    course.hasten(NOW + 100)
    assert course.seconds_left(NOW + 100) == 0


def test_also_right_after_a_fetch_that_no_token_caused() -> None:
    course = fetched(FetchSchedule(NOW), NOW)
    course.hasten(NOW + 1)
    assert course.seconds_left(NOW + 1) == 0


def test_but_not_within_the_spacing_after_one_that_a_token_caused() -> None:
    course = fetched(FetchSchedule(NOW), NOW)
    course.hasten(NOW + 100)
    fetched(course, NOW + 100)
    course.hasten(NOW + 101)
    assert course.seconds_left(NOW + 101) == SPACING - 1


def test_and_never_puts_one_off() -> None:
    course = FetchSchedule(NOW)
    course.hasten(NOW)
    failing(course, NOW)
    course.hasten(NOW + 0.5)
    assert course.seconds_left(NOW + 0.5) == 0.5


EVENTS = st.lists(
    st.tuples(
        st.floats(0, 30),  # seconds that pass
        st.integers(0, 3),  # tokens with unknown keys
        st.booleans(),  # whether a fetch that is due brings a good set
        st.none() | st.floats(0, 1e6),
        st.floats(0, 1, exclude_max=True),
    ),
    max_size=60,
)


@given(EVENTS)
def test_two_fetches_that_tokens_cause_never_begin_within_the_spacing(
    events: list[tuple[float, int, bool, float | None, float]],
) -> None:
    now = NOW
    course = fetched(FetchSchedule(now), now)
    caused, asked = [], False
    for passed, asks, good, fresh_for, jitter in events:
        now += passed
        for _ in range(asks):
            course.hasten(now)
            asked = True
        if course.seconds_left(now) > 0:
            continue
        course.note_start(now)
        caused += [now] * asked
        asked = False
        if good:
            course.note_success(now, fresh_for, jitter)
        else:
            course.note_failure(now, jitter)
    assert all(after - before >= SPACING for before, after in pairwise(caused))
    assert course.seconds_left(now) <= LATEST
