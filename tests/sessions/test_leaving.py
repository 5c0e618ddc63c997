"""The end of the server, as its sessions see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.world import ISSUERS, World

POLICY = (
    ISSUERS
    + """
namespaces:
  /:
    connect: public
    rooms:
      "room:{name}": {join: public, publish: members, events: [message]}
"""
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, POLICY)


def test_nobody_comes_in_any_more_and_is_told_to_try_again(world: World) -> None:
    world.hub.refuse_newcomers()
    [(what, _, _, data)] = world.try_connect("/").peer.sent
    assert (what, data["code"], data["retry"]) == ("refused", "unavailable", True)


def test_who_is_in_a_room_goes_on_and_joins_no_other(world: World) -> None:
    ann, bob = world.connect("/"), world.connect("/")
    for client in (ann, bob):
        assert client.ask("join", "room:a")["ok"]
    world.hub.refuse_newcomers()
    refusal = ann.ask("join", "room:b")
    assert (refusal["error"]["code"], refusal["error"]["retry"]) == ("unavailable", True)
    assert ann.ask("join", ["room:c"])["error"]["code"] == "unavailable"
    bob.take()
    assert ann.ask("publish", "room:a", "message", "still here")["ok"]
    assert bob.take()[-1][:2] == ["message", "still here"]
    assert ann.ask("leave", "room:a")["ok"]


def test_goodbye_is_said_to_the_given_sessions_alone(world: World) -> None:
    ann, bob = world.connect("/"), world.connect("/")
    ann.take()
    bob.take()
    world.hub.announce_end([ann.session])
    [told] = ann.take()
    assert told == ["closing", {"code": "unavailable", "retry": True}]
    assert bob.take() == []
