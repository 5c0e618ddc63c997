"""A token whose key may come in a moment waits for it, once; nothing else waits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest

from compartmentd.names import EntryName
from compartmentd.tokens.entry import IssuerEntry, KeySource
from compartmentd.tokens.key import Key
from compartmentd.tokens.keyfile import read_keys
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.rejected import KeyStatus
from tests.support.peer import RecordingPeer
from tests.support.world import ISSUERS, SECRET, World

CHAT = ISSUERS + "namespaces: {/chat: {connect: authenticated}, /open: {connect: public}}\n"


class Provider:
    """Keys that come when a test says so."""

    def __init__(self) -> None:
        self.answer = KeyStatus.PENDING
        self.asked: list[tuple[EntryName, str | None]] = []
        self.waiting: list[Callable[[], None]] = []
        self.next: float | None = None

    def request_key(self, entry: EntryName, kid: str | None) -> KeyStatus:
        self.asked.append((entry, kid))
        return self.answer

    def call_when_answered(self, entry: EntryName, callback: Callable[[], None]) -> None:
        assert entry == "corp"
        self.waiting.append(callback)

    def compute_wait(self, entry: EntryName) -> float | None:
        assert entry == "corp"
        return self.next

    def answered(self) -> None:
        waiting, self.waiting = self.waiting, []
        for callback in waiting:
            callback()


class RemoteWorld(World):
    """A world whose one entry has its keys from a provider: those that `secret` stands for, or none."""

    def __init__(self, directory: Path) -> None:
        self.provider = Provider()
        self.secret: str | None = SECRET
        self.both = False
        super().__init__(directory, CHAT, keys=self.provider)

    def keyset(self, issuers: tuple[IssuerEntry, ...]) -> KeySet:
        (entry,) = issuers
        source = KeySource("jwks_url", "https://id.example.com/keys", entry.span)
        remote = msgspec.structs.replace(entry, sources=(source,))
        secrets = () if self.secret is None else (self.secret, OTHER) if self.both else (self.secret,)
        keys = [key for secret in secrets for key in read_keys(entry, secret.encode())]
        return KeySet.build((remote,), [key for key in keys if isinstance(key, Key)])

    def use(self, secret: str | None, text: str = CHAT) -> None:
        """Let the provider publish another key, or none, and put that in force."""
        self.secret = secret
        self.reload(text)


OTHER = "another secret of at least thirty-two bytes, for tests"


@pytest.fixture
def world(tmp_path: Path) -> RemoteWorld:
    return RemoteWorld(tmp_path)


def code(peer: RecordingPeer) -> str | None:
    (kind, _, _, *data) = peer.sent[0]
    return None if kind == "connected" else str(data[0]["code"])


def test_a_connect_waits_for_its_key(world: RemoteWorld) -> None:
    world.use(None)
    client = world.try_connect("/chat", "ann")
    assert client.peer.sent == []
    world.use(SECRET)
    world.provider.answered()
    assert code(client.peer) is None
    assert world.hub.registry.sessions == 1


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        (KeyStatus.ABSENT, "keys_unavailable"),  # the entry has no keys at all
        (KeyStatus.LATER, "keys_unavailable"),
        (KeyStatus.PENDING, "keys_unavailable"),  # it waited once, and that is enough
    ],
)
def test_it_waits_once(world: RemoteWorld, then: KeyStatus, expected: str) -> None:
    world.use(None)
    client = world.try_connect("/chat", "ann")
    world.provider.answer = then
    world.provider.answered()
    assert code(client.peer) == expected
    assert client.peer.sent[0][3]["retry"] is True
    assert world.provider.waiting == []


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(KeyStatus.LATER, "keys_unavailable"), (KeyStatus.ABSENT, "token_invalid")],
)
def test_where_nothing_is_on_its_way_it_does_not_wait(
    world: RemoteWorld, answer: KeyStatus, expected: str
) -> None:
    world.provider.answer = answer
    world.use(OTHER)
    assert code(world.try_connect("/chat", "ann").peer) == expected
    assert world.provider.waiting == []


@pytest.mark.parametrize(
    ("asked_in", "after"),
    [(4.0, 4000), (0.25, 250), (0.0, 1), (None, None)],
)
def test_a_refusal_says_when_the_provider_is_asked_next(
    world: RemoteWorld, asked_in: float | None, after: int | None
) -> None:
    world.use(None)
    world.provider.answer = KeyStatus.LATER
    world.provider.next = asked_in
    client = world.try_connect("/chat", "ann")
    assert code(client.peer) == "keys_unavailable"
    assert client.peer.sent[0][3].get("after") == after


def test_another_refusal_does_not_say_when_the_provider_is_asked_next(world: RemoteWorld) -> None:
    world.provider.answer = KeyStatus.ABSENT
    world.provider.next = 4.0
    world.use(OTHER)
    client = world.try_connect("/chat", "ann")
    assert code(client.peer) == "token_invalid"
    assert "after" not in client.peer.sent[0][3]


def test_a_refused_refresh_says_when_the_provider_is_asked_next(world: RemoteWorld) -> None:
    ann = world.connect("/chat", "ann")
    world.provider.answer = KeyStatus.LATER
    world.provider.next = 4.0
    ann._send(7, f'["refresh","{signed_by_other(world.token("ann"))}"]'.encode())
    [(_, _, _, refused)] = ann.take()
    assert refused["error"]["code"] == "keys_unavailable"
    assert refused["error"]["after"] == 4000


def test_a_bad_token_does_not_wait(world: RemoteWorld) -> None:
    assert code(world.try_connect("/chat", "ann", aud="other").peer) == "token_invalid"
    assert code(world.try_connect("/chat", "ann", exp=1).peer) in {"token_invalid", "token_expired"}
    assert world.provider.asked == []


def test_a_connection_that_ends_meanwhile_gets_no_session(world: RemoteWorld) -> None:
    world.use(None)
    client = world.try_connect("/chat", "ann")
    world.hub.handle_close(client.peer, [], "transport close")
    world.use(SECRET)
    world.provider.answered()
    assert client.peer.sent == []
    assert world.hub.registry.sessions == 0


def test_who_waits_while_the_server_leaves_is_sent_away(world: RemoteWorld) -> None:
    world.use(None)
    client = world.try_connect("/chat", "ann")
    world.hub.refuse_newcomers()
    assert code(client.peer) == "unavailable"
    world.use(SECRET)
    world.provider.answered()
    assert len(client.peer.sent) == 1
    assert world.hub.registry.sessions == 0


def test_who_waits_is_decided_by_the_policy_of_that_moment(world: RemoteWorld) -> None:
    world.use(None)
    client = world.try_connect("/chat", "ann")
    world.use(SECRET, CHAT.replace("connect: authenticated", "connect: nobody"))
    world.provider.answered()
    assert code(client.peer) == "rule_denied"


def signed_by_other(token: str) -> str:
    claims = jwt.decode(token, options={"verify_signature": False})
    return jwt.encode(claims, OTHER, algorithm="HS256")


def test_a_refresh_waits_too_and_others_go_on(world: RemoteWorld) -> None:
    ann = world.connect("/chat", "ann")
    token = signed_by_other(world.token("ann", exp=int(world.clock.now) + 4000))
    ann._send(7, f'["refresh","{token}"]'.encode())
    assert ann.take() == []
    assert ann.code("leave", "nowhere") is None
    world.both = True
    world.use(SECRET)
    world.provider.answered()
    answers: list[Any] = ann.take()
    assert answers == [("ack", "/chat", 7, {"ok": True, "expires": (int(world.clock.now) + 4000) * 1000})]


def test_a_refresh_of_a_session_that_ended_meanwhile_is_nothing(world: RemoteWorld) -> None:
    ann = world.connect("/chat", "ann")
    ann._send(7, f'["refresh","{signed_by_other(world.token("ann"))}"]'.encode())
    world.hub.handle_leave(ann.session)
    world.provider.answered()
    assert ann.take() == []


def test_without_fetched_keys_nothing_waits(tmp_path: Path) -> None:
    world = World(tmp_path, CHAT)
    (world.directory / "corp.secret").write_text(OTHER)
    world.reload(CHAT)
    assert code(world.try_connect("/chat", "ann").peer) == "token_invalid"
