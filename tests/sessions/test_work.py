"""What judges many rooms is charged for them: no client decides how much of the loop it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compartmentd.names import NamespaceName
from compartmentd.policy.codes import Code
from compartmentd.sessions.connect import MOST_FOR_CONNECT, ROOMS_IN_ONE
from compartmentd.sessions.rates import CONNECTS_AT_ONCE
from tests.support.peer import RecordingPeer
from tests.support.world import ISSUERS, World

POLICY = (
    ISSUERS
    + """
namespaces:
  /:
    connect: authenticated
    limits: {message_rate: 50/s, rooms_per_session: 1000}
    rooms:
      "team:{team}": {join: {claim: member, equals: true}, auto_join: {team: teams}}
"""
)
MANY = {"teams": [f"t{index}" for index in range(1500)]}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, POLICY)


@pytest.mark.parametrize(
    ("claims", "accepted"),
    [
        ({}, 50),
        ({"teams": ["a"]}, 50),
        (MANY, 2),  # 1 + 47 tokens of 50, and then what is left does not go below one burst under none
        (MANY | {"member": True}, 2),
    ],
)
def test_a_refresh_takes_a_token_for_every_so_many_rooms(
    world: World, claims: dict[str, Any], accepted: int
) -> None:
    ann = world.connect("/", "ann", **claims)
    token = world.token("ann", **claims)
    codes = [ann.code("refresh", token) for _ in range(60)]
    assert codes == [None] * accepted + ["rate_limited"] * (60 - accepted)
    world.clock.advance(2.0)
    assert ann.code("refresh", token) is None, "two bursts later at the latest it may again"


def test_connects_that_judge_many_rooms_are_fewer(world: World) -> None:
    peer, let_in = RecordingPeer(), 0
    for _ in range(127):
        client = world.try_connect("/", "ann", peer, **MANY)
        if "/" in peer.sessions:
            let_in += 1
            world.hub.handle_leave(client.session)
            del peer.sessions["/"]
    assert let_in == pytest.approx(CONNECTS_AT_ONCE / MOST_FOR_CONNECT, abs=1)
    assert peer.take()[-1][3]["code"] == "rate_limited"
    world.clock.advance(MOST_FOR_CONNECT)
    world.connect("/", "ann", peer, **MANY)


def test_many_small_connects_on_one_connection_are_not_charged(world: World) -> None:
    peer = RecordingPeer()
    for _ in range(int(CONNECTS_AT_ONCE)):
        client = world.connect("/", "ann", peer, teams=["a"] * (ROOMS_IN_ONE - 1))
        world.hub.handle_leave(client.session)


def test_auto_join_that_is_full_counts_the_rest(tmp_path: Path) -> None:
    world = World(tmp_path, POLICY.replace("rooms_per_session: 1000", "rooms_per_session: 10"))
    ann = world.connect("/", "ann", member=True, **MANY)
    assert len(ann.rooms) == 10
    assert world.hub.counters.auto_join_skipped == 1490
    assert skipped(world) == [
        (None, "too_many", "surplus: 1490 values for `team:{team}` (team:t10, team:t11, team:t12, …)")
    ]
    assert world.hub.counters.decided["auto_join", NamespaceName("/"), Code.TOO_MANY] == 1490


def skipped(world: World) -> list[tuple[Any, ...]]:
    """Return room, code and detail of the records of what was not auto-joined."""
    found = [each for each in world.records if each.occasion == "auto_join" and each.code]
    return [(each.room, each.code, each.detail) for each in found]


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"teams": ["a"]}, ("team:a", "rule_denied", "denied: 1 value for `team:{team}` (team:a)")),
        (
            {"teams": ["a", "b", "c", "d"]},
            (None, "rule_denied", "denied: 4 values for `team:{team}` (team:a, team:b, team:c, …)"),
        ),
        (
            {"teams": ["secret words", "b c"], "member": True},
            (None, "unknown_room", "not_matching: 2 values for `team:{team}`"),
        ),
        (
            {"teams": ["x" * 100], "member": False},
            (f"team:{'x' * 100}", "rule_denied", f"denied: 1 value for `team:{{team}}` (team:{'x' * 59})"),
        ),
    ],
    ids=["denied", "many-denied", "not-matching", "long-name"],
)
def test_what_is_not_auto_joined_is_one_record_for_each_reason(
    world: World, claims: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    ann = world.connect("/", "ann", **claims)
    assert skipped(world) == [expected]
    world.clock.advance(10.0)
    assert ann.code("refresh", world.token("ann", **claims)) is None
    assert skipped(world) == [expected] * 2
