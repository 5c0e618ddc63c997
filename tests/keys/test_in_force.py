"""From the provider to live sessions: keys that change are in force by way of the reloader."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from compartmentd.configuration.compiler import load
from compartmentd.configuration.snapshot import build_snapshot, read_local_keys
from compartmentd.control.admin_access import AdminAccess
from compartmentd.control.generation import FetchedKeys, Generation, LocalKeys
from compartmentd.control.reload import Scope, take_in_fetched_keys
from compartmentd.control.requests import Refused
from compartmentd.daemon.subscribers import KeyFollower as FollowedEntries
from compartmentd.keys.files import read_material
from compartmentd.keys.remote import RemoteKeys
from compartmentd.keys.schedule import SPACING
from compartmentd.names import EntryName
from compartmentd.policy.templates.dispatch import run_to_end
from compartmentd.storage.files import Disk
from compartmentd.tokens.rejected import KeyStatus
from tests.keys.provider import CORP, Provider, provider
from tests.support.clock import FakeClock
from tests.support.peer import RecordingPeer
from tests.support.reloading import ControlPlane
from tests.support.timing import eventually, within
from tests.tokens import forge

POLICY = """version: 1
issuers:
  corp: {issuer: "https://id.example.com", audience: realtime, secret_file: corp.secret}
  local: {issuer: "https://local.example.com", audience: realtime, secret_file: corp.secret, use: [admin]}
namespaces:
  /: {connect: authenticated}
"""


class Wall:
    """The wall's time, and the monotonic time that a test moves."""

    wall = staticmethod(time.time)

    def __init__(self) -> None:
        self.monotonic = FakeClock(1000.0)


class Setup:
    """A reloader and a hub on a policy whose first entry has remote keys."""

    def __init__(self, directory: Path, idp: Provider, **settings: Any) -> None:
        self.secret = directory / "corp.secret"
        self.secret.write_text("s" * 40)
        path = directory / "compartments.yaml"
        path.write_text(POLICY)
        loaded = load(str(path), Disk(), serving=True)
        assert loaded.configuration is not None
        _, local = loaded.configuration.issuers
        corp = idp.entry(issuer="https://id.example.com", **settings)
        configuration = msgspec.structs.replace(loaded.configuration, issuers=(corp, local))
        material, _ = read_material((local,), development=False)
        keys, _ = read_local_keys(configuration.issuers, material)
        snapshot = run_to_end(build_snapshot(configuration, loaded.digest, keys, 1))
        self.clock = Wall()
        self.remote = RemoteKeys(monotonic=self.clock.monotonic, jitter=lambda: 0.0)
        first = Generation(
            snapshot=snapshot,
            loaded=msgspec.structs.replace(loaded, configuration=configuration),
            read_at=0.0,
            local=LocalKeys.from_material(keys, material),
            fetched=FetchedKeys.from_keys({}),
        )
        plane = ControlPlane(path, first, self.remote, clock=self.clock)
        self.hub, self.reloader, self.failures = plane.hub, plane.reloader, plane.failures
        self._taking: asyncio.Future[None] | None = None

    def start(self) -> None:
        """Fetch keys, and take them in as they come."""
        self.reloader.subscribe(FollowedEntries(self.remote))
        self._taking = asyncio.ensure_future(take_in_fetched_keys(self.remote, self.reloader))

    async def close(self) -> None:
        assert self._taking is not None
        assert not self._taking.done()
        self._taking.cancel()
        await self.remote.close()

    def connect(self, kid: str) -> RecordingPeer:
        """Connect with a token by this key, and return what the client saw."""
        peer = RecordingPeer()
        self.hub.connect(peer, "/", json.dumps({"token": self.token(kid)}).encode())
        return peer

    def token(self, kid: str) -> str:
        """Return a token by this key."""
        now = int(time.time())
        body = forge.claims(iss="https://id.example.com", iat=now, exp=now + 600)
        return forge.sign({"alg": "ES256", "kid": kid}, body, "ES256", forge.private_key("p256", kid))

    async def fetch(self) -> None:
        """Let the provider be asked, and wait until the answer is in force."""
        self.clock.monotonic.advance(SPACING)
        assert self.remote.request_key(CORP, f"kid at {self.clock.monotonic.now}") is KeyStatus.PENDING
        await self.answered()

    async def answered(self) -> None:
        """Wait for the end of the fetch that runs, if one does."""
        told = asyncio.Event()
        self.remote.call_when_answered(CORP, told.set)
        await within(10, told.wait(), "the end of a fetch")


@asynccontextmanager
async def set_up(directory: Path, *kids: str) -> AsyncIterator[tuple[Setup, Provider]]:
    async with provider() as idp:
        if kids:
            idp.publish(*kids)
        setup = Setup(directory, idp)
        setup.start()
        try:
            await setup.remote.wait_for_keys(10 if kids else 0.1)
            await setup.answered()
            yield setup, idp
            assert setup.failures == []
        finally:
            await setup.close()


async def test_an_administrators_token_by_a_new_key_brings_a_fetch_too(tmp_path: Path) -> None:
    async with provider() as idp:
        idp.publish("a")
        setup = Setup(tmp_path, idp, use=("admin",))
        setup.start()
        try:
            await setup.remote.wait_for_keys(10)
            await setup.answered()
            admin = AdminAccess(setup.hub, setup.remote)
            good = Refused("the token does not satisfy `server.admin_access`", known=True)
            assert admin.authorize(setup.token("a")) == good
            idp.publish("a", "b")
            setup.clock.monotonic.advance(SPACING)
            assert admin.authorize(setup.token("b")) != good
            await setup.answered()
            assert admin.authorize(setup.token("b")) == good
        finally:
            await setup.close()


def connected(peer: RecordingPeer) -> bool:
    return [item[0] for item in peer.sent] == ["connected"]


def code_of(peer: RecordingPeer) -> Any:
    ((kind, _, _, data),) = peer.sent
    assert kind == "refused"
    return data["code"], data["retry"]


async def test_tokens_by_fetched_keys_connect(tmp_path: Path) -> None:
    async with set_up(tmp_path, "a", "b") as (setup, _):
        assert connected(setup.connect("a"))
        assert connected(setup.connect("b"))
        assert setup.hub.snapshot.generation == 2


async def test_without_keys_it_is_worth_trying_again(tmp_path: Path) -> None:
    async with set_up(tmp_path) as (setup, _):
        assert code_of(setup.connect("a")) == ("keys_unavailable", True)


async def test_sessions_of_a_withdrawn_key_end_and_the_others_stay(tmp_path: Path) -> None:
    async with set_up(tmp_path, "a", "b") as (setup, idp):
        leaving, staying = setup.connect("a"), setup.connect("b")
        idp.publish("b")
        await setup.fetch()
        assert leaving.sent[1:] == [
            ("event", "/", ["closing", {"code": "revoked", "retry": False}]),
            ("disconnected", "/"),
        ]
        assert connected(staying)
        assert setup.reloader.last is not None
        assert setup.reloader.last.evicted.sessions == 1


async def test_an_outage_ends_nobody(tmp_path: Path) -> None:
    async with set_up(tmp_path, "a") as (setup, idp):
        before = setup.connect("a")
        idp.answers.clear()
        for _ in range(3):
            await setup.fetch()
        assert connected(before)
        assert connected(setup.connect("a"))
        assert setup.hub.snapshot.generation == 2


async def test_the_same_set_again_is_no_new_generation(tmp_path: Path) -> None:
    async with set_up(tmp_path, "a") as (setup, idp):
        await setup.fetch()
        await setup.fetch()
        assert len(idp.asked) == 3
        assert setup.hub.snapshot.generation == 2


async def test_a_broken_file_does_not_keep_a_withdrawn_key_alive(tmp_path: Path) -> None:
    async with set_up(tmp_path, "a", "b") as (setup, idp):
        leaving = setup.connect("a")
        setup.secret.unlink()
        idp.publish("b")
        await setup.fetch()
        assert ("disconnected", "/") in leaving.sent
        assert setup.hub.snapshot.keys.keys[EntryName("local")] != ()


async def test_local_keys_change_without_asking_the_provider(tmp_path: Path) -> None:
    async with set_up(tmp_path, "a") as (setup, idp):
        before = setup.connect("a")
        setup.secret.write_text("t" * 40)
        report = await setup.reloader.reload("test", Scope.KEYS)
        assert (report.ok, report.changed, report.evicted.sessions) == (True, True, 0)
        assert connected(before)
        assert len(idp.asked) == 1


async def test_a_reload_without_the_providers_keys_warns_and_goes_on(tmp_path: Path) -> None:
    async with set_up(tmp_path) as (setup, _):
        report = await setup.reloader.reload("test", Scope.KEYS)
        assert report.ok
        assert [(p.severity, p.code) for p in report.problems] == [("warning", "key.unavailable")]


async def test_a_reload_and_a_fetch_at_once_do_not_wait_for_each_other(tmp_path: Path) -> None:
    async with set_up(tmp_path, "a") as (setup, idp):
        idp.publish("a", "b")
        setup.clock.monotonic.advance(SPACING)
        setup.remote.request_key(CORP, "b")
        await within(10, setup.reloader.reload("test", Scope.KEYS), "the reload")
        await eventually(lambda: connected(setup.connect("b")), "the new key in force")


async def test_a_hundred_thousand_tokens_with_invented_keys_are_one_fetch(tmp_path: Path) -> None:
    async with set_up(tmp_path, "a") as (setup, idp):
        setup.clock.monotonic.advance(SPACING)
        asked = {setup.remote.request_key(CORP, f"invented {number}") for number in range(100_000)}
        assert asked == {KeyStatus.PENDING}
        await eventually(lambda: len(idp.asked) == 2, "the one fetch")
        assert connected(setup.connect("a"))
