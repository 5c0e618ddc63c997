"""Lists of sessions and rooms: what is selected, and pages that miss and repeat nothing."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from compartmentd.sessions.listing import (
    STEP,
    Page,
    Query,
    list_rooms,
    list_sessions,
    room_as_json,
    session_as_json,
)
from tests.support.world import ISSUERS, START, World

T = TypeVar("T")

POLICY = (
    ISSUERS
    + """
namespaces:
  /:
    connect: public
    limits: {rooms_per_session: 2000, join_rate: unlimited}
    rooms:
      lobby: {join: public}
      "team:{team}": {join: public}
  /b:
    connect: public
    rooms: {lobby: {join: public}}
"""
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, POLICY)


def run(steps: Generator[None, None, T]) -> tuple[T, int]:
    """Return what a listing comes to, and in how many steps."""
    taken = 1
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            return finished.value, taken
        taken += 1


def sids(world: World, **query: Any) -> list[str]:
    page, _ = run(list_sessions(world.hub.registry, Query(**query)))
    return [session.sid for session in page.items]


def rooms(world: World, **query: Any) -> list[tuple[str, str]]:
    page, _ = run(list_rooms(world.hub.registry, Query(**query)))
    return [(namespace, room.name) for namespace, room in page.items]


def test_a_session_tells_who_where_and_until_when(world: World) -> None:
    ann = world.connect("/", "ann", secret="planted")
    assert ann.code("join", "team:b") is None
    assert ann.code("join", "lobby") is None
    (session,) = run(list_sessions(world.hub.registry, Query()))[0].items
    shown = session_as_json(session)
    assert shown == {
        "session": ann.session.sid,
        "namespace": "/",
        "user": {"issuer": "corp", "sub": "ann"},
        "address": ann.peer.handshake.address,
        "expires": int((START + 3600) * 1000),
        "parked": False,
        "rooms": ["lobby", "team:b"],
    }
    assert "planted" not in str(shown)
    nobody = world.connect("/b")
    (other,) = run(list_sessions(world.hub.registry, Query(namespace="/b")))[0].items
    assert other is nobody.session
    assert (session_as_json(other)["user"], session_as_json(other)["expires"]) == (None, None)


def test_a_room_tells_its_template_and_how_many_are_in_it(world: World) -> None:
    for name in ("ann", "bob"):
        assert world.connect("/", name).code("join", "team:b") is None
    (found,) = run(list_rooms(world.hub.registry, Query()))[0].items
    assert room_as_json(*found) == {
        "namespace": "/",
        "room": "team:b",
        "template": "team:{team}",
        "members": 2,
    }


def test_what_is_selected(world: World) -> None:
    ann, bob, other = (world.connect(*who) for who in (("/", "ann"), ("/", "bob"), ("/b", "ann")))
    for client, room in ((ann, "team:a"), (bob, "team:b"), (bob, "lobby"), (other, "lobby")):
        assert client.code("join", room) is None
    a, b, o = (client.session.sid for client in (ann, bob, other))
    assert sids(world) == [a, b, o]
    assert sids(world, namespace="/b") == [o]
    assert sids(world, user="ann") == [a, o]
    assert sids(world, user="corp:ann") == [a, o]
    assert sids(world, user="other:ann") == []
    assert sids(world, room="lobby") == [b, o]
    assert sids(world, room="lobby", namespace="/") == [b]
    assert sids(world, room="nowhere") == []
    assert sids(world, search="team:") == [a, b]
    assert sids(world, search="corp:bo") == [b]
    assert rooms(world) == [("/", "lobby"), ("/", "team:a"), ("/", "team:b"), ("/b", "lobby")]
    assert rooms(world, search="lob") == [("/", "lobby"), ("/b", "lobby")]
    assert rooms(world, room="team:a") == [("/", "team:a")]


def read_pages(world: World, limit: int) -> list[str]:
    """Read rooms page by page while others come and go."""
    client = world.connect("/", "other")
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        page: Page[Any]
        page, _ = run(list_rooms(world.hub.registry, Query(limit=limit, after=after)))
        assert len(page.items) <= limit
        found += [room.name for _, room in page.items]
        after = page.next
        assert client.code("join", "lobby") is None
        assert client.ask("leave", "lobby")["ok"]
    return found


def test_pages_hold_everything_once(world: World) -> None:
    ann = world.connect("/", "ann")
    names = sorted(f"team:{number}" for number in range(25))
    for name in names:
        assert ann.code("join", name) is None
    for limit in (1, 7, 25, 26):
        assert read_pages(world, limit) == names


def test_a_long_list_is_read_in_steps(world: World) -> None:
    ann = world.connect("/", "ann")
    for number in range(3 * STEP):
        assert ann.code("join", f"team:{number}") is None
    page, steps = run(list_rooms(world.hub.registry, Query(limit=1)))
    assert steps == 4
    assert page.next is not None


def test_rooms_that_vanish_between_two_steps_do_no_harm(world: World) -> None:
    ann = world.connect("/", "ann")
    for number in range(2 * STEP):
        assert ann.code("join", f"team:{number}") is None
    steps = list_sessions(world.hub.registry, Query(search="team:1999"))
    other = list_rooms(world.hub.registry, Query())
    next(other)
    world.hub.handle_leave(ann.session)
    page, _ = run(other)
    assert len(page.items) == 100
    assert run(steps)[0].items == ()
