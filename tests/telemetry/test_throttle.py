from __future__ import annotations

from hypothesis import given, strategies as st

from compartmentd.telemetry.throttle import BURST, RATE, TOLD_EVERY, Throttle


def test_the_first_lines_of_a_kind_are_all_written() -> None:
    throttle = Throttle()
    assert [throttle.admits("a", 0.0) for _ in range(int(BURST) + 2)] == [True] * int(BURST) + [False] * 2
    assert throttle.admits("b", 0.0), "another kind has its own"


def test_a_kind_that_was_asked_for_has_more() -> None:
    throttle = Throttle(rate=1.0, burst=2.0)
    assert [throttle.admits("a", 0.0, 3.0) for _ in range(7)] == [True] * 6 + [False]
    assert [throttle.admits("a", 1.0, 3.0) for _ in range(4)] == [True] * 3 + [False]


def test_what_is_left_out_is_told_once_some_time_later() -> None:
    throttle = Throttle(rate=1.0, burst=1.0)
    admitted = [throttle.admits("a", 100.0) for _ in range(4)]
    assert admitted == [True, False, False, False]
    assert throttle.collect_left_out(100.0 + TOLD_EVERY - 0.1) == []
    assert throttle.collect_left_out(100.0 + TOLD_EVERY) == [("a", 3)]
    assert throttle.collect_left_out(100.0 + 2 * TOLD_EVERY) == []
    assert throttle.left_out == 3


def test_at_the_end_all_is_told() -> None:
    throttle = Throttle(rate=1.0, burst=1.0)
    assert [throttle.admits("a", 0.0), throttle.admits("a", 0.0)] == [True, False]
    assert throttle.collect_left_out(0.0, all_of_them=True) == [("a", 1)]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 0.5)), max_size=300))
def test_every_line_is_written_or_counted_and_no_kind_exceeds_its_rate(
    lines: list[tuple[str, float]],
) -> None:
    throttle, now = Throttle(), 0.0
    written = dict.fromkeys("abc", 0)
    for kind, pause in lines:
        now += pause
        written[kind] += throttle.admits(kind, now)
    counted = sum(count for _, count in throttle.collect_left_out(now, all_of_them=True))
    assert sum(written.values()) + counted == len(lines)
    assert counted == throttle.left_out
    assert all(count <= BURST + RATE * now + 1 for count in written.values())
