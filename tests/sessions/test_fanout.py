"""Fan-out: the recipients of a message are the members of that moment, less those left out, whoever sends it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from compartmentd.names import NamespaceName, RoomName, SessionId
from compartmentd.policy.principal import ANONYMOUS
from compartmentd.protocol.message import Batch, Message
from compartmentd.sessions import replies
from compartmentd.sessions.counters import Counters
from compartmentd.sessions.fanout import Fanout
from compartmentd.sessions.registry import Registry
from compartmentd.sessions.room_store import MemoryRoomStore
from compartmentd.sessions.session import NamespaceState, Room, Session
from tests.support.peer import RecordingPeer
from tests.support.policies import template

PEOPLE = 8
NOW, BEFORE = 2, 1
TEMPLATE = template("lobby")


class OpenPeer(RecordingPeer):
    """Shares as a server does: a batch to which messages are added until somebody is sent something else."""

    def share(self, message: Message, to: Any, *, echo: bool) -> Batch:
        batch = Batch(message)
        for peer in to:
            if echo or peer is not self:
                peer.send(batch)
        return batch

    def send(self, message: Any) -> None:
        for earlier in self.sent:
            if earlier is not message and isinstance(earlier, Batch):
                earlier.close()
        self.sent.append(message)

    def read(self) -> list[str]:
        """Return the data of what arrived, in order."""
        packets = [
            each.packet for one in self.take() for each in (one.close() if isinstance(one, Batch) else [one])
        ]
        return [json.loads(packet[2:])[1] for packet in packets]


class Crowd:
    """A namespace of `PEOPLE` sessions, of which some are in the room."""

    def __init__(self, members: set[int]) -> None:
        self.registry = Registry(MemoryRoomStore(lambda: 0.0))
        self.counters = Counters()
        self.fanout = Fanout(self.counters)
        self.namespace: NamespaceState = self.registry.get_namespace(NamespaceName("/"))
        self.peers = [OpenPeer() for _ in range(PEOPLE)]
        self.sessions = []
        for number, peer in enumerate(self.peers):
            session = Session(SessionId(f"s{number}"), peer, self.namespace, ANONYMOUS, None)
            session.generation = NOW
            self.registry.add(session)
            self.sessions.append(session)
        for number in sorted(members):
            self.registry.join(self.sessions[number], RoomName("lobby"), TEMPLATE, by_server=False)
        self.room: Room = self.namespace.rooms["lobby"]

    def at(self, number: int | None) -> Session | None:
        return None if number is None else self.sessions[number]


def message(data: str) -> Message:
    return replies.build_event(
        replies.build_event_head(b"", "message"), json.dumps(data).encode(), replies.build_event_tail(None)
    )


numbers = st.integers(0, PEOPLE - 1)
sendings = st.lists(
    st.tuples(
        st.one_of(st.none(), numbers),  # the origin
        st.booleans(),  # to the origin, too
        st.lists(numbers, max_size=3, unique=True),  # further ones left out
        st.booleans(),  # to the room, or to the namespace
        st.booleans(),  # volatile
    ),
    max_size=12,
)


@given(st.sets(numbers, min_size=1), st.sets(numbers), st.sets(numbers), sendings)
def test_everyone_who_is_to_have_a_message_gets_it_once_and_in_order(
    members: set[int], behind: set[int], unjudged: set[int], sent: list[Any]
) -> None:
    crowd = Crowd(members)
    for number in behind:
        crowd.peers[number].is_writable = False
    for number in unjudged:
        crowd.sessions[number].generation = BEFORE
    crowd.fanout.judging = NOW if unjudged else None
    at_once: list[list[str]] = [[] for _ in range(PEOPLE)]
    later: list[list[str]] = [[] for _ in range(PEOPLE)]
    for index, (origin, echo, others, to_room, volatile) in enumerate(sent):
        data = str(index)
        excluded = list(others)
        if origin is not None and not echo:
            excluded = [origin, *(number for number in others if number != origin)]
        place = crowd.room if to_room else crowd.namespace
        send = crowd.fanout.send_volatile if volatile else crowd.fanout.send
        send(place, message(data), crowd.at(origin), tuple(crowd.sessions[number] for number in excluded))
        for number in members if to_room else range(PEOPLE):
            if number not in excluded and not (volatile and number in behind):
                (later if number in unjudged else at_once)[number].append(data)
    assert [peer.read() for peer in crowd.peers] == at_once
    for session in crowd.sessions:
        crowd.fanout.release(session)
    assert [peer.read() for peer in crowd.peers] == later
    assert crowd.counters.delivered == sum(map(len, at_once)) + sum(map(len, later))


def test_what_waited_for_a_room_that_is_lost_is_not_sent() -> None:
    crowd = Crowd({0, 1})
    crowd.fanout.judging = NOW
    crowd.sessions[0].generation = BEFORE
    crowd.fanout.send(crowd.room, message("to the room"))
    crowd.fanout.send(crowd.namespace, message("to all"))
    crowd.registry.leave(crowd.sessions[0], crowd.sessions[0].memberships["lobby"])
    crowd.fanout.release(crowd.sessions[0])
    assert crowd.peers[0].read() == ["to all"]


def test_a_burst_to_a_crowd_is_one_batch_with_or_without_an_origin() -> None:
    crowd = Crowd(set(range(PEOPLE)))
    for origin in (None, crowd.sessions[0]):
        for data in "abc":
            crowd.fanout.send(crowd.room, message(data), origin)
        (batch,) = crowd.peers[1].sent
        assert isinstance(batch, Batch)
        assert [peer.read() for peer in crowd.peers] == [["a", "b", "c"]] * PEOPLE
        crowd.fanout.drop_batch()


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        (replies.build_event_tail("lobby"), {"room": "lobby"}),
        (replies.build_event_tail(None, b',"from":{"user":"ann"}'), {"room": None, "from": {"user": "ann"}}),
        (
            replies.build_event_tail(
                "lobby", b',"from":{"user":"ann"}', message_id="r:1", at=1_800_000_000.25
            ),
            {"room": "lobby", "id": "r:1", "from": {"user": "ann"}, "at": 1_800_000_000_250},
        ),
    ],
)
def test_the_meta_of_a_message(tail: bytes, expected: Any) -> None:
    sent = replies.build_event(replies.build_event_head(b"", "message"), b"[1]", tail)
    assert json.loads(sent.packet[2:]) == ["message", [1], expected]
