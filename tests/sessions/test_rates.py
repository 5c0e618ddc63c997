"""What a client has taken of its rates is not given back because it leaves and comes again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compartmentd.sessions import publish, requests
from compartmentd.sessions.rates import CONNECTS_AT_ONCE
from tests.support.peer import RecordingPeer
from tests.support.world import ISSUERS, World

POLICY = (
    ISSUERS
    + """
namespaces:
  /:
    connect: public
    limits: {message_rate: 5/s, join_rate: 100/s, rooms_per_session: 100}
    rooms:
      lobby: {join: public, publish: members, events: [message]}
      "slow:{name}": {join: public, publish: members, events: [message], limits: {message_rate: 1/s}}
      "rare:{name}": {join: public, limits: {join_rate: 1/s}}
  /other:
    connect: public
    publish: public
    events: [message]
"""
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, POLICY)


def sent(client: Any, room: str, times: int) -> int:
    return sum(client.code("publish", room, "message", 1) is None for _ in range(times))


def test_connects_of_one_connection_have_a_rate(world: World) -> None:
    peer = RecordingPeer()
    for _ in range(int(CONNECTS_AT_ONCE)):
        world.hub.handle_leave(world.connect("/", None, peer).session)
    refusal = {"code": "rate_limited", "retry": True, "after": 500}
    refused = ("refused", "/", "too many requests in a short time", refusal)
    assert world.try_connect("/", None, peer).peer.take() == [refused]
    world.clock.advance(0.5)
    world.connect("/", None, peer)
    world.connect("/")  # another connection has its own


def test_nothing_is_kept_of_a_connection_that_is_gone(world: World) -> None:
    ann = world.connect("/")
    assert ann.code("join", "slow:a") is None
    world.hub.handle_close(ann.peer, [ann.session], "transport close")
    assert ann.peer.memo is None


def test_the_rooms_of_a_list_beyond_the_rate_are_refused_in_one_step(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To decide on each of them, and to word each refusal, would be work that no rate bounds."""
    ann = world.connect("/")
    rooms = [f"slow:{index}" for index in range(100)]
    assert [answer["ok"] for answer in ann.ask("join", rooms)] == [True] * 100
    world.clock.advance(0.1)
    core, decided = world.hub._core, []
    decide = core.decide

    def count(request: Any, *arguments: Any, **more: Any) -> Any:
        decided.append(request.room)
        return decide(request, *arguments, **more)

    monkeypatch.setattr(core, "decide", count)
    answers = ann.ask("join", rooms)
    assert [answer["ok"] for answer in answers] == [True] * 10 + [False] * 90
    assert {answer["error"]["code"] for answer in answers[10:]} == {"rate_limited"}
    assert decided == rooms[:11]
    assert world.hub.counters.refused["rate_limited"] == 90
    assert len(ann.rooms) == 100, "a refusal for the rate ends no membership"
    assert [answer["ok"] for answer in ann.ask("join", rooms)] == [False] * 100
    assert len(decided) == 12


def test_a_client_that_floods_for_ten_seconds_is_closed_though_its_rate_lets_some_through(
    world: World,
) -> None:
    ann = world.connect("/")
    ann.code("join", "lobby")
    for _ in range(101):
        assert not ann.peer.closed_for
        for _ in range(50):
            ann.emit("publish", "lobby", "message", 1)
        world.clock.advance(0.1)
    assert ann.peer.closed_for == "rate limit"


def test_connects_beyond_their_rate_close_the_connection(world: World) -> None:
    peer = RecordingPeer()
    for _ in range(110):
        for _ in range(50):
            world.hub.connect(peer, "/nowhere", None)
        world.clock.advance(0.1)
    assert peer.closed_for == "rate limit"


def test_a_large_event_beyond_the_rate_is_refused_unread(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = world.connect("/")
    ann.code("join", "lobby")
    assert sent(ann, "lobby", 6) == 5
    monkeypatch.setattr(requests, "decode_event", lambda *_: pytest.fail("it was decoded"))
    monkeypatch.setattr(publish, "check_depth", lambda *_: pytest.fail("it was looked through"))
    for event in ("publish", "join", "nonsense"):
        answer = ann.ask_raw(b'["%b","lobby","message",["%b"]]' % (event.encode(), b"x" * 20_000))
        assert answer["error"]["code"] == "rate_limited"


def test_what_is_too_large_for_every_room_is_not_looked_through(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = world.connect("/")
    ann.code("join", "lobby")
    monkeypatch.setattr(publish, "check_depth", lambda *_: pytest.fail("it was looked through"))
    deep = b",".join([b"[" * 31 + b"]" * 31] * 15_000)
    answer = ann.ask_raw(b'["publish","lobby","message",[%b]]' % deep)
    assert answer["error"]["code"] == "too_large"
    assert ann.ask_raw(b'["join",[%b]]' % deep)["error"]["code"] == "invalid_payload"
