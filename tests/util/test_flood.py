from __future__ import annotations

from compartmentd.util.flood import Flood


def test_a_connection_that_is_refused_for_ten_seconds_without_a_gap_is_given_up() -> None:
    flood = Flood(0.0)
    answers = [flood.note_refused(0.5 * step) for step in range(1, 21)]
    assert answers == [False] * 19 + [True]


def test_a_second_without_a_refusal_ends_the_run() -> None:
    flood = Flood(0.0)
    assert not flood.note_refused(5.0)
    assert not flood.is_over(6.0)
    assert flood.is_over(6.1)


def test_what_the_rate_lets_through_does_not_end_the_run() -> None:
    flood = Flood(0.0)
    for step in range(1, 1001):
        flood.note_accepted()
        assert not any(flood.note_refused(0.0099 * step) for _ in range(10))
    assert flood.note_refused(10.0)


def test_a_client_that_is_a_little_too_fast_stays() -> None:
    flood = Flood(0.0)
    for step in range(1, 2001):
        flood.note_accepted()
        assert not flood.note_refused(0.01 * step)
