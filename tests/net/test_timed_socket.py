"""Sockets that wait for a step of their clients: in which order, when and how many at once are closed."""

from __future__ import annotations

from typing import Any, cast

from compartmentd.net.client_socket import NoEntry
from compartmentd.net.timed_socket import _AT_ONCE, TimedSocket, TimedSockets


class Watch:
    """A poller that watches nothing, and timers that only note what is armed."""

    def __init__(self) -> None:
        self.time = 0.0
        self.armed: list[float] = []

    def remove_reader(self, sock: object) -> None: ...

    def remove_writer(self, sock: object) -> None: ...

    def now(self) -> float:
        return self.time

    def arm(self, timer: Any, at: float) -> None:
        timer.due = at
        self.armed.append(at)

    def disarm(self, timer: Any) -> None:
        timer.due = float("inf")


class Plug:
    """A socket that notes its end."""

    def __init__(self, number: int, ended: list[int]) -> None:
        self.entry = NoEntry()
        self._number = number
        self._ended = ended

    def close(self) -> None:
        self._ended.append(self._number)


class Room:
    """A group of sockets that wait, each with a number."""

    def __init__(self, timeout: float) -> None:
        self.watch = Watch()
        self.group = TimedSockets(cast(Any, self.watch), cast(Any, self.watch), timeout)
        self.ended: list[int] = []
        self._count = 0

    def enter(self, at: float) -> TimedSocket:
        self.watch.time = at
        self._count += 1
        return TimedSocket(self.group, cast(Any, Plug(self._count, self.ended)))

    def turn(self, at: float) -> float | None:
        """Let the timer wake the group, and arm it again as the wheel does."""
        self.watch.time = at
        self.group.due = float("inf")
        again = self.group.tick(at)
        if again is not None:
            self.watch.arm(self.group, again)
        return again


def test_each_is_closed_when_its_own_time_is_over_by_one_timer_for_all() -> None:
    room = Room(10)
    for at in (0, 3, 7):
        room.enter(at)
    assert room.watch.armed == [10]
    assert (room.turn(10), room.ended) == (13, [1])
    assert (room.turn(13), room.ended) == (17, [1, 2])
    assert (room.turn(17), room.ended) == (None, [1, 2, 3])


def test_one_that_waits_no_more_is_not_closed() -> None:
    room = Room(10)
    first = room.enter(0)
    room.enter(4)
    first._release()
    assert (room.turn(10), room.ended, len(room.group)) == (14, [], 1)


def test_one_that_is_dropped_is_closed_once() -> None:
    room = Room(10)
    first = room.enter(0)
    for _ in range(2):
        first.drop()
    first.shed()
    assert (room.ended, len(room.group)) == ([1], 0)


def test_a_shorter_time_counts_for_those_that_wait_already() -> None:
    room = Room(10)
    room.enter(0)
    room.group.timeout = 2
    room.enter(4)
    assert room.watch.armed == [10, 6], "the timer comes earlier, for both"
    assert (room.turn(6), room.ended) == (None, [1, 2])


def test_a_longer_time_counts_for_those_that_wait_already() -> None:
    room = Room(10)
    room.enter(0)
    room.group.timeout = 20
    room.enter(4)
    assert (room.turn(10), room.ended) == (20, [])
    assert (room.turn(20), room.ended) == (24, [1])


def test_a_crowd_is_closed_in_turns() -> None:
    room = Room(10)
    for _ in range(_AT_ONCE + 1):
        room.enter(0)
    assert room.turn(10) == 10, "the rest is due now"
    assert len(room.ended) == _AT_ONCE
    assert room.turn(10) is None
    assert len(room.group) == 0


def test_closing_closes_all() -> None:
    room = Room(10)
    for at in range(3):
        room.enter(at)
    room.group.close()
    assert (sorted(room.ended), room.group.due) == ([1, 2, 3], float("inf"))
