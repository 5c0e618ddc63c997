from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from compartmentd.sessions.limits import Bucket, Flood, tuned


@pytest.mark.parametrize(
    ("rate", "burst", "granted"),
    [
        (50.0, None, 50),  # one second of its rate
        (0.5, None, 1),  # at least one
        (20.0, 100.0, 100),  # the join bucket holds rooms_per_session
    ],
)
def test_a_full_bucket_grants_its_burst_and_no_more(rate: float, burst: float | None, granted: int) -> None:
    bucket = Bucket(rate, 100.0, burst)
    assert [bucket.take(100.0) for _ in range(granted + 1)] == [True] * granted + [False]


def test_a_bucket_refills_by_its_rate() -> None:
    bucket = Bucket(2.0, 0.0)
    assert bucket.take(0.0)
    assert bucket.take(0.0)
    assert not bucket.take(0.4)
    assert bucket.take(0.5)


def test_a_refused_request_costs_nothing() -> None:
    bucket = Bucket(1.0, 0.0)
    assert bucket.take(0.0)
    assert not any(bucket.take(0.1 * step) for step in range(1, 10))
    assert bucket.take(1.0)


def test_an_amount_above_the_burst_empties_a_full_bucket() -> None:
    bucket = Bucket(1000.0, 0.0)
    assert bucket.take(0.0, 5000)
    assert not bucket.take(0.5, 5000)
    assert bucket.take(1.0, 5000)


@given(
    rate=st.floats(0.1, 1000),
    steps=st.lists(st.tuples(st.floats(0, 2), st.floats(0.1, 10)), max_size=50),
)
def test_never_more_than_burst_plus_rate_times_time(rate: float, steps: list[tuple[float, float]]) -> None:
    bucket = Bucket(rate, 0.0)
    now, taken = 0.0, 0.0
    for pause, amount in steps:
        now += pause
        if bucket.take(now, amount):
            taken += min(amount, bucket.burst)
    assert taken <= bucket.burst + rate * now + 1e-6


def test_retuning_keeps_what_was_taken() -> None:
    bucket = Bucket(10.0, 0.0)
    for _ in range(10):
        assert bucket.take(0.0)
    retuned = tuned(bucket, 100.0, 0.0)
    assert retuned is bucket
    assert not bucket.take(0.0)
    assert bucket.take(0.01)


def test_unlimited_has_no_bucket() -> None:
    assert tuned(Bucket(10.0, 0.0), None, 0.0) is None
    made = tuned(None, 5.0, 0.0)
    assert made is not None
    assert made.burst == 5.0


def test_a_connection_that_is_refused_for_ten_seconds_without_a_gap_is_given_up() -> None:
    flood = Flood(0.0)
    answers = [flood.refused(0.5 * step) for step in range(1, 21)]
    assert answers == [False] * 19 + [True]


def test_a_second_without_a_refusal_begins_anew() -> None:
    flood = Flood(0.0)
    assert not any(flood.refused(0.5 * step) for step in range(1, 19))
    assert not flood.refused(10.6)
    assert not flood.refused(11.0)
