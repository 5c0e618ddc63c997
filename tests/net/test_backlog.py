"""The backlog of a turn, with a clock that work moves and a loop that is turned by hand; and POSTs in it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from compartmentd.net.backlog import BACKLOG_TIME, Backlog
from compartmentd.net.poller import SERVING_TIME, Poller
from compartmentd.protocol.application import Handshake
from compartmentd.protocol.connection import EngineConnection
from compartmentd.protocol.counters import WireCounters
from compartmentd.protocol.options import ConnectionOptions
from compartmentd.transport.counted_networks import CountedNetworks
from compartmentd.transport.options import ServerOptions
from compartmentd.transport.pending import PendingItems
from compartmentd.transport.polling_link import PollingLink

TENTH = BACKLOG_TIME / 9.5
"""What each part may take for ten to fill a turn, whatever rounding does."""


class Loop:
    """A loop, as far as it is asked for, and time."""

    def __init__(self) -> None:
        self.time = 0.0
        self.errors: list[Exception] = []
        self.turns = 0
        self._soon: list[Callable[[], None]] = []
        self.read: Callable[[], None] = lambda: None
        self.backlog = Backlog(self, self.errors.append, lambda: self.time)  # type: ignore[arg-type]

    def add_reader(self, _: int, callback: Callable[[], None]) -> None:
        self.read = callback

    def remove_reader(self, _: int) -> None:
        self.read = lambda: None

    def call_soon(self, callback: Callable[..., None], *given: object) -> None:
        self._soon.append(partial(callback, *given))

    def turn(self) -> float:
        """Do what a turn of a loop does; return how long it took."""
        began, self.turns = self.time, self.turns + 1
        soon, self._soon = self._soon, []
        for callback in soon:
            callback()
        return self.time - began

    def run(self) -> None:
        """Turn until nothing is left."""
        while self._soon:
            self.turn()


class Job:
    """Work in parts, each of which takes `cost` seconds."""

    def __init__(self, loop: Loop, parts: int, *, cost: float = TENTH, fails_at: int = 0) -> None:
        self.done = 0
        self.abandoned = False
        self._loop = loop
        self._parts = parts
        self._cost = cost
        self._fails_at = fails_at

    def proceed(self) -> bool:
        self._loop.time += self._cost
        self.done += 1
        if self.done == self._fails_at:
            raise ZeroDivisionError
        return self.done < self._parts

    def abandon(self) -> None:
        self.abandoned = True


@pytest.mark.parametrize("count", [1, 10, 1000])
def test_all_work_shares_the_time_of_a_turn(count: int) -> None:
    loop = Loop()
    jobs = [Job(loop, 20) for _ in range(count)]
    for job in jobs:
        loop.backlog.add(job)
    while any(job.done < 20 for job in jobs):
        assert loop.turn() <= BACKLOG_TIME + TENTH
        done = [job.done for job in jobs]
        assert max(done) - min(done) <= 1, "round after round"
    assert len(loop.backlog) == 0
    assert loop.turn() == 0.0, "and no turn is asked for any more"


def test_work_that_was_added_twice_proceeds_once_in_a_round() -> None:
    loop = Loop()
    twice, once = Job(loop, 30), Job(loop, 30)
    for job in (twice, once, twice):
        loop.backlog.add(job)
    loop.turn()
    assert (twice.done, once.done) == (5, 5)


def test_what_comes_while_others_wait_has_its_turn_within_a_round() -> None:
    loop = Loop()
    crowd = [Job(loop, 1000) for _ in range(50)]
    for job in crowd:
        loop.backlog.add(job)
    loop.turn()
    newcomer = Job(loop, 1)
    loop.backlog.add(newcomer)
    for _ in range(5):
        assert newcomer.done == 0
        loop.turn()
    loop.turn()
    assert newcomer.done == 1


def test_an_error_ends_its_connection_and_no_other() -> None:
    loop = Loop()
    jobs = [Job(loop, 5), Job(loop, 5, fails_at=2), Job(loop, 5)]
    for job in jobs:
        loop.backlog.add(job)
    loop.run()
    assert [job.done for job in jobs] == [5, 2, 5]
    assert [job.abandoned for job in jobs] == [False, True, False]
    assert [type(error) for error in loop.errors] == [ZeroDivisionError]


def test_part_that_takes_long_is_alone_in_its_turn() -> None:
    loop = Loop()
    jobs = [Job(loop, 3, cost=1.0) for _ in range(3)]
    for job in jobs:
        loop.backlog.add(job)
    assert [loop.turn() for _ in range(9)] == [1.0] * 9


def test_sockets_and_the_backlog_share_the_time_of_what_clients_send() -> None:
    loop = Loop()
    poller = Poller(loop, WireCounters(), lambda: loop.time)  # type: ignore[arg-type]
    until: list[float] = []
    poller._serve = lambda end: bool(until.append(end - loop.time)) or True  # type: ignore[method-assign]
    poller.turn()
    poller.backlog.add(Job(loop, 2))
    poller.turn()
    poller.close()
    assert until == [SERVING_TIME, SERVING_TIME - BACKLOG_TIME]


class Person(EngineConnection):
    """A connection that notes its messages, each of which takes `cost` seconds."""

    cost = TENTH / 16

    def __init__(self, loop: Loop, index: int, shared: Any) -> None:
        self.got: list[bytes] = []
        self.loop = loop
        super().__init__(shared, str(index), Handshake("", {}, {}, secure=False), ConnectionOptions())
        self.posted = 0
        self.link = self.polling = PollingLink(shared, self, ServerOptions())

    def post(self, packets: list[bytes], *, is_read_in_turn: bool = True) -> None:
        body = b"\x1e".join(packets)
        self.polling.post(body, self._note_posted, is_read_in_turn=is_read_in_turn)

    def _note_posted(self) -> None:
        self.posted += 1

    def _take_message(self, packet: bytes) -> None:
        self.loop.time += self.cost
        self.got.append(packet)

    def _take_binary(self, data: bytes) -> None:
        raise AssertionError(data)

    def _take_end(self, reason: str) -> None:
        pass

    def _meet_deadline(self, now: float) -> None:
        raise AssertionError(now)


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def people(loop: Loop) -> list[Person]:
    counters = WireCounters()
    shared = SimpleNamespace(
        counters=counters,
        backlog=loop.backlog,
        networks=CountedNetworks(ServerOptions()),
        pending=PendingItems(counters),
        now=lambda: loop.time,
        disarm=lambda _: None,
        forget=lambda _: None,
    )
    return [Person(loop, index, shared) for index in range(100)]


PACKETS = [b"4%d" % index for index in range(500)]


@pytest.mark.parametrize("is_read_in_turn", [True, False], ids=["poller", "tornado"])
def test_a_hundred_posts_share_the_time_of_a_turn_and_keep_their_order(
    loop: Loop, people: list[Person], is_read_in_turn: bool
) -> None:
    for person in people:
        person.post(PACKETS, is_read_in_turn=is_read_in_turn)
        assert len(person.got) == (16 if is_read_in_turn else 0), (
            "the poller's time bounds what is taken at once"
        )
    while not all(person.posted for person in people):
        assert loop.turn() <= BACKLOG_TIME + TENTH
        got = [len(person.got) for person in people]
        assert max(got) - min(got) <= 16
    assert all(person.got == PACKETS and person.posted == 1 for person in people)


def test_a_short_post_is_taken_at_once_whoever_waits(loop: Loop, people: list[Person]) -> None:
    *crowd, honest = people
    for person in crowd:
        person.post(PACKETS)
    honest.post([b"4hello"])
    assert (honest.got, honest.posted) == ([b"4hello"], 1)


def test_a_post_on_hold_waits_without_a_turn_and_goes_on_in_its_order(
    loop: Loop, people: list[Person]
) -> None:
    person, *_ = people
    person.post(PACKETS)
    person.hold()
    loop.run()
    assert (len(person.got), person.posted) == (16, 0)
    person.resume()
    loop.run()
    assert (person.got, person.posted) == (PACKETS, 1)


def test_a_post_whose_session_ends_while_it_waits_is_answered_at_once(
    loop: Loop, people: list[Person]
) -> None:
    person, *_ = people
    person.post(PACKETS)
    person.polling.cut()
    assert (len(person.got), person.posted) == (16, 1)
    loop.run()
    assert (len(person.got), person.posted) == (16, 1)
