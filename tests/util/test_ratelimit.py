from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from compartmentd.util.ratelimit import KeyedBuckets, TokenBucket, retune_bucket


@pytest.mark.parametrize(
    ("rate", "burst", "granted"),
    [
        (50.0, None, 50),  # one second of its rate
        (0.5, None, 1),  # at least one
        (20.0, 100.0, 100),  # the join bucket holds rooms_per_session
    ],
)
def test_a_full_bucket_grants_its_burst_and_no_more(rate: float, burst: float | None, granted: int) -> None:
    bucket = TokenBucket(rate, 100.0, burst)
    assert [bucket.take(100.0) for _ in range(granted + 1)] == [True] * granted + [False]


def test_a_bucket_refills_by_its_rate() -> None:
    bucket = TokenBucket(2.0, 0.0)
    assert bucket.take(0.0)
    assert bucket.take(0.0)
    assert not bucket.take(0.4)
    assert bucket.take(0.5)


def test_a_refused_request_costs_nothing() -> None:
    bucket = TokenBucket(1.0, 0.0)
    assert bucket.take(0.0)
    assert not any(bucket.take(0.1 * step) for step in range(1, 10))
    assert bucket.take(1.0)


def test_an_amount_above_the_burst_empties_a_full_bucket() -> None:
    bucket = TokenBucket(1000.0, 0.0)
    assert bucket.take(0.0, 5000)
    assert not bucket.take(0.5, 5000)
    assert bucket.take(1.0, 5000)


@given(
    rate=st.floats(0.1, 1000),
    steps=st.lists(st.tuples(st.floats(0, 2), st.floats(0.1, 10)), max_size=50),
)
def test_never_more_than_burst_plus_rate_times_time(rate: float, steps: list[tuple[float, float]]) -> None:
    bucket = TokenBucket(rate, 0.0)
    now, taken = 0.0, 0.0
    for pause, amount in steps:
        now += pause
        if bucket.take(now, amount):
            taken += min(amount, bucket.burst)
    assert taken <= bucket.burst + rate * now + 1e-6


def test_retuning_keeps_what_was_taken() -> None:
    bucket = TokenBucket(10.0, 0.0)
    for _ in range(10):
        assert bucket.take(0.0)
    retuned = retune_bucket(bucket, 100.0, 0.0)
    assert retuned is bucket
    assert not bucket.take(0.0)
    assert bucket.take(0.01)


def test_unlimited_has_no_bucket() -> None:
    assert retune_bucket(TokenBucket(10.0, 0.0), None, 0.0) is None
    made = retune_bucket(None, 5.0, 0.0)
    assert made is not None
    assert made.burst == 5.0


def test_keys_have_buckets_of_their_own_and_the_oldest_are_forgotten() -> None:
    buckets = KeyedBuckets(rate=1.0, burst=2.0, capacity=2)
    assert [buckets.take("a", 0.0) for _ in range(3)] == [True, True, False]
    assert not buckets.holds("a", 0.5)
    assert buckets.holds("a", 1.0)
    assert buckets.holds("b", 0.0)
    assert len(buckets) == 1  # asking remembers nothing
    buckets.take("b", 0.0)
    buckets.take("a", 0.0)
    buckets.take("c", 0.0)
    assert len(buckets) == 2
    assert not buckets.holds("a", 0.0), "used later than `b`, so it is `b` that is forgotten"
