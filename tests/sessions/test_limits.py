"""Counts of sessions and namespaces, what yields where they are reached, and limits that are only observed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compartmentd.sessions.join import LONGEST_OBSERVED_LIST
from tests.support.peer import RecordingPeer
from tests.support.world import ISSUERS, World

NAMESPACES = """
namespaces:
  /:
    connect: public
    limits: {message_rate: 2/s, byte_rate: 1000/s, join_rate: 1/s, rooms_per_session: 2, sessions_per_user: 2}
    publish: public
    events: [message]
    rooms:
      "room:{name}": {join: public, publish: members, events: [message]}
      "slow:{name}":
        join: public
        publish: members
        events: [message]
        limits: {message_rate: 1/m, byte_rate: 10/m, join_rate: 1/m, message_size: 64B}
      small: {join: public, capacity: 1}
      "own:{name}": {join: authenticated, auto_join: {name: names}}
  /b: {connect: public}
  /c: {connect: public}
"""
POLICY = f"{ISSUERS}limits: {{namespaces_per_connection: 2}}{NAMESPACES}"
OBSERVED = POLICY.replace("limits: {namespaces", "limits: {mode: observe, namespaces", 1)
REPLACING = POLICY.replace("sessions_per_user: 2", "sessions_per_user: {max: 2, when_full: replace}")
CLOSING = ("event", "/", ["closing", {"code": "replaced", "retry": False}])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, POLICY)


def refusal(client: Any) -> str | None:
    """Return the code of the last CONNECT_ERROR, `None` if there is none."""
    refused = [item for item in client.peer.take() if item[0] == "refused"]
    return refused[-1][3]["code"] if refused else None


# --- namespaces of a connection -----------------------------------------------------------------------------------


def test_a_connection_has_so_many_namespaces_and_no_more(world: World) -> None:
    ann = world.connect("/")
    world.connect("/b", None, ann.peer)
    third = world.try_connect("/c", None, ann.peer)
    assert refusal(third) == "too_many"
    assert world.records[-1].code == "too_many"
    assert world.records[-1].detail == "namespaces_per_connection 2"
    assert ann.peer.closed_for is None
    world.hub.handle_leave(ann.session)
    del ann.peer.sessions["/"]
    world.connect("/c", None, ann.peer)
    world.connect("/b")  # another connection has its own


def test_an_undeclared_namespace_looks_the_same_as_ever_on_a_full_connection(world: World) -> None:
    ann = world.connect("/")
    world.connect("/b", None, ann.peer)
    world.hub.connect(ann.peer, "/nowhere", None)
    assert ann.peer.take() == [("refused", "/nowhere", "Invalid namespace", None)]


def test_a_reload_binds_the_next_namespace(world: World) -> None:
    ann = world.connect("/")
    world.connect("/b", None, ann.peer)
    world.reload(POLICY.replace("namespaces_per_connection: 2", "namespaces_per_connection: 1"))
    assert set(ann.peer.sessions) == {"/", "/b"}
    assert refusal(world.try_connect("/c", None, ann.peer)) == "too_many"
    world.reload(POLICY.replace("namespaces_per_connection: 2", "namespaces_per_connection: unlimited"))
    world.connect("/c", None, ann.peer)


# --- sessions of a user -------------------------------------------------------------------------------------------


def test_the_oldest_session_yields_where_the_operator_says_so(tmp_path: Path) -> None:
    world = World(tmp_path, REPLACING)
    first, second, third = (world.connect("/", "ann") for _ in range(3))
    assert first.peer.sent == [CLOSING, ("disconnected", "/")]
    assert not first.peer.sessions
    assert world.hub.counters.ended == {"replaced": 1}
    assert not second.peer.sent
    assert second.code("publish", None, "message", 1) is None
    fourth = world.connect("/", "ann")
    assert (second.peer.sessions, sorted(third.peer.sessions), sorted(fourth.peer.sessions)) == (
        {},
        ["/"],
        ["/"],
    )
    assert (
        world.hub.registry.get_namespace(third.session.namespace.name).count_sessions(third.session.user) == 2
    )


def test_nobody_yields_to_a_connect_that_is_refused_or_of_another_user(tmp_path: Path) -> None:
    world = World(tmp_path, REPLACING)
    first, second = world.connect("/", "ann"), world.connect("/", "ann")
    assert refusal(world.try_connect("/", "ann", exp=int(world.clock.now))) == "token_expired"
    world.connect("/", "bob")
    for _ in range(3):
        world.connect("/")  # without a token there is no user to count by
    assert first.peer.sessions
    assert second.peer.sessions


def test_a_session_without_a_connection_yields_first(tmp_path: Path) -> None:
    world = World(tmp_path, REPLACING, parking=30.0)
    first, second = world.connect("/", "ann"), world.connect("/", "ann")
    parked = second.session
    second.lose_connection()
    world.connect("/", "ann")
    assert parked.ended
    assert world.hub.registry.parked == 0
    assert first.peer.sessions


def test_a_lower_count_evicts_nobody_before_the_next_connect(tmp_path: Path) -> None:
    world = World(tmp_path, REPLACING)
    clients = [world.connect("/", "ann") for _ in range(2)]
    assert world.reload(REPLACING.replace("max: 2", "max: 1")) == (0, 0)
    world.connect("/", "ann")
    assert not any(client.peer.sessions for client in clients)


def test_a_number_in_a_namespace_does_not_inherit_what_yields(tmp_path: Path) -> None:
    text = POLICY.replace(
        "limits: {namespaces", "limits: {sessions_per_user: {max: 5, when_full: replace}, namespaces", 1
    )
    world = World(tmp_path, text)
    for _ in range(2):
        world.connect("/", "ann")
    assert refusal(world.try_connect("/", "ann")) == "too_many"
    namespaces = world.hub.snapshot.configuration.policy.namespaces.values()
    assert [namespace.limits.replaces_oldest for namespace in namespaces] == [False, True, True]


# --- limits that are only observed --------------------------------------------------------------------------------


def test_what_rates_and_counts_would_refuse_is_let_through_counted_and_reported(tmp_path: Path) -> None:
    world = World(tmp_path, OBSERVED)
    ann = world.connect("/", "ann")
    asked: dict[str, list[str | None]] = {
        "message_rate": [ann.code("publish", None, "message", 1) for _ in range(4)],
        "byte_rate": [ann.code("publish", None, "message", "x" * 900) for _ in range(2)],
        "rooms_per_session": [ann.code("join", f"room:{number}") for number in range(3)],
        "a list": [answer["ok"] or None for answer in ann.ask("join", ["room:4", "room:5", "room:6"])],
    }
    asked["a list"] = [None if ok else "refused" for ok in asked["a list"]]
    assert {code for codes in asked.values() for code in codes} == {None}
    assert ann.code("join", "slow:a") is None
    assert ann.code("join", "slow:b") is None
    assert [ann.code("publish", "slow:a", "message", "12345678") for _ in range(2)] == [None, None]
    counts = world.hub.observed_limits
    assert counts["/", "message_rate"] == 2 + 2 + 2 + 1
    assert counts["/", "byte_rate"] == 1 + 1
    assert counts["/", "join_rate"] == 5 + 1 + 1
    assert counts["/", "rooms_per_session"] == 1 + 1 + 3 + 2
    assert world.hub.counters.refused.total() == 0
    assert not ann.peer.closed_for
    for _ in range(2):
        assert world.connect("/", "ann").peer.sessions
    assert counts["/", "sessions_per_user"] == 1
    world.connect("/b", None, ann.peer)
    world.connect("/c", None, ann.peer)
    assert counts["/c", "namespaces_per_connection"] == 1
    user = ann.session.user
    assert ("/", "byte_rate", user) in world.observed
    assert len(world.observed) == counts.total()  # type: ignore[attr-defined]


def test_sizes_capacity_and_what_bounds_memory_stay_enforced(tmp_path: Path) -> None:
    world = World(tmp_path, OBSERVED)
    ann, bob = world.connect("/", "ann", names=["a", "b", "c"]), world.connect("/", "bob")
    assert ann.rooms == ["own:a", "own:b"], "auto-join stops at the limit: it is no refusal"
    assert ann.code("join", "slow:a") is None
    assert ann.code("publish", "slow:a", "message", "x" * 64) == "too_large"
    assert bob.code("join", "small") is None
    assert ann.code("join", "small") == "room_full"
    rooms = [f"room:{number}" for number in range(LONGEST_OBSERVED_LIST + 1)]
    assert ann.code("join", rooms) == "invalid_payload"
    peer = RecordingPeer()
    for _ in range(200):
        world.hub.connect(peer, "/nowhere", None)
    assert peer.take()[-1][3]["code"] == "rate_limited", "CONNECTs of a connection are no rate of `limits`"


def test_where_limits_are_observed_nobody_yields(tmp_path: Path) -> None:
    world = World(tmp_path, REPLACING.replace("limits: {names", "limits: {mode: observe, names", 1))
    clients = [world.connect("/", "ann") for _ in range(3)]
    assert all(client.peer.sessions for client in clients)
    assert world.hub.observed_limits["/", "sessions_per_user"] == 1


def test_nobody_is_closed_for_a_flood_that_is_only_observed(tmp_path: Path) -> None:
    world = World(tmp_path, OBSERVED)
    ann = world.connect("/", "ann")
    for _ in range(110):
        for _ in range(5):
            assert ann.code("publish", None, "message", 1) is None
        world.clock.advance(0.1)
    assert ann.peer.closed_for is None


def test_a_reload_begins_and_ends_observing_for_live_sessions(world: World) -> None:
    ann = world.connect("/", "ann")
    assert ann.code("join", "slow:a") is None
    assert [ann.code("publish", "slow:a", "message", 1) for _ in range(2)] == [None, "rate_limited"]
    world.reload(OBSERVED)
    assert ann.code("publish", "slow:a", "message", 1) is None
    assert ann.code("join", "room:b") is None
    world.reload(POLICY)
    assert ann.code("publish", "slow:a", "message", 1) == "rate_limited", "what was taken stays taken"
    assert ann.code("join", "room:b") == "rate_limited"
