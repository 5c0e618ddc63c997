"""`server.failed_tokens`: beyond a rate of failures only remembered tokens of an address are looked at."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest

from compartmentd.net.addresses import find_network
from compartmentd.sessions import token_check as module
from compartmentd.tokens.cache import TokenCache
from tests.support.peer import RecordingPeer
from tests.support.world import ISSUERS, START, World

PLACES = "token_from: [auth, header, 'cookie:t', 'query:t']"


def configure(rate: str, **limits: str) -> str:
    return (
        ISSUERS
        + f"server: {{failed_tokens: {rate}, {PLACES}}}\n"
        + (f"limits: {json.dumps(limits)}\n" if limits else "")
        + "namespaces: {/chat: {connect: authenticated}, /open: {connect: public}}\n"
    )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, configure("2/s"), find_network=find_network)


class Visitor:
    """Tokens sent from one address, each over a connection of its own."""

    def __init__(self, world: World, address: str) -> None:
        self.world = world
        self.address = address

    def send(self, token: str | None, namespace: str = "/chat") -> Any:
        """Send a CONNECT; return the data of the refusal, `None` if it is allowed."""
        peer = RecordingPeer(self.address)
        self.world.hub.connect(
            peer, namespace, None if token is None else json.dumps({"token": token}).encode()
        )
        return None if peer.sessions else peer.sent[-1][3]

    def fail(self, token: str | None = None) -> str:
        """Send a token that fails; return the code."""
        code: str = self.send("x" if token is None else token)["code"]
        return code


def expired(world: World) -> str:
    return world.token("ann", exp=int(START) - 1)


def forged(world: World) -> str:
    del world
    return jwt.encode({"iss": "https://id.example.com", "aud": "realtime"}, "x" * 40, algorithm="HS256")


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda _: "opaque", "token_invalid"),
        (forged, "token_invalid"),
        (expired, "token_expired"),
        (lambda world: world.token("ann", aud="other"), "token_invalid"),
        (lambda _: "", "token_invalid"),
        (lambda _: "x" * 20_000, "token_invalid"),
    ],
)
def test_beyond_the_rate_a_token_is_refused_without_a_look(
    world: World, make: Callable[[World], str], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Visitor(world, "192.0.2.1")
    assert [here.fail(make(world)) for _ in range(2)] == [code, code]
    monkeypatch.setattr("compartmentd.tokens.cache.verify", None)
    good = here.send(world.token("ann"))
    assert good == {"code": "rate_limited", "retry": True, "after": 500}
    assert world.hub.unseen_tokens == 1
    assert world.records[-1].detail.startswith("too_many_failed: ")


def test_the_rate_comes_back(world: World) -> None:
    here = Visitor(world, "192.0.2.1")
    for _ in range(3):
        here.fail()
    world.clock.advance(0.4)
    assert here.send(world.token("ann"))["after"] in {100, 101}
    world.clock.advance(0.1)
    assert here.send(world.token("ann")) is None
    world.clock.advance(10.0)
    assert [here.fail() for _ in range(4)] == ["token_invalid"] * 2 + ["rate_limited"] * 2


def test_what_is_not_looked_at_costs_nothing_of_the_rate(world: World) -> None:
    here = Visitor(world, "192.0.2.1")
    for _ in range(100):
        here.fail()
    world.clock.advance(0.5)
    assert here.fail() == "token_invalid"


def test_remembered_tokens_and_sessions_without_one_are_let_in(world: World) -> None:
    here, token = Visitor(world, "192.0.2.1"), world.token("ann")
    assert here.send(token) is None
    for _ in range(5):
        here.fail()
    assert here.send(token) is None
    assert here.send(None, "/open") is None
    assert here.send(None)["code"] == "token_missing"
    assert here.send(world.token("bob"))["code"] == "rate_limited"


def test_good_tokens_cost_nothing(world: World) -> None:
    here = Visitor(world, "192.0.2.1")
    assert [here.send(world.token(f"user{n}")) for n in range(20)] == [None] * 20


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
    ],
)
def test_addresses_are_counted_by_network(world: World, one: str, other: str, together: bool) -> None:
    for _ in range(3):
        Visitor(world, one).fail()
    assert Visitor(world, other).fail() == ("rate_limited" if together else "token_invalid")


def test_the_peers_of_a_unix_socket_are_not_limited(world: World) -> None:
    here = Visitor(world, "")
    assert {here.fail() for _ in range(20)} == {"token_invalid"}


def test_without_the_key_nothing_is_limited(tmp_path: Path) -> None:
    world = World(tmp_path, configure("unlimited"))
    here = Visitor(world, "192.0.2.1")
    assert {here.fail() for _ in range(500)} == {"token_invalid"}


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"authorization": "Bearer x"}, {}),
        ({"cookie": "t=x"}, {}),
        ({}, {"t": ("x",)}),
    ],
)
def test_a_token_counts_wherever_it_stands(
    world: World, headers: dict[str, str], query: dict[str, tuple[str, ...]]
) -> None:
    codes = []
    for _ in range(3):
        peer = RecordingPeer(**headers)
        peer.handshake.query.update(query)  # type: ignore[attr-defined]
        world.hub.connect(peer, "/chat", None)
        codes.append(peer.sent[-1][3]["code"])
    assert codes == ["token_invalid", "token_invalid", "rate_limited"]


def test_a_refresh_counts_and_is_limited_too(world: World) -> None:
    ann = world.connect("/chat", "ann")
    codes = [ann.code("refresh", "x") for _ in range(3)]
    assert codes == ["token_invalid", "token_invalid", "rate_limited"]
    answer = ann.ask("refresh", world.token("ann", exp=int(START) + 50))
    assert answer["error"]["code"] == "rate_limited"
    assert answer["error"]["retry"] is True
    assert answer["error"]["after"] == 500
    assert Visitor(world, "192.0.2.1").fail() == "rate_limited"
    world.clock.advance(1.0)
    assert ann.code("refresh", world.token("ann", exp=int(START) + 50)) is None


@pytest.mark.parametrize("keeps", [True, False])
def test_a_reload_changes_the_rate_and_gives_nothing_back(world: World, keeps: bool) -> None:
    here = Visitor(world, "192.0.2.1")
    for _ in range(3):
        here.fail()
    world.reload(configure("1/m" if keeps else "unlimited"))
    assert here.fail() == ("rate_limited" if keeps else "token_invalid")
    world.clock.advance(59.0)
    assert here.fail() == ("rate_limited" if keeps else "token_invalid")
    world.clock.advance(1.1)
    assert here.fail() == "token_invalid"


def test_where_limits_are_observed_it_is_counted_and_let_through(tmp_path: Path) -> None:
    world = World(tmp_path, configure("2/s", mode="observe"))
    here = Visitor(world, "192.0.2.1")
    assert [here.fail() for _ in range(5)] == ["token_invalid"] * 5
    assert here.send(world.token("ann")) is None
    assert world.hub.observed_limits == {("/chat", "failed_tokens"): 4}
    assert world.hub.unseen_tokens == 0


def test_the_table_of_addresses_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NETWORKS", 3)
    check = module.TokenCheck(world.hub._core, str)
    for number in range(50):
        check.note_failed(module.Code.TOKEN_INVALID, world.hub.snapshot, f"192.0.2.{number}")
    assert len(check._failures) == 3


def test_missing_keys_are_no_fault_of_the_client(world: World) -> None:
    check = module.TokenCheck(world.hub._core, str)
    for _ in range(5):
        check.note_failed(module.Code.KEYS_UNAVAILABLE, world.hub.snapshot, "192.0.2.1")
    assert len(check._failures) == 0


def test_the_memory_of_tokens_is_the_checks_own(world: World) -> None:
    assert isinstance(world.hub.memory, TokenCache)
    assert world.hub.memory.budget == module.TOKEN_MEMORY
