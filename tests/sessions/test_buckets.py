"""What a user has taken of its rates is not given back because it leaves and comes again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from compartmentd.net.addresses import find_network
from compartmentd.sessions.spent import RateKey
from tests.support.peer import RecordingPeer
from tests.support.world import ISSUERS, World

POLICY = (
    ISSUERS
    + """
namespaces:
  /:
    connect: public
    limits: {message_rate: 5/s, byte_rate: 1000/s, join_rate: 1/s, rooms_per_session: 4}
    rooms:
      lobby: {join: public, publish: members, events: [message], limits: {message_rate: unlimited}}
      "slow:{name}": {join: public, publish: members, events: [message], limits: {message_rate: 1/m}}
      "rare:{name}": {join: public, limits: {join_rate: 1/m}}
  /other:
    connect: public
    publish: public
    events: [message]
    limits: {message_rate: 1/m}
"""
)
REACHED = "rate_limited"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, POLICY, find_network=find_network)


def sent(client: Any, room: str | None, times: int, data: Any = 1) -> int:
    return sum(client.code("publish", room, "message", data) is None for _ in range(times))


def end_session(world: World, client: Any) -> RecordingPeer:
    """End the session as its client; the connection stays."""
    world.hub.handle_leave(client.session)
    return client.peer  # type: ignore[no-any-return]


def lose_connection(_world: World, client: Any) -> RecordingPeer:
    """End the connection, and make another one from the same address."""
    client.lose_connection()
    return RecordingPeer(client.peer.handshake.address)


def come_from_elsewhere(_world: World, client: Any) -> RecordingPeer:
    """End the connection, and make another one from another address."""
    client.lose_connection()
    return RecordingPeer("198.51.100.7")


WAYS: list[Callable[[World, Any], RecordingPeer]] = [end_session, lose_connection, come_from_elsewhere]


@pytest.mark.parametrize("come_again", WAYS)
def test_a_session_begins_where_the_last_one_of_its_user_ended(
    world: World, come_again: Callable[[World, Any], RecordingPeer]
) -> None:
    ann = world.connect("/", "ann")
    assert ann.code("join", "lobby") is None
    assert sent(ann, "lobby", 6) == 5
    ann = world.connect("/", "ann", come_again(world, ann))
    assert ann.code("join", "lobby") is None
    assert sent(ann, "lobby", 6) == 0
    world.clock.advance(0.5)
    assert sent(ann, "lobby", 6) == 2
    assert [ann.code("join", "lobby") for _ in range(4)] == [None, None, REACHED, REACHED]
    bob = world.connect("/", "bob", RecordingPeer(ann.peer.handshake.address))
    assert bob.code("join", "lobby") is None
    assert sent(bob, "lobby", 6) == 5, "another user has rates of its own"
    assert sent(world.connect("/other", "ann", ann.peer), None, 2) == 1, "and so has each namespace"


@pytest.mark.parametrize(
    ("first", "then", "accepted"),
    [
        ("192.0.2.1", "192.0.2.1", 0),
        ("192.0.2.1", "192.0.2.2", 5),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", 0),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", 5),
        ("::ffff:192.0.2.1", "192.0.2.1", 0),
    ],
)
def test_without_a_subject_the_network_counts(world: World, first: str, then: str, accepted: int) -> None:
    guest = world.connect("/", None, RecordingPeer(first))
    assert guest.code("join", "lobby") is None
    assert sent(guest, "lobby", 6) == 5
    guest.lose_connection()
    guest = world.connect("/", None, RecordingPeer(then))
    assert guest.code("join", "lobby") is None
    assert sent(guest, "lobby", 6) == accepted


def test_bytes_that_were_taken_stay_taken(world: World) -> None:
    ann = world.connect("/", "ann")
    assert ann.code("join", "lobby") is None
    assert sent(ann, "lobby", 2, "x" * 700) == 1
    ann = world.connect("/", "ann", lose_connection(world, ann))
    assert ann.code("join", "lobby") is None
    assert sent(ann, "lobby", 1, "x" * 700) == 0
    world.clock.advance(0.5)
    assert sent(ann, "lobby", 1, "x" * 700) == 1


@pytest.mark.parametrize("come_again", WAYS)
def test_what_a_rooms_own_rate_took_stays_taken(
    world: World, come_again: Callable[[World, Any], RecordingPeer]
) -> None:
    ann = world.connect("/", "ann")
    assert ann.code("join", "slow:a") is None
    assert sent(ann, "slow:a", 2) == 1
    assert ann.ask("leave", "slow:a")["ok"]
    world.clock.advance(10.0)
    assert ann.code("join", "slow:a") is None
    assert sent(ann, "slow:a", 1) == 0
    ann = world.connect("/", "ann", come_again(world, ann))
    assert ann.code("join", "slow:a") is None
    assert sent(ann, "slow:a", 1) == 0
    assert ann.code("join", "slow:b") is None
    assert sent(ann, "slow:b", 2) == 1, "another room has a rate of its own"
    world.clock.advance(50.0)
    assert sent(ann, "slow:a", 2) == 1
    assert ann.code("join", "rare:a") is None
    ann = world.connect("/", "ann", come_again(world, ann))
    assert ann.code("join", "rare:b") == REACHED, "a rate of joins is one of the template"
    world.clock.advance(60.0)
    assert ann.code("join", "rare:b") is None


def test_two_sessions_at_once_have_a_rate_each_and_the_one_after_them_begins_with_the_lower(
    world: World,
) -> None:
    first, second = world.connect("/", "ann"), world.connect("/", "ann")
    for ann in (first, second):
        assert ann.code("join", "lobby") is None
    assert (sent(first, "lobby", 6), sent(second, "lobby", 2)) == (5, 2)
    first.lose_connection()
    second.lose_connection()
    third = world.connect("/", "ann")
    assert third.code("join", "lobby") is None
    assert sent(third, "lobby", 6) == 0


def test_a_parked_session_is_no_way_to_full_buckets(tmp_path: Path) -> None:
    world = World(tmp_path, POLICY, parking=30.0)
    ann = world.connect("/", "ann")
    assert ann.code("join", "slow:a") is None
    assert sent(ann, "slow:a", 1) == 1
    ann.lose_connection()
    ann = world.connect("/", "ann")
    assert ann.code("join", "slow:a") is None
    assert sent(ann, "slow:a", 1) == 0


def test_a_reload_gives_nothing_back(world: World) -> None:
    ann = world.connect("/", "ann")
    assert ann.code("join", "lobby") is None
    assert sent(ann, "lobby", 6) == 5
    ann.lose_connection()
    world.reload(POLICY.replace("message_rate: 5/s", "message_rate: 10/s"))
    ann = world.connect("/", "ann")
    assert ann.code("join", "lobby") is None
    assert sent(ann, "lobby", 11) == 0
    world.clock.advance(0.5)
    assert sent(ann, "lobby", 11) == 5


def test_a_bucket_that_is_full_is_not_kept(world: World) -> None:
    ann, bob = world.connect("/", "ann"), world.connect("/", "bob")
    assert ann.code("join", "slow:a") is None
    world.clock.advance(10.0)
    for client in (ann, bob):
        client.lose_connection()
    spent = world.hub._core.buckets.spent
    assert len(spent) == 0, "nothing was sent, and the joins have come back"
    ann = world.connect("/", "ann")
    assert ann.code("join", "slow:a") is None
    assert sent(ann, "slow:a", 1) == 1
    ann.lose_connection()
    assert len(spent) == 4  # messages, bytes and joins, and the room's own messages
    world.tick(5.0)
    assert len(spent) == 1
    key = RateKey(ann.session.namespace.name, ann.session.user, "message_rate", "slow:a")
    assert 54.0 < spent.find_refill(key, world.clock.monotonic()) <= 55.0
    world.tick(55.0)
    assert len(spent) == 0


STEPS = st.lists(
    st.one_of(
        st.floats(0.0, 40.0).map(lambda seconds: ("wait", seconds)),
        st.sampled_from(WAYS).map(lambda way: ("again", way)),
        st.integers(1, 8).map(lambda times: ("send", times)),
        st.just(("leave", None)),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.sampled_from(["lobby", "slow:a"]), st.sampled_from(["ann", None]))
def test_no_more_passes_than_burst_and_rate_however_sessions_follow_each_other(
    steps: list[Any], room: str, sub: str | None
) -> None:
    """At each moment of any sequence of sessions of one subject or network, since each earlier moment."""
    rate, burst = (5.0, 5.0) if room == "lobby" else (1 / 60, 1.0)
    with TemporaryDirectory() as directory:
        world = World(Path(directory), POLICY)
        client = world.connect("/", sub)
        accepted: list[float] = []
        for what, value in steps:
            if what == "wait":
                world.clock.advance(value)
            elif what == "again":
                peer = value(world, client)
                if sub is None:
                    peer = RecordingPeer() if value is come_from_elsewhere else peer
                client = world.connect("/", sub, peer)
            elif what == "leave":
                client.ask("leave", room)
            elif room in client.rooms or client.code("join", room) is None:
                accepted += [world.clock.monotonic()] * sent(client, room, value)
        for first, since in enumerate(accepted):
            for last, at in enumerate(accepted[first:], first):
                assert last - first + 1 <= burst + rate * (at - since) + 0.01
