"""A session may outlive its connection: away for everybody else, and judged as if it were there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compartmentd.policy.codes import Code
from compartmentd.sessions.revocations import Revocation, RevocationKind
from tests.support.peer import RecordingPeer
from tests.support.world import ISSUERS, START, World

POLICY = (
    ISSUERS
    + """
namespaces:
  /chat:
    connect: {any: [{scope: chat}, {claim: until, is: future}]}
    limits: {sessions_per_user: 2}
    rooms:
      lobby: {join: authenticated, publish: members, events: [message]}
      attic: {join: {any: [{member_of: lobby}, {claim: attic_until, is: future}]}}
      small: {join: authenticated, capacity: 1}
      "user:{user}": {join: {claim: sub, equals: "{user}"}, auto_join: {user: sub}}
"""
)
PARKING = 30.0


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, POLICY, parking=PARKING)


def enter(world: World, sub: str, *rooms: str, **claims: Any) -> Any:
    client = world.connect("/chat", sub, **{"scope": "chat", **claims})
    for room in rooms:
        assert client.code("join", room) is None
    return client


def park(world: World, sub: str, *rooms: str, **claims: Any) -> Any:
    """Return a session without a connection."""
    client = enter(world, sub, *rooms, **claims)
    session = client.session
    client.peer.take()
    client.lose_connection()
    assert not session.ended
    assert world.hub.registry.find_by_sid(session.sid) is session
    return session


def counts(world: World) -> tuple[int, int]:
    return world.hub.registry.sessions, world.hub.registry.parked


def test_it_is_away_for_everybody_else(world: World) -> None:
    ann, bob = park(world, "ann", "lobby", "small"), enter(world, "bob", "lobby")
    assert counts(world) == (1, 1)
    assert world.hub.registry.memberships == 2  # bob's, with the room of his own
    assert world.hub.census.members["/chat"] == {"lobby": 1, "user:{user}": 1}
    assert bob.code("publish", "lobby", "message", 1) is None
    assert world.hub.counters.delivered == 0
    assert bob.code("join", "small") is None, "its place is free"
    assert sorted(ann.memberships) == ["lobby", "small", "user:ann"]


def test_it_counts_among_its_users_sessions(world: World) -> None:
    park(world, "ann")
    enter(world, "ann")
    assert world.try_connect("/chat", "ann", scope="chat").peer.sent[0][3]["code"] == "too_many"


def test_it_goes_on_over_another_connection(world: World) -> None:
    ann, bob = park(world, "ann", "lobby"), enter(world, "bob", "lobby")
    peer = RecordingPeer()
    world.hub.registry.resume(ann, peer)
    assert counts(world) == (2, 0)
    assert bob.code("publish", "lobby", "message", "again") is None
    assert [item[2][:2] for item in peer.take()] == [["message", "again"]]
    world.hub.handle_event(ann, b"1", b'["publish","lobby","message","too"]', [])
    assert bob.take()[0][:2] == ["message", "too"]
    world.tick(PARKING + 1)
    assert not ann.ended


def test_it_is_forgotten_after_its_time_by_the_steady_clock(world: World) -> None:
    ann = park(world, "ann", "lobby")
    world.clock.now += 1000  # a wall clock that jumps ends no parking
    world.tick(PARKING - 0.1)
    assert not ann.ended
    world.tick(0.1)
    assert ann.ended
    assert not world.hub.registry.namespaces
    assert len(world.hub._core.agenda) == 0


@pytest.mark.parametrize(
    ("changes", "ended", "rooms"),
    [
        ({}, False, ["attic", "lobby", "user:ann"]),
        ({"scope: chat": "scope: talk"}, True, []),
        ({"lobby: {join: authenticated": "lobby: {join: nobody"}, False, ["user:ann"]),
        ({"secret_file: corp.secret": "secret_file: other.secret"}, True, []),
    ],
)
def test_a_reload_judges_it(world: World, changes: dict[str, str], rooms: list[str], *, ended: bool) -> None:
    (world.directory / "other.secret").write_text("another secret of at least thirty-two bytes\n")
    ann = park(world, "ann", "lobby", "attic")
    text = POLICY
    for old, new in changes.items():
        text = text.replace(old, new)
    world.reload(text + "# changed\n")
    assert ann.ended == ended
    assert sorted(ann.memberships) == rooms
    if not ended:
        peer = RecordingPeer()
        world.hub.registry.resume(ann, peer)
        assert sorted(world.hub.registry.namespaces["/chat"].rooms) == rooms


def test_time_ends_it_and_what_it_is_a_member_of(world: World) -> None:
    world.hub._parking = 10_000.0
    ann = park(world, "ann", "attic", attic_until=START + 100, exp=int(START) + 300)
    assert "attic" in ann.memberships
    world.tick(100)
    assert "attic" not in ann.memberships
    world.tick(199)
    assert not ann.ended
    world.tick(1)
    assert ann.ended
    assert world.hub.counters.ended == {Code.TOKEN_EXPIRED: 1}


@pytest.mark.parametrize(("kind", "value"), [("sub", "ann"), ("sid", "s1"), ("jti", "t1"), ("all", "")])
def test_a_revocation_ends_it(world: World, kind: RevocationKind, value: str) -> None:
    ann = park(world, "ann", sid="s1", jti="t1")
    world.hub.revoke(
        Revocation(
            issuer="https://id.example.com",
            kind=kind,
            value=value,
            before=START,
            code=Code.LOGGED_OUT,
            at=START,
        )
    )
    while not world.hub.sweep(1.0):
        pass
    assert ann.ended
    assert not world.hub.registry.namespaces


def test_what_waited_for_its_judgement_is_dropped_with_its_connection(world: World) -> None:
    ann, bob = enter(world, "ann", "lobby"), enter(world, "bob", "lobby")
    session = ann.session
    world.swap(POLICY + "# changed\n")
    assert bob.code("publish", "lobby", "message", "nobody is there for it") is None
    ann.lose_connection()
    peer = RecordingPeer()
    world.hub.registry.resume(session, peer)
    while not world.hub.judge_some(1.0):
        pass
    assert peer.take() == []


def test_not_every_end_of_a_connection_parks(world: World) -> None:
    slow, leaving, late = enter(world, "ann"), enter(world, "bob"), enter(world, "eve")
    slow.lose_connection("slow")
    world.hub.handle_leave(leaving.session)
    world.hub.refuse_newcomers()
    late.lose_connection()
    assert counts(world) == (0, 0)
    assert not world.hub.registry.namespaces


def test_without_parking_a_session_ends_with_its_connection(tmp_path: Path) -> None:
    world = World(tmp_path, POLICY)
    ann = enter(world, "ann", "lobby")
    ann.lose_connection()
    assert counts(world) == (0, 0)
    assert not world.hub.registry.namespaces
