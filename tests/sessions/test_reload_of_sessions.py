"""A reload reaches live sessions: who is denied is out, gets nothing more, and nobody else notices (P3, P4)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.support.world import ISSUERS, START, World

BASE = (
    ISSUERS
    + """
namespaces:
  /:
    connect: public
    publish: authenticated
    events: [message]
  /chat:
    connect: CONNECT
    rooms:
      lobby: {join: LOBBY, publish: members, events: [message]}
      den: {join: DEN, publish: members, events: [message]}
      attic: {join: {member_of: den}, publish: members, events: [message]}
      "user:{user}": {join: {claim: sub, equals: "{user}"}, auto_join: AUTO}
"""
)


def policy(
    connect: str = "authenticated", lobby: str = "authenticated", den: str = "authenticated", auto: str = ""
) -> str:
    text = BASE.replace("CONNECT", connect).replace("LOBBY", lobby).replace("DEN", den)
    return text.replace(", auto_join: AUTO", f", auto_join: {auto}" if auto else "")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, policy())


def enter(world: World, sub: str, *rooms: str, **claims: Any) -> Any:
    client = world.connect("/chat", sub, **claims)
    for room in rooms:
        assert client.code("join", room) is None
    return client


CLOSED = [["closing", {"code": "policy_changed", "retry": False}], ("disconnected", "/chat")]


def test_a_session_that_the_new_policy_denies_ends(world: World) -> None:
    ann, bob = enter(world, "ann", "lobby", level=1), enter(world, "bob", "lobby", "den", level=3)
    assert world.reload(policy(connect="{claim: level, at_least: 2}")) == (1, 1)
    assert ann.take() == CLOSED
    assert bob.take() == []
    assert bob.rooms == ["den", "lobby"]
    assert world.hub.judged == 2


def test_a_membership_that_the_new_policy_denies_ends_with_what_depends_on_it(world: World) -> None:
    ann = enter(world, "ann", "lobby", "den", "attic")
    assert world.reload(policy(den="{claim: level, at_least: 2}")) == (0, 2)
    assert ann.take() == [["left", {"room": room, "code": "policy_changed"}] for room in ("den", "attic")]
    assert ann.rooms == ["lobby"]


def test_a_namespace_that_is_gone_takes_its_sessions_with_it(world: World) -> None:
    ann, root = enter(world, "ann", "lobby"), world.connect("/", "ann")
    text = policy()
    assert world.reload(text[: text.index("  /chat:")]) == (1, 1)
    assert ann.take() == CLOSED
    assert root.take() == []


def test_a_template_that_is_gone_takes_its_memberships_with_it(world: World) -> None:
    ann = enter(world, "ann", "lobby", "den")
    text = policy().replace("      lobby: {join: authenticated, publish: members, events: [message]}\n", "")
    assert world.reload(text) == (0, 1)
    assert ann.take() == [["left", {"room": "lobby", "code": "policy_changed"}]]


def test_what_is_published_meanwhile_waits_for_judgement(world: World) -> None:
    ann, bob, eve = (enter(world, name, "lobby", level=n) for n, name in enumerate(("ann", "bob", "eve")))
    world.swap(policy(lobby="{claim: level, at_least: 1}"))
    assert bob.code("publish", "lobby", "message", 1) is None  # bob is judged by his own event
    assert bob.code("publish", "lobby", "message", 2) is None
    assert ann.take() == eve.take() == []
    while not world.hub.judge_some(0.0):
        pass
    assert ann.take() == [["left", {"room": "lobby", "code": "policy_changed"}]]
    assert [item[1] for item in eve.take()] == [1, 2]
    assert bob.take() == []


def test_messages_to_the_whole_namespace_wait_too(world: World) -> None:
    ann, guest = world.connect("/", "ann"), world.connect("/")
    world.swap(policy().replace("connect: public", "connect: authenticated"))
    assert ann.code("publish", None, "message", "for members") is None
    while not world.hub.judge_some(0.0):
        pass
    assert [item[0] for item in guest.take()] == ["closing", "disconnected"]


def test_a_session_is_judged_before_its_own_next_event(world: World) -> None:
    ann, bob = enter(world, "ann", "lobby", level=0), enter(world, "bob", "lobby", level=1)
    world.swap(policy(connect="{claim: level, at_least: 1}"))
    ann.emit("publish", "lobby", "message", "too late")
    assert ann.take() == CLOSED
    assert world.reload(policy(connect="{claim: level, at_least: 1}")) == (0, 0)
    assert bob.take() == []


def test_a_removed_entry_revokes_its_sessions(world: World) -> None:
    ann, guest = enter(world, "ann", "lobby"), world.connect("/")
    world.reload(policy().replace("issuer: https://id.example.com", "issuer: https://other.example.com"))
    assert ann.take() == [["closing", {"code": "revoked", "retry": False}], ("disconnected", "/chat")]
    assert guest.take() == []


def test_a_changed_key_revokes_the_sessions_of_the_old_one(world: World) -> None:
    ann = enter(world, "ann", "lobby")
    (world.directory / "corp.secret").write_text("another secret of at least thirty-two bytes, for tests\n")
    world.reload(policy())
    assert ann.take()[0] == ["closing", {"code": "revoked", "retry": False}]


def test_a_changed_audience_revokes(world: World) -> None:
    ann = enter(world, "ann")
    world.reload(policy().replace("audience: realtime", "audience: other"))
    assert ann.take()[0] == ["closing", {"code": "revoked", "retry": False}]


def test_a_shorter_max_age_moves_the_end(world: World) -> None:
    ann = enter(world, "ann", exp=int(START) + 5000)
    world.reload(policy().replace("audience: realtime", "audience: realtime\n    max_age: 1000s"))
    world.tick(999)
    assert [item[0] for item in ann.take()] == ["expiring"]
    world.tick(1)
    assert ann.take()[0] == ["closing", {"code": "token_expired", "retry": True}]


def test_a_rule_may_name_a_claim_that_no_rule_named_before(world: World) -> None:
    ann, bob = enter(world, "ann", colour="red"), enter(world, "bob", colour="blue")
    assert world.reload(policy(connect="{claim: colour, equals: red}")) == (1, 0)
    assert ann.take() == []
    assert bob.take() == CLOSED


def test_a_reload_auto_joins_what_is_new_but_not_what_was_left(world: World) -> None:
    world.reload(policy(auto="{user: sub}"))
    ann, bob = enter(world, "ann"), enter(world, "bob")
    ann.ask("leave", "user:ann")
    world.reload(policy())
    bob.ask("leave", "user:bob")  # no auto-join now, so this is not remembered
    world.reload(policy(auto="{user: sub}", den="nobody"))
    assert ann.take() == []
    assert bob.take() == [["joined", {"room": "user:bob"}]]


def test_limits_bind_the_next_and_evict_nobody(world: World) -> None:
    clients = [enter(world, "ann", "lobby", "den") for _ in range(3)]
    text = policy(lobby="authenticated, capacity: 1").replace(
        "namespaces:",
        "limits: {sessions_per_user: 1, rooms_per_session: 1, message_rate: 1/s}\nnamespaces:",
    )
    assert world.reload(text) == (0, 0)
    assert all(client.rooms == ["den", "lobby"] for client in clients)
    assert clients[0].code("publish", "den", "message", 1) is None
    assert clients[0].code("publish", "den", "message", 1) == "rate_limited"
    assert world.try_connect("/chat", "ann").peer.sent[0][3]["code"] == "too_many"


def test_remembered_permissions_die_with_the_snapshot(world: World) -> None:
    ann, bob = enter(world, "ann", "lobby"), enter(world, "bob", "lobby")
    assert ann.code("publish", "lobby", "message", 1) is None
    world.reload(
        policy().replace(
            "lobby: {join: authenticated, publish: members", "lobby: {join: authenticated, publish: nobody"
        )
    )
    assert ann.code("publish", "lobby", "message", 2) == "rule_denied"
    assert [item[1] for item in bob.take()] == [1]


def test_time_alone_ends_a_membership_and_a_session(world: World) -> None:
    world.reload(
        policy(connect="{claim: access_until, is: future}", lobby="{claim: lobby_until, is: future}")
    )
    ann = enter(world, "ann", "lobby", access_until=START + 200, lobby_until=START + 100)
    world.tick(99.9)
    assert ann.take() == []
    world.tick(0.2)
    assert ann.take() == [["left", {"room": "lobby", "code": "rule_denied"}]]
    world.tick(100)
    assert ann.take()[0][0] == "closing"


def test_a_session_that_cannot_be_judged_is_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ann, bob = enter(world, "ann", "lobby"), enter(world, "bob", "lobby")
    judge, unlucky = world.hub._core.judge_session, ann.session

    def fails(session: Any, *more: Any, **rest: Any) -> Any:
        if session is unlucky:
            raise RuntimeError("a fault that cannot be had otherwise")
        return judge(session, *more, **rest)

    monkeypatch.setattr(world.hub._core, "judge_session", fails)
    assert world.reload(policy(lobby="public")) == (1, 1)
    assert ann.take()[0] == ["closing", {"code": "unavailable", "retry": True}]
    assert bob.take() == []
    assert len(world.failures) == 1


LEVELS = [0, 1, 2, 3, 4]
steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from(LEVELS)),
        st.tuples(st.just("publish"), st.sampled_from(LEVELS)),
        st.tuples(st.just("connect_rule"), st.integers(0, 4)),
        st.tuples(st.just("room_rule"), st.integers(0, 4)),
        st.tuples(st.just("judge"), st.integers(1, 3)),
    ),
    max_size=25,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=steps)
def test_the_denied_get_nothing_more_and_the_others_lose_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    history: list[tuple[str, int]],
) -> None:
    """Any mix of publishing, swapping policies and judging in slices, against a model that judges at once."""
    world = World(tmp_path_factory.mktemp("p3"), policy())
    clients = {level: enter(world, f"user{level}", "lobby", level=level) for level in LEVELS}
    connected, members = set(LEVELS), set(LEVELS)
    expected: dict[int, list[int]] = {level: [] for level in LEVELS}
    rules = {"connect": 0, "lobby": 0}
    for number, (step, value) in enumerate(history):
        if step == "publish":
            if value in members:
                clients[value].emit("publish", "lobby", "message", number)
                for level in members - {value}:
                    expected[level].append(number)
            elif "/chat" in clients[value].peer.sessions:
                clients[value].emit("publish", "lobby", "message", number)
        elif step == "judge":
            for _ in range(value):
                world.hub.judge_some(0.0)
        else:
            while not world.hub.judge_some(1.0):  # the one before is done before the next begins
                pass
            rules["connect" if step == "connect_rule" else "lobby"] = value
            world.swap(
                policy(**{where: f"{{claim: level, at_least: {least}}}" for where, least in rules.items()})
            )
            connected = {level for level in connected if level >= rules["connect"]}
            members = {level for level in members & connected if level >= rules["lobby"]}
    while not world.hub.judge_some(1.0):
        pass
    assert world.failures == []
    for level, client in clients.items():
        got = [item[1] for item in client.take() if item[0] == "message"]
        assert got == expected[level]
        assert ("/chat" in client.peer.sessions) == (level in connected)
        if level in connected:
            assert ("lobby" in client.session.memberships) == (level in members)
