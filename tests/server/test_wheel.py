"""The timer wheel against the plainest of its kind."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given, strategies as st

from compartmentd.server.wheel import RESOLUTION, TimerWheel


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
