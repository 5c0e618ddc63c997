"""Order: each client gets acks and messages in the order in which their causes were handled, batched or not."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import re
import socket
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from compartmentd.configuration.snapshot import Snapshot
from compartmentd.net.client_socket import NoEntry
from compartmentd.protocol import socketio
from compartmentd.protocol.application import Handshake
from compartmentd.protocol.lifecycle import Phase
from compartmentd.protocol.multiplex import SocketConnection
from compartmentd.protocol.options import ConnectionOptions
from compartmentd.protocol.websocket import BINARY, TEXT
from compartmentd.transport.connections import Connections
from compartmentd.transport.options import ServerOptions
from compartmentd.transport.polling_link import PollingLink
from compartmentd.transport.websocket_link import WebSocketLink
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


class Counting:
    """A socket that counts the calls of `send`, and takes no more than `most` bytes at each."""

    def __init__(self, sock: socket.socket, most: int) -> None:
        self._sock = sock
        self._most = most
        self.sends = 0
        self.entry = NoEntry()
        self.fileno, self.recv_into = sock.fileno, sock.recv_into
        self.shutdown, self.close = sock.shutdown, sock.close

    def send(self, data: bytes | bytearray, /) -> int:
        self.sends += 1
        return self._sock.send(data[: self._most])


class Person(ABC):
    """A client on a real connection: what it should have got, and what it got."""

    def __init__(self, context: EvaluationContext) -> None:
        self.connections = context.connections
        self.connection = SocketConnection(
            context.connections, "sid", Handshake("192.0.2.1", {}, {}), ConnectionOptions(), context.world.hub
        )
        self.expected: list[Any] = []
        self.received = b""
        self._ids = itertools.count()
        self.begin()
        self.connection.start_heartbeat()
        self.say("40")

    @abstractmethod
    def begin(self) -> None:
        """Give the connection its link."""

    @abstractmethod
    def fetch(self) -> None:
        """Take what has come."""

    @abstractmethod
    def end(self) -> None:
        """Go."""

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

    @property
    def got(self) -> list[Any]:
        """The acks by their number, the messages by their data."""
        found = re.findall(rb'43(\d+)\[|4(?:2|51-)\["message",\[?(\d+),', self.received)
        return [int(ack) if ack else data.decode() for ack, data in found]


class Listener(Person):
    """One on a WebSocket."""

    text_only = False
    most = 1 << 20
    """Bytes that it takes at once."""

    def begin(self) -> None:
        self.far, near = socket.socketpair()
        self.far.setblocking(False)
        near.setblocking(False)
        self.sock = Counting(near, self.most)
        self.link = WebSocketLink(
            self.connections,
            self.sock,
            self.connection,
            options=ServerOptions(max_payload=1 << 20, first_payload=1 << 20),
            send_buffer=1 << 20,
            text_only=self.text_only,
        )
        self.connection.link, self.connection.phase = self.link, Phase.WEBSOCKET
        self.link.start(b"")

    def fetch(self) -> None:
        with suppress(BlockingIOError):
            while data := self.far.recv(1 << 16):
                self.received += data

    def end(self) -> None:
        self.connection.note_lost("transport close")
        self.link.abort()
        self.far.close()


class SlowListener(Listener):
    """One that is behind whenever something comes."""

    most = 7


class TextListener(Listener):
    """One that takes no binary frames, for which its messages are put together in another way."""

    text_only = True


class Poller(Person):
    """One on polling, who polls when it fetches, and holds that poll until the next thing comes."""

    def begin(self) -> None:
        self.link = PollingLink(self.connections, self.connection, ServerOptions())
        self.connection.link, self.connection.phase = self.link, Phase.POLLING
        self._polls = False

    def fetch(self) -> None:
        if not self._polls:
            self._polls = True
            self.link.poll(self._polled)

    def _polled(self, payload: bytes | None) -> None:
        if payload is None:
            assert self.connection.phase is Phase.CLOSED
            return  # and polls no more
        self.received += payload
        self._polls = False

    def end(self) -> None:
        self.connection.note_lost("transport close")
        self.link.abort()


class EvaluationContext:
    """People of every kind on one server."""

    def __init__(self, world: World, kinds: Sequence[type[Person]]) -> None:
        self.world = world
        self.connections = Connections(lambda *_: None, ServerOptions())  # type: ignore[arg-type, return-value]
        self.people = [kind(self) for kind in kinds]

    async def turn(self) -> None:
        """Let everything leave that waits, and be fetched."""
        for _ in range(3):  # a poll may hold the last of it: the one before had what came earlier
            while self.connections.dirty or any(person.connection.link.unsent for person in self.people):
                await asyncio.sleep(0)
                for person in self.people:
                    person.fetch()
            for person in self.people:
                person.fetch()

    def leave(self) -> None:
        """Let everyone go, after nothing went wrong."""
        for person in self.people:
            person.end()
        self.connections.stop()
        assert self.connections.counters.errors == 0


EVERY_KIND = [Listener, Listener, Listener, SlowListener, Poller, Poller, TextListener, SlowListener]
PEOPLE = len(EVERY_KIND)
"""Enough for a room to be a crowd, whose messages of a turn are batched."""


@asynccontextmanager
async def people_of(
    world: World, kinds: Sequence[type[Person]] = EVERY_KIND
) -> AsyncIterator[EvaluationContext]:
    """Yield a context whose people have connected."""
    world.clock.advance(60.0)  # what those before took of their rates has come back
    context = EvaluationContext(world, kinds)
    try:
        await context.turn()
        yield context
    finally:
        context.leave()


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
        st.tuples(st.sampled_from(["turn", "fetch", "reload", "judge one", "judge all"]), who, where),
        st.tuples(st.sampled_from(["attached", "to all"]), who, where),
    ),
    min_size=5,
    max_size=60,
)


@given(actions)
@settings(max_examples=200, deadline=None)
def test_everybody_gets_everything_in_order_and_nothing_else(world: World, actions: list[Any]):
    asyncio.run(_play(world, actions))


async def _play(world: World, actions: list[Any]) -> None:
    async with people_of(world) as context:
        members: dict[str, dict[int, None]] = {room: dict.fromkeys(range(PEOPLE)) for room in ROOMS}
        for person, room in itertools.product(context.people, ROOMS):
            person.ask("join", room)
        numbers = itertools.count()
        for what, number, room in actions:
            person, inside = context.people[number], members[room]
            if what == "turn":
                await context.turn()
            elif what == "fetch":
                person.fetch()
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
                            context.people[other].expected.append(str(data))
                    if what == "attached":
                        person.attach(room, data)
                    else:
                        person.ask("publish", None if what == "to all" else room, "message", data)
        while not world.hub.judge_some(1.0):
            pass
        await context.turn()
        for person in context.people:
            assert person.got == person.expected


@pytest.mark.parametrize("senders", [1, 2, PEOPLE])
async def test_a_burst_is_sent_by_one_call_each(world: World, senders: int):
    async with people_of(world, [Listener] * PEOPLE) as context:
        for person in context.people:
            person.ask("join", "room:a")
            person.ask("publish", "room:a", "message", 9)  # decided on; the next ones are remembered
        await context.turn()
        for person in context.people:
            person.received = b""
        sends = [person.sock.sends for person in context.people]
        for data in range(100):
            context.people[data % senders].ask("publish", "room:a", "message", data)
        await context.turn()
        assert [person.sock.sends for person in context.people] == [count + 1 for count in sends]
        for number, person in enumerate(context.people):
            data = [got for got in person.got if isinstance(got, str)]
            assert data == [str(data) for data in range(100) if data % senders != number]


@pytest.mark.parametrize(("first", "then", "expected"), [("leave", "join", ["1"]), ("join", "leave", ["0"])])
@pytest.mark.parametrize("kind", dict.fromkeys(EVERY_KIND))
async def test_whoever_comes_or_goes_in_the_middle_of_a_burst_gets_its_part(
    world: World, kind: type[Person], first: str, then: str, expected: list[str]
):
    async with people_of(world, [Listener, kind, *[Listener] * 6]) as context:
        for person in context.people:
            person.ask("join", "room:a")
            person.ask("publish", "room:a", "message", 9)  # decided here, remembered below
        sender, mover = context.people[:2]
        mover.ask(first, "room:a")
        await context.turn()
        mover.received = b""
        sender.ask("publish", "room:a", "message", 0)
        mover.ask(then, "room:a")
        sender.ask("publish", "room:a", "message", 1)
        await context.turn()
        assert [got for got in mover.got if isinstance(got, str)] == expected


@pytest.mark.parametrize("kind", dict.fromkeys(EVERY_KIND))
async def test_whoever_is_let_go_in_the_turn_of_a_message_has_it_before_the_goodbye(
    world: World, kind: type[Person]
):
    async with people_of(world, [Listener, kind, *[Listener] * 6]) as context:
        for person in context.people:
            person.ask("join", "room:a")
        sender, leaver = context.people[:2]
        sender.ask("publish", "room:a", "message", 0)
        await context.turn()
        leaver.received = b""
        sender.ask("publish", "room:a", "message", 1)
        leaver.connection.send(socketio.build_disconnect("/"))
        leaver.connection.close("server shutting down")
        await context.turn()
        assert re.findall(rb"message\",1|41|\x88\x00|1$", leaver.received) == [
            b'message",1',
            b"41",
            b"1" if kind is Poller else b"\x88\x00",
        ]


async def test_an_error_at_one_recipient_is_not_the_others(world: World, monkeypatch: pytest.MonkeyPatch):
    async with people_of(world, [Listener] * 8) as context:
        for person in context.people:
            person.ask("join", "room:a")
        sender, broken, *others = context.people
        sender.ask("publish", "room:a", "message", 0)
        await context.turn()
        monkeypatch.setattr(broken.sock, "send", None)
        sender.ask("publish", "room:a", "message", 1)
        await context.turn()
        assert all(person.got[-1] == "1" for person in others)
        assert broken.connection.phase is Phase.CLOSED
        assert context.connections.counters.errors == 1
        context.connections.counters.errors = 0


async def test_whoever_had_a_burst_is_forgotten_after_it(world: World):
    async with people_of(world) as context:
        for person in context.people:
            person.ask("join", "room:a")
        for data in range(3):
            context.people[0].ask("publish", "room:a", "message", data)
        await context.turn()
    del context, person
    world.tick(0.1)
    gc.collect()
    assert [it for it in gc.get_objects() if isinstance(it, SocketConnection)] == []
