"""Turns of the poller, with a clock that callbacks move and a loop that is turned by hand."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from compartmentd.net.poller import CLOSING_TIME, SERVING_TIME, Poller
from compartmentd.protocol.counters import WireCounters

FIFTIETH = SERVING_TIME / 49.5
"""What each may take for fifty to fill a turn, whatever rounding does."""


class World:
    """A loop, as far as it is asked for, and time."""

    def __init__(self) -> None:
        self.time = 0.0
        self.counters = WireCounters()
        self._soon: list[Callable[[], None]] = []
        self._turn: Callable[[], None] = lambda: None
        self._sockets: list[socket.socket] = []
        self.ready = Poller(self, self.counters, lambda: self.time)  # type: ignore[arg-type]

    def add_reader(self, _: int, callback: Callable[[], None]) -> None:
        self._turn = callback

    def remove_reader(self, _: int) -> None:
        self._turn = lambda: None

    def call_soon(self, callback: Callable[..., None], *given: object) -> None:
        self._soon.append(partial(callback, *given))

    def turn(self) -> float:
        """Do what a turn of a loop does, and return how long it took."""
        began = self.time
        self._turn()
        soon, self._soon = self._soon, []
        for callback in soon:
            callback()
        return self.time - began

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Return the two ends of a connection."""
        ends = socket.socketpair()
        for end in ends:
            end.setblocking(False)
        self._sockets += ends
        return ends

    def close(self) -> None:
        self.ready.close()
        for sock in self._sockets:
            sock.close()


class Reader:
    """Reads from a socket, some bytes each time, which takes `cost` seconds; stops at the end."""

    def __init__(self, world: World, *, cost: float, size: int = 100) -> None:
        self.ours, self.client = world.pair()
        self.got: list[bytes] = []
        self._world = world
        self._cost = cost
        self._size = size
        world.ready.add_reader(self.ours, self.read)

    def read(self) -> None:
        data = self.ours.recv(self._size)
        self.got.append(data)
        self._world.time += self._cost
        if not data:
            self.stop()

    def stop(self) -> None:
        self._world.ready.remove_reader(self.ours)
        self.ours.close()


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def readers(world: World, count: int, *, cost: float, size: int = 100) -> list[Reader]:
    return [Reader(world, cost=cost, size=size) for _ in range(count)]


def test_a_turn_ends_in_time_and_the_next_one_begins_with_the_sockets_that_were_not_reached(world: World):
    crowd = readers(world, 300, cost=FIFTIETH)
    for reader in crowd:
        reader.client.send(b"x")
    served = []
    for _ in range(6):
        assert SERVING_TIME <= world.turn() <= SERVING_TIME + FIFTIETH
        served.append([bool(reader.got) for reader in crowd].count(True))
    assert served == [50, 100, 150, 200, 250, 300]
    assert all(reader.got == [b"x"] for reader in crowd)


def test_a_client_that_never_stops_sending_does_not_keep_the_others_waiting(world: World):
    crowd = readers(world, 300, cost=FIFTIETH, size=1)
    for reader in crowd:
        reader.client.send(b"x" * 100)
    for _ in range(60):
        world.turn()
    assert {len(reader.got) for reader in crowd} == {10}


def test_one_that_always_has_more_is_read_once_in_a_turn(world: World):
    [reader] = readers(world, 1, cost=0, size=1)
    reader.client.send(b"xyz")
    world.turn()
    assert reader.got == [b"x"]


def test_clients_that_stay_are_served_before_a_crowd_that_left_which_is_closed_in_parts(world: World):
    leaving = readers(world, 30, cost=CLOSING_TIME / 10)
    [talking] = readers(world, 1, cost=CLOSING_TIME / 10)
    for reader in leaving:
        reader.client.close()
    talking.client.send(b"x")
    order: list[Reader] = []
    left = []
    for _ in range(5):
        assert world.ready.has_ended_sockets is (0 < len(left) < 5)
        assert world.turn() <= 2 * CLOSING_TIME
        left.append(sum(reader.got == [b""] for reader in leaving))
        order += [reader for reader in leaving if reader.got and reader not in order]
        assert talking.got == [b"x"]
    assert left == [10, 10, 20, 20, 30], "others are answered between two parts"
    assert order == leaving, "as they left"
    assert not world.ready.has_ended_sockets


def test_an_ended_socket_is_closed_also_while_others_use_every_turn_up(world: World):
    talking, leaving = readers(world, 200, cost=FIFTIETH, size=1), readers(world, 30, cost=CLOSING_TIME / 10)
    for reader in leaving:
        reader.client.close()
    for reader in talking:
        reader.client.send(b"x" * 100)
    for _ in range(15):
        assert world.turn() <= (SERVING_TIME + FIFTIETH) + (CLOSING_TIME + CLOSING_TIME / 10)
    assert all(reader.got for reader in leaving)


def test_what_a_client_sent_before_it_left_is_read_to_the_end(world: World):
    [reader] = readers(world, 1, cost=0, size=2)
    reader.client.send(b"abcde")
    reader.client.close()
    for _ in range(10):
        world.turn()
    assert reader.got == [b"ab", b"cd", b"e", b""]
    assert not world.ready.has_ended_sockets


def test_a_client_that_has_closed_its_side_alone_still_takes_what_is_queued(world: World):
    [reader] = readers(world, 1, cost=0)
    written: list[int] = []
    while True:  # until the kernel takes no more
        try:
            reader.ours.send(b"x" * 65536)
        except BlockingIOError:
            break
    world.ready.add_writer(reader.ours, lambda: written.append(1))
    reader.stop = lambda: world.ready.remove_reader(reader.ours)  # type: ignore[method-assign]
    reader.client.shutdown(socket.SHUT_WR)
    world.turn()
    assert reader.got == [b""]
    written.clear()
    world.turn()
    assert not written, "nothing was taken yet"
    while True:
        try:
            reader.client.recv(1 << 20)
        except BlockingIOError:
            break
    world.turn()
    assert written == [1]
    world.ready.remove_writer(reader.ours)
    world.turn()
    assert written == [1]


def test_what_is_removed_is_not_called_though_it_was_ready_or_had_left(world: World):
    crowd = readers(world, 4, cost=0)
    crowd[0].read = lambda: [reader.stop() for reader in crowd]  # type: ignore[method-assign, assignment, return-value]
    world.ready.add_reader(crowd[0].ours, crowd[0].read)
    for reader in crowd[:3]:
        reader.client.send(b"x")
    crowd[3].client.close()
    for _ in range(3):
        world.turn()
    assert [reader.got for reader in crowd] == [[]] * 4
    assert not world.ready.has_ended_sockets


def test_a_descriptor_that_has_another_owner_is_watched_anew(world: World):
    leaving = readers(world, 2, cost=CLOSING_TIME)
    for reader in leaving:
        reader.client.close()
    world.turn()
    assert leaving[0].got == [b""]
    assert not leaving[1].got
    number = leaving[1].ours.fileno()
    leaving[1].stop()
    assert not world.ready.has_ended_sockets
    taken = [Reader(world, cost=0) for _ in range(2)]
    assert number in {reader.ours.fileno() for reader in taken}, "the kernel gives the lowest that is free"
    for reader in taken:
        reader.client.send(b"y")
    world.turn()
    assert [reader.got for reader in taken] == [[b"y"]] * 2
    assert not leaving[1].got


@pytest.mark.parametrize("leaves", [False, True])
def test_an_error_is_counted_and_told_and_costs_the_others_nothing(
    world: World, caplog: pytest.LogCaptureFixture, *, leaves: bool
):
    crowd = readers(world, 3, cost=0)

    def fail() -> None:
        crowd[1].stop()
        raise ZeroDivisionError

    world.ready.add_reader(crowd[1].ours, fail)
    for reader in crowd:
        if leaves:
            reader.client.close()
        else:
            reader.client.send(b"x")
    world.turn()
    assert [len(reader.got) for reader in crowd] == [1, 0, 1]
    assert world.counters.errors == 1
    assert "ZeroDivisionError" in caplog.text


def test_reader_and_writer_of_one_socket_come_and_go_by_themselves(world: World):
    ours, client = world.pair()
    calls: list[str] = []
    client.send(b"x")

    def turned() -> list[str]:
        calls.clear()
        world.turn()
        return calls

    def reads() -> None:
        calls.append("read")

    def writes() -> None:
        calls.append("write")

    world.ready.add_writer(ours, writes)
    assert turned() == ["write"]
    world.ready.add_reader(ours, reads)
    assert turned() == ["write", "read"]
    world.ready.remove_writer(ours)
    assert turned() == ["read"]
    world.ready.add_writer(ours, writes)
    world.ready.remove_reader(ours)
    assert turned() == ["write"]
    world.ready.remove_writer(ours)
    world.ready.remove_writer(ours)
    assert turned() == []


def test_closing_twice_is_closing(world: World):
    world.ready.close()
    world.ready.close()
    assert world.turn() == 0


def test_a_socket_that_is_closed_while_it_is_watched_keeps_no_other_waiting(world: World):
    """That is an error of ours, and must cost its own connection alone: who has left lets nobody new in."""
    wrong, *others = [Reader(world, cost=0.0) for _ in range(3)]
    wrong.stop = wrong.ours.close  # type: ignore[method-assign]  # without a word to anybody
    for reader in (wrong, *others):
        reader.client.close()
    for _ in range(3):
        world.turn()
    assert [reader.got for reader in others] == [[b""], [b""]]
    assert not world.ready.has_ended_sockets
    assert world.counters.errors == 1
    again = Reader(world, cost=0.0)  # gets the number
    again.client.send(b"x")
    world.turn()
    assert again.got == [b"x"]
