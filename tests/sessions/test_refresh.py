"""`refresh`: a newer token in place, every room judged again, or nothing changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.world import ISSUERS, START, World

CHAT = (
    ISSUERS
    + """
namespaces:
  /:
    connect: public
  /chat:
    connect: {scope: chat}
    rooms:
      lobby: {join: authenticated, publish: {scope: "chat:write"}, events: [message]}
      "project:{project}": {join: {claim: projects, contains: "{project}"}, auto_join: {project: projects}}
      attic: {join: {member_of: "project:apollo"}}
"""
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, CHAT)


def member(world: World, sub: str, **claims: Any) -> Any:
    return world.connect("/chat", sub, **{"scope": "chat chat:write", **claims})


def test_a_newer_token_moves_the_end(world: World) -> None:
    ann = member(world, "ann", exp=int(START) + 100)
    world.tick(50)
    assert [item[0] for item in ann.take()] == ["expiring"]
    answer = ann.ask("refresh", world.token("ann", scope="chat", exp=int(START) + 1000))
    assert answer == {"ok": True, "expires": (int(START) + 1000) * 1000}
    assert ann.take() == []
    world.tick(800)
    assert ann.take() == []
    world.tick(100)
    assert [item[0] for item in ann.take()] == ["expiring"]  # told again before the new end
    world.tick(50)
    assert [item[0] for item in ann.take()] == ["closing", "disconnected"]


def test_every_room_is_judged_again(world: World) -> None:
    ann = member(world, "ann", projects=["apollo", "zeus"])
    ann.ask("join", ["lobby", "attic"])
    assert ann.code("publish", "lobby", "message", 1) is None
    ann.take()
    assert ann.code("refresh", world.token("ann", scope="chat", projects=["zeus", "hermes"])) is None
    assert ann.take() == [
        ["left", {"room": "project:apollo", "code": "rule_denied"}],
        ["left", {"room": "attic", "code": "rule_denied"}],
        ["joined", {"room": "project:hermes"}],
    ]
    assert ann.rooms == ["lobby", "project:hermes", "project:zeus"]
    assert ann.code("publish", "lobby", "message", 2) == "scope_missing"  # the remembered permission is gone


@pytest.mark.parametrize(
    ("sub", "claims", "code"),
    [
        ("bob", {}, "token_invalid"),  # another subject
        ("ann", {"scope": ""}, "scope_missing"),  # would not be let in
        ("ann", {"aud": "other"}, "token_invalid"),
        ("ann", {"exp": int(START) - 1}, "token_expired"),
        ("ann", {"iss": "https://other.example.com"}, "token_invalid"),
    ],
)
def test_or_nothing_changes(world: World, sub: str, claims: dict[str, Any], code: str) -> None:
    ann = member(world, "ann", exp=int(START) + 100, projects=["apollo"])
    token = world.token(sub, **{"scope": "chat", "exp": int(START) + 5000, **claims})
    assert ann.code("refresh", token) == code
    assert ann.rooms == ["project:apollo"]
    assert ann.take() == []
    world.tick(100)
    assert "closing" in [item[0] for item in ann.take()]


@pytest.mark.parametrize("arguments", [[], [None], [""], [5], [{}], ["a", "b"]])
def test_another_form_is_invalid(world: World, arguments: list[Any]) -> None:
    assert member(world, "ann").code("refresh", *arguments) == "invalid_payload"


def test_an_anonymous_session_cannot_refresh(world: World) -> None:
    guest = world.connect("/")
    assert guest.code("refresh", world.token("ann")) == "token_invalid"
    assert guest.session.user is None


def test_refreshing_takes_of_the_message_rate(world: World) -> None:
    ann = member(world, "ann")
    codes = [ann.code("refresh", "nonsense") for _ in range(51)]
    assert codes == ["token_invalid"] * 50 + ["rate_limited"]


def test_short_tokens_are_not_asked_for_again_at_once(world: World) -> None:
    ann = member(world, "ann", exp=int(START) + 20)
    ann.take()
    for _ in range(3):
        assert ann.code("refresh", world.token("ann", scope="chat", exp=int(world.clock.now) + 20)) is None
        assert ann.take() == []
        world.tick(9.9)
        assert ann.take() == []
        world.tick(0.1)
        assert ann.take() == [["expiring", {"in": 10_000}]]
