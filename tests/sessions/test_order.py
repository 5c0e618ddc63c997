"""Order: each client gets acks and messages in the order in which their causes were handled, batched or not."""

from __future__ import annotations

import gc
import itertools
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from compartmentd.protocol.application import Handshake
from compartmentd.protocol.lifecycle import Phase
from compartmentd.protocol.multiplex import SocketConnection
from compartmentd.protocol.options import ConnectionOptions
from compartmentd.protocol.websocket import BINARY, TEXT
from compartmentd.snapshot import Snapshot
from tests.support.fakes import FakeHost, FakeLink
from tests.support.world import World

CONFIGURATION = """
version: 1
limits: {message_rate: 1000/s}
namespaces:
  /:
    connect: public
    publish: public
    events: [message]
    rooms:
      "room:{name}":
        join: public
        publish: members
        events: [message]
      "echo:{name}":
        join: public
        publish: members
        echo: true
        events: [message]
"""
ROOMS = ["room:a", "room:b", "echo:c"]
PEOPLE = 8
"""Enough for a room to be a crowd, whose messages of a turn are batched."""


class Person:
    """A client on a real connection: what it should have got, and how to read what it got."""

    def __init__(self, world: World, binary: bool) -> None:
        self.host = FakeHost()
        self.connection = SocketConnection(
            self.host, "sid", Handshake("192.0.2.1", {}, {}), ConnectionOptions(), world.hub
        )
        self.connection.link = FakeLink()
        self.connection.phase = Phase.WEBSOCKET
        self.form = "frames" if binary else "payload"
        self.expected: list[Any] = []
        self.got: list[Any] = []
        self._ids = itertools.count()
        self.say("40")
        self.turn()
        self.got.clear()

    def say(self, packet: str) -> None:
        self.connection.receive([(TEXT, packet.encode())])

    def ask(self, *event: Any) -> None:
        number = next(self._ids)
        self.say(f"42{number}{json.dumps(event)}")
        self.expected.append(number)

    def attach(self, room: str, data: int) -> None:
        """Publish data beside bytes, in two packets."""
        number = next(self._ids)
        placeholder = '{"_placeholder":true,"num":0}'
        self.say(f'451-{number}["publish","{room}","message",[{data},{placeholder}]]')
        self.connection.receive([(BINARY, b"bytes")])
        self.expected.append(number)

    def leave(self) -> None:
        """Go, after nothing went wrong."""
        assert self.host.counters.errors == 0
        self.connection.lost("transport close")
        assert self.host.counters.errors == 0

    def turn(self) -> None:
        """Read what was sent in this turn: acks by their number, messages by their data."""
        read = b"".join(getattr(message, self.form) + b" " for message in self.connection.out).decode(
            "latin-1"
        )
        self.connection.out.clear()
        for ack, data in re.findall(r'43(\d+)\[|4(?:2|51-)\["message",\[?(\d+),', read):
            self.got.append(int(ack) if ack else data)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    directory: Path = tmp_path_factory.mktemp("order")
    return World(directory, CONFIGURATION)


def later(snapshot: Snapshot) -> Snapshot:
    """Return what a reload makes that changes nothing."""
    return msgspec.structs.replace(snapshot, generation=snapshot.generation + 1)


who, where = st.integers(0, PEOPLE - 1), st.sampled_from(ROOMS)
actions = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), who, where),
        st.tuples(st.just("burst"), who, where),
        st.tuples(st.sampled_from(["join", "leave"]), who, where),
        st.tuples(st.sampled_from(["turn", "reload", "judge one", "judge all"]), who, where),
        st.tuples(st.sampled_from(["attached", "to all"]), who, where),
    ),
    min_size=5,
    max_size=60,
)


@given(actions)
@settings(max_examples=200, deadline=None)
def test_everybody_gets_everything_in_order_and_nothing_else(world: World, actions: list[Any]):
    people = [Person(world, binary=number % 2 == 0) for number in range(PEOPLE)]
    members: dict[str, dict[int, None]] = {room: dict.fromkeys(range(PEOPLE)) for room in ROOMS}
    for person, room in itertools.product(people, ROOMS):
        person.ask("join", room)
    numbers = itertools.count()
    for what, number, room in actions:
        person, inside = people[number], members[room]
        if what == "turn":
            for anyone in people:
                anyone.turn()
        elif what == "reload":
            world.hub.swap(later(world.hub.snapshot))
        elif what.startswith("judge"):
            while not world.hub.judge_some(0.0) and what == "judge all":
                pass
        elif what == "join":
            person.ask("join", room)
            inside[number] = None
        elif what == "leave":
            person.ask("leave", room)
            inside.pop(number, None)
        else:
            for _ in range(3 if what == "burst" else 1):
                data = next(numbers)
                to = range(PEOPLE) if what == "to all" else inside if number in inside else ()
                for other in to:
                    if other != number or (room.startswith("echo") and what != "to all"):
                        people[other].expected.append(str(data))
                if what == "attached":
                    person.attach(room, data)
                else:
                    person.ask("publish", None if what == "to all" else room, "message", data)
    while not world.hub.judge_some(1.0):
        pass
    for person in people:
        person.turn()
        assert person.got == person.expected
        person.leave()


def test_a_burst_is_queued_once(world: World):
    people = [Person(world, binary=True) for _ in range(PEOPLE)]
    for person in people:
        person.ask("join", "room:a")
        person.turn()
    for data in range(100):
        people[0].ask("publish", "room:a", "message", data)
    # Of the sender's acks the first two stand alone (one was decided on, the next is no burst yet); the others are
    # runs, of ids of one, two and three digits.
    assert [len(person.connection.out) for person in people] == [5, *[1] * (PEOPLE - 1)]
    for person in people:
        person.turn()
    assert people[0].got == people[0].expected
    assert all(person.got == [0, *map(str, range(100))] for person in people[1:])
    for person in people:
        person.leave()


@pytest.mark.parametrize(("first", "then", "expected"), [("leave", "join", ["1"]), ("join", "leave", ["0"])])
def test_whoever_comes_or_goes_in_the_middle_of_a_burst_gets_its_part(
    world: World, first: str, then: str, expected: list[str]
):
    people = [Person(world, binary=True) for _ in range(PEOPLE)]
    for person in people:
        person.ask("join", "room:a")
        person.ask("publish", "room:a", "message", 9)  # decided here, remembered below
    people[1].ask(first, "room:a")
    for person in people:
        person.turn()
        person.got.clear()
    people[0].ask("publish", "room:a", "message", 0)
    people[1].ask(then, "room:a")
    people[0].ask("publish", "room:a", "message", 1)
    people[1].turn()
    assert [got for got in people[1].got if isinstance(got, str)] == expected
    for person in people:
        person.leave()


def test_whoever_had_a_burst_is_forgotten_after_it(world: World):
    people = [Person(world, binary=True) for _ in range(PEOPLE)]
    for person in people:
        person.ask("join", "room:a")
    for data in range(3):
        people[0].ask("publish", "room:a", "message", data)
    for person in people:
        person.leave()
    del people, person
    world.tick(0.1)
    assert [it for it in gc.get_objects() if isinstance(it, SocketConnection)] == []
