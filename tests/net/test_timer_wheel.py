"""The timer wheel, compared with a list of timers."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given, strategies as st

from compartmentd.net.timer_wheel import AT_ONCE, RESOLUTION, TimerWheel


class Alarm:
    """A timer that notes when it was woken, and goes on as it is told."""

    def __init__(self, again: float | None = None) -> None:
        self.due = inf
        self.woken: list[float] = []
        self.again = again

    def tick(self, now: float) -> float | None:
        self.woken.append(now)
        return None if self.again is None else now + self.again


def test_the_next_slot_is_never_early_and_little_late():
    wheel = TimerWheel()
    assert wheel.next is None
    wheel.arm(Alarm(), 12.345)
    assert wheel.next is not None
    assert 12.345 <= wheel.next <= 12.345 + RESOLUTION


def test_an_earlier_time_replaces_a_later_one_and_not_the_other_way():
    wheel, alarm = TimerWheel(), Alarm()
    wheel.arm(alarm, 10)
    wheel.arm(alarm, 20)
    wheel.arm(alarm, 5)
    wheel.turn(7)
    assert alarm.woken == [7]
    wheel.turn(30)
    assert alarm.woken == [7], "what was left over wakes nobody"


def test_a_timer_that_goes_on():
    wheel, alarm = TimerWheel(), Alarm(again=1)
    wheel.arm(alarm, 1)
    for second in range(1, 6):
        wheel.turn(second + 0.5)
    assert len(alarm.woken) == 5


def test_an_infinite_time_is_never():
    wheel, alarm = TimerWheel(), Alarm()
    wheel.arm(alarm, inf)
    assert wheel.next is None


def test_a_timer_that_fails_stops_no_other(caplog: pytest.LogCaptureFixture):
    class Failing(Alarm):
        def tick(self, now: float) -> float | None:
            raise ZeroDivisionError(now)

    wheel, alarm = TimerWheel(), Alarm()
    wheel.arm(Failing(), 1)
    wheel.arm(alarm, 1)
    wheel.turn(2)
    assert alarm.woken == [2]
    assert "ZeroDivisionError" in caplog.text


def test_only_so_many_are_woken_in_one_turn_and_the_others_are_still_due():
    wheel = TimerWheel()
    alarms = [Alarm() for _ in range(2 * AT_ONCE + 1)]
    for alarm in alarms:
        wheel.arm(alarm, 1)
    for woken in (AT_ONCE, 2 * AT_ONCE, 2 * AT_ONCE + 1):
        assert wheel.next is not None
        assert wheel.next <= 2
        wheel.turn(2)
        assert sum(len(alarm.woken) for alarm in alarms) == woken
    assert all(alarm.woken == [2] for alarm in alarms)
    assert wheel.next is None


def test_a_timer_that_is_over_is_let_go_of():
    wheel, over, other = TimerWheel(), Alarm(), Alarm()
    wheel.arm(over, 1)
    wheel.arm(other, 1)
    wheel.disarm(over)
    wheel.disarm(over)
    assert over.due == inf
    assert len(wheel) == 1
    wheel.turn(2)
    assert (over.woken, other.woken) == ([], [2])
    wheel.arm(over, 3)
    wheel.turn(4)
    assert over.woken == [4], "it may begin anew"


def test_a_timer_may_end_another_that_is_due_with_it():
    wheel, first, second = TimerWheel(), Alarm(), Alarm()

    class Ending(Alarm):
        def tick(self, now: float) -> float | None:
            wheel.disarm(first)
            wheel.disarm(second)
            return super().tick(now)

    ending = Ending()
    for alarm in (first, ending, second):
        wheel.arm(alarm, 1)
    wheel.turn(2)
    assert ending.woken == [2]
    assert len(first.woken) + len(second.woken) == 1, "whoever came before it"
    assert len(wheel) == 0


def test_an_earlier_time_moves_a_timer_and_leaves_nothing_behind():
    wheel, alarm = TimerWheel(), Alarm()
    wheel.arm(alarm, 10)
    wheel.arm(alarm, 5)
    assert len(wheel) == 1


@given(st.lists(st.floats(0, 100), max_size=30), st.lists(st.floats(0, 120), max_size=10))
def test_every_timer_is_woken_once_and_in_time(times: list[float], turns: list[float]):
    wheel = TimerWheel()
    alarms = [(at, Alarm()) for at in times]
    for at, alarm in alarms:
        wheel.arm(alarm, at)
    for now in sorted(turns):
        wheel.turn(now)
        for at, alarm in alarms:
            assert alarm.woken or at > now - RESOLUTION - 1e-9
            assert not alarm.woken or alarm.woken[0] >= at - 1e-9
    wheel.turn(200)
    assert all(len(alarm.woken) == 1 for _, alarm in alarms)
    assert wheel.next is None
