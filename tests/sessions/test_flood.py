from __future__ import annotations

from compartmentd.sessions.flood import Flood


def test_a_connection_that_is_refused_for_ten_seconds_without_a_gap_is_given_up() -> None:
    flood = Flood(0.0)
    answers = [flood.refused(0.5 * step) for step in range(1, 21)]
    assert answers == [False] * 19 + [True]


def test_a_second_without_a_refusal_begins_anew() -> None:
    flood = Flood(0.0)
    assert not any(flood.refused(0.5 * step) for step in range(1, 19))
    assert not flood.refused(10.6)
    assert not flood.refused(11.0)
