"""Revoking: in rounds that count for who asked before, kept before it is answered, and logouts that come twice."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest

from compartmentd.control.revocation import WAITING, Logouts, Revoker
from compartmentd.names import EntryName
from compartmentd.policy.codes import Code
from compartmentd.problems import span_of_file
from compartmentd.sessions.revocations import Revocation
from compartmentd.storage.revocations import RevocationStore, open_state
from compartmentd.tokens.entry import KeySource, LogoutSettings
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.rejected import KeyStatus
from compartmentd.tokens.security_events import LOGOUT_EVENT
from tests.support.timing import eventually
from tests.support.world import ISSUERS, SECRET, World

ISSUER = "https://id.example.com"
CLIENT = "chat-client"
POLICY = (
    ISSUERS
    + """
namespaces:
  /:
    connect: authenticated
    publish: authenticated
    events: [message]
"""
)


def with_logout(world: World) -> World:
    """Let the entry of the world take logouts, as `logout: {audience: chat-client}` does."""
    snapshot = world.hub.snapshot
    [entry] = snapshot.configuration.issuers
    entry = msgspec.structs.replace(entry, logout=LogoutSettings((CLIENT,)))
    configuration = msgspec.structs.replace(snapshot.configuration, issuers=(entry,))
    keys = KeySet.build([entry], snapshot.keys.keys[entry.name])
    world.hub.swap(
        msgspec.structs.replace(
            snapshot, generation=snapshot.generation + 1, configuration=configuration, keys=keys
        )
    )
    assert world.hub.judge_some(1.0)
    return world


def logout_token(**changed: Any) -> str:
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": CLIENT,
        "iat": now,
        "exp": now + 120,
        "jti": "1",
        "events": {LOGOUT_EVENT: {}},
        **changed,
    }
    claims = {name: value for name, value in claims.items() if value is not ...}
    return jwt.encode(claims, SECRET, algorithm="HS256", headers={"typ": "logout+jwt"})


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path, POLICY)
    made.clock.now = time.time()
    return with_logout(made)


def opened(path: Path) -> RevocationStore:
    path.mkdir(exist_ok=True)
    state = open_state(str(path), span_of_file(""))
    assert isinstance(state, RevocationStore)
    return state


def revocation(sub: str = "ann") -> Revocation:
    now = time.time()
    return Revocation(issuer=ISSUER, kind="sub", value=sub, before=now, code=Code.REVOKED, at=now)


# --- revoking ---------------------------------------------------------------------------------------------------


async def test_it_is_done_when_it_is_answered(world: World, tmp_path: Path) -> None:
    state = opened(tmp_path / "state")
    ann, bob = world.connect("/", "ann"), world.connect("/", "bob")
    revoker = Revoker(world.hub, state)
    assert await revoker.revoke(revocation()) is True
    assert ann.take() == [["closing", {"code": "revoked", "retry": False}], ("disconnected", "/")]
    assert bob.take() == []
    await revoker.close()
    state.close()
    again = opened(tmp_path / "state")
    assert [kept.value for kept in again.loaded.revocations] == ["ann"]
    assert again.loaded.max_age == 86400
    again.close()


async def test_many_at_once_share_their_rounds(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = opened(tmp_path / "state")
    saved: list[int] = []
    save = RevocationStore.save

    def counted(self: RevocationStore, kept: Any) -> None:
        saved.append(len(kept.revocations))
        save(self, kept)

    monkeypatch.setattr(RevocationStore, "save", counted)
    revoker = Revoker(world.hub, state)
    assert (
        await asyncio.gather(*(revoker.revoke(revocation(f"user-{n}")) for n in range(300))) == [True] * 300
    )
    assert len(saved) <= 2
    assert saved[-1] == 300
    await revoker.close()
    state.close()


async def test_a_slow_disk_holds_no_ending_up(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, written, go_on = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

    def slow(self: RevocationStore, kept: Any) -> None:
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()
        loop.call_soon_threadsafe(written.set)

    state = opened(tmp_path / "state")
    monkeypatch.setattr(RevocationStore, "save", slow)
    clients = [world.connect("/", name) for name in ("ann", "bob")]
    revoker = Revoker(world.hub, state)
    asked = [asyncio.create_task(revoker.revoke(revocation(name))) for name in ("ann", "bob")]
    await eventually(lambda: not any(client.peer.sessions for client in clients), "both have ended")
    assert not any(task.done() for task in asked)
    go_on.set()
    assert await asyncio.gather(*asked) == [True, True]
    assert written.is_set()
    await revoker.close()
    state.close()


async def test_what_could_not_be_kept_is_in_force_and_said(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(self: RevocationStore, kept: Any) -> None:
        raise OSError(28, "No space left on device")

    state = opened(tmp_path / "state")
    ann = world.connect("/", "ann")
    revoker = Revoker(world.hub, state)
    logouts = Logouts(world.hub, revoker)
    token = logout_token(sub="ann")
    with monkeypatch.context() as broken, caplog.at_level(logging.ERROR, "compartmentd"):
        broken.setattr(RevocationStore, "save", full)
        assert await logouts.log_out(token) is False
    assert "could not be written" in caplog.text
    assert ann.take()[0] == ["closing", {"code": "logged_out", "retry": False}]
    assert await logouts.log_out(token) is True, "the provider may try again"
    assert await logouts.log_out(token) is False
    await revoker.close()
    state.close()


# --- logouts ----------------------------------------------------------------------------------------------------


def kept(world: World) -> set[tuple[str, str]]:
    return {(one.kind, one.value) for one in world.hub.revocations.list_all()}


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({"sub": "ann"}, {("sub", "ann")}),
        ({"sid": "s1"}, {("sid", "s1")}),
        ({"sub": "ann", "sid": "s1"}, {("sid", "s1"), ("sub_without_sid", "ann")}),
    ],
)
async def test_a_logout_is_of_a_session_or_of_a_subject(
    world: World, named: dict[str, str], expected: set[tuple[str, str]]
) -> None:
    assert await Logouts(world.hub, Revoker(world.hub, None)).log_out(logout_token(**named)) is True
    assert kept(world) == expected
    assert {one.code for one in world.hub.revocations.list_all()} == {Code.LOGGED_OUT}


async def test_a_subject_may_log_in_again_at_once_and_a_session_does_not_come_back(world: World) -> None:
    logouts = Logouts(world.hub, Revoker(world.hub, None))
    now = int(time.time())
    assert await logouts.log_out(logout_token(sub="ann", iat=now - 2))
    assert await logouts.log_out(logout_token(sid="s1", iat=now - 2, jti="2"))
    assert world.try_connect("/", "ann", iat=now - 2).peer.sent[0][3]["code"] == "logged_out"
    assert world.try_connect("/", "ann", iat=now - 1).peer.sent[0][0] == "connected"
    assert world.try_connect("/", "bob", sid="s1", iat=now - 1).peer.sent[0][3]["code"] == "logged_out"
    assert world.try_connect("/", "bob", sid="s1", iat=now + 5).peer.sent[0][3]["code"] == "logged_out"


async def test_a_logout_counts_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    logouts = Logouts(world.hub, Revoker(world.hub, None))
    token = logout_token(sub="ann")
    with caplog.at_level(logging.INFO, "compartmentd"):
        assert [await logouts.log_out(token) for _ in range(3)] == [True, False, False]
    assert [record.__dict__["event"] for record in caplog.records] == [
        "logged_out",
        "logout_refused",
        "logout_refused",
    ]
    assert "ann" not in caplog.text
    assert token not in caplog.text


async def test_a_flood_of_bad_ones_changes_nothing_and_fills_no_log(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    logouts = Logouts(world.hub, Revoker(world.hub, None))
    with caplog.at_level(logging.INFO, "compartmentd"):
        for number in range(200):
            assert await logouts.log_out(logout_token(sub="ann", nonce="n", jti=str(number))) is False
    assert len(caplog.records) < 20
    assert kept(world) == set()


async def test_logouts_are_wanted_where_an_entry_takes_them(tmp_path: Path) -> None:
    plain = World(tmp_path, POLICY)
    logouts = Logouts(plain.hub, Revoker(plain.hub, None))
    assert not logouts.wanted
    assert await logouts.log_out(logout_token(sub="ann")) is False
    with_logout(plain)
    assert logouts.wanted


class Fetching:
    """Has a fetch run for every entry, which the test ends."""

    def __init__(self) -> None:
        self.asked: list[tuple[EntryName, str | None]] = []
        self.waiting: list[tuple[EntryName, Any]] = []

    def request_key(self, entry: EntryName, kid: str | None) -> KeyStatus:
        self.asked.append((entry, kid))
        return KeyStatus.PENDING

    def call_when_answered(self, entry: EntryName, callback: Any) -> None:
        self.waiting.append((entry, callback))

    def compute_wait(self, _entry: EntryName) -> float | None:
        return None


def without_keys(world: World) -> KeySet:
    """Make the entry one whose keys are fetched, and are not there yet; returns the keys as they will be."""
    snapshot = world.hub.snapshot
    [entry] = snapshot.configuration.issuers
    entry = msgspec.structs.replace(entry, sources=(KeySource("discovery", entry.issuer, entry.span),))
    complete = KeySet.build([entry], snapshot.keys.keys[entry.name])
    generation = snapshot.generation + 1
    world.hub.swap(msgspec.structs.replace(snapshot, generation=generation, keys=KeySet.build([entry])))
    return complete


async def test_a_logout_waits_for_keys_that_are_being_fetched(world: World) -> None:
    complete, fetching = without_keys(world), Fetching()
    logouts = Logouts(world.hub, Revoker(world.hub, None), fetching)
    asked = asyncio.create_task(logouts.log_out(logout_token(sub="ann")))
    await eventually(lambda: fetching.waiting, "it waits")
    assert not asked.done()
    snapshot = world.hub.snapshot
    world.hub.swap(msgspec.structs.replace(snapshot, generation=snapshot.generation + 1, keys=complete))
    [(entry, answered)] = fetching.waiting
    answered()
    assert fetching.asked == [(entry, None)]
    assert entry == "corp"
    assert await asked is True
    assert kept(world) == {("sub", "ann")}


async def test_it_waits_once_and_not_in_any_number(world: World) -> None:
    without_keys(world)
    fetching = Fetching()
    logouts = Logouts(world.hub, Revoker(world.hub, None), fetching)
    waiting = [
        asyncio.create_task(logouts.log_out(logout_token(sub=str(n), jti=str(n)))) for n in range(WAITING)
    ]
    await eventually(lambda: len(fetching.waiting) == WAITING, "all wait")
    assert await logouts.log_out(logout_token(sub="one too many", jti="x")) is False
    for _, answered in fetching.waiting:
        answered()
    assert not any(await asyncio.gather(*waiting))
    assert len(fetching.waiting) == WAITING
    assert kept(world) == set()


# --- over a restart ---------------------------------------------------------------------------------------------


async def test_a_restart_keeps_the_deny_list(tmp_path: Path) -> None:
    for directory in ("one", "two"):
        (tmp_path / directory).mkdir()
    first = with_logout(World(tmp_path / "one", POLICY))
    first.clock.now = time.time()
    state = opened(tmp_path / "state")
    revoker = Revoker(first.hub, state)
    assert await Logouts(first.hub, revoker).log_out(logout_token(sub="ann"))
    token = {"sub": "ann", "iat": int(time.time()) - 1}
    assert first.try_connect("/", **token).peer.sent[0][3]["code"] == "logged_out"
    # The process is killed here: nothing is said goodbye to but the lock, which the kernel takes back.
    state.close()
    second = with_logout(World(tmp_path / "two", POLICY))
    second.clock.now = time.time()
    assert second.try_connect("/", **token).peer.sent[0][0] == "connected"
    again = opened(tmp_path / "state")
    second.hub.restore(again.loaded.revocations, again.loaded.max_age)
    assert second.try_connect("/", **token).peer.sent[0][3]["code"] == "logged_out"
    assert second.try_connect("/", "bob").peer.sent[0][0] == "connected"
    await revoker.close()
    again.close()
