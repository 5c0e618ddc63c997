"""Providers that are down, or answer what no provider should: known keys go on, and the loop never waits."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.integration.oidc.probe import measured
from tests.integration.oidc.realm import Realm, realm
from tests.support.provider import OpenIdProvider
from tests.support.rawclient import RawClient
from tests.support.timing import seconds

pytestmark = pytest.mark.usefixtures("uncovered")

FAULTS = ("reset", "status", "garbage", "empty", "redirect", "huge", "slow")
MENDED_WITHIN = 22.0
"""Seconds after which the daemon has asked again: it waits 10 s after a first failure, 20 after a second."""


async def refusal(here: Realm, token: str) -> dict[str, object] | None:
    """Connect, and return what a refusal tells the client."""
    client = await RawClient.open(here.daemon.url)
    session = await client.connect("/chat", token)
    await client.close()
    if session.error is None:
        return None
    return {name: value for name, value in session.error["data"].items() if name in {"code", "retry"}}


async def broken(here: Realm, one: OpenIdProvider) -> RawClient:
    """Break a provider by the fault of its name, just after it has changed its keys."""
    old = await one.machine()
    live = await here.enter(old)
    await one.break_down(one.name)
    await one.publish("new", "1")
    new = await one.machine()
    assert await refusal(here, new) == {"code": "keys_unavailable", "retry": True}, one.name
    assert await refusal(here, old) is None, one.name
    assert (await live.call("/chat", "publish", "lobby", "message", 1))["ok"]
    await one.break_down(None)
    began = time.monotonic()
    while (told := await refusal(here, new)) is not None:
        assert told["code"] == "keys_unavailable", one.name
        assert time.monotonic() - began < seconds(MENDED_WITHIN), one.name
        assert await refusal(here, old) is None, one.name
        await asyncio.sleep(0.2)
    assert (await one.asked())["/moved/jwks"] == 0, "no redirect is followed"
    return live


@pytest.mark.usefixtures("alone")
async def test_whatever_providers_answer_known_keys_go_on_and_new_ones_come_once_they_are_mended(
    tmp_path: Path,
) -> None:
    async with realm(tmp_path, "sound", *FAULTS) as here:
        sound, *unsound = here.providers
        async with measured(here.daemon.url, await sound.machine()) as pauses:
            clients = await asyncio.gather(*(broken(here, one) for one in unsound))
        print(f"\nthe longest of {pauses.requests} answers meanwhile: {pauses.longest:.1f} ms")
        assert pauses.longest < seconds(1) * 1000
        for client in clients:
            assert not client.sessions["/chat"].ended
            await client.close()
        keys = here.daemon.status()["keys"]
        assert {name: keys[name]["keys"] for name in FAULTS} == dict.fromkeys(FAULTS, 2)
        assert keys["sound"]["failures"] == 0
        assert all(keys[name]["failures"] > 0 for name in FAULTS)


async def test_two_providers_with_keys_of_one_name_vouch_each_for_its_own(tmp_path: Path) -> None:
    async with realm(tmp_path, "corp", "partner", kid="shared") as here:
        corp, partner = here.providers
        assert await here.connect(await corp.forged(partner)) == "token_invalid", "cold"
        for one in (corp, partner):
            assert await here.connect(await one.machine()) is None
        assert await here.connect(await corp.forged(partner)) == "token_invalid", "warm"
        assert await here.connect(await partner.forged(corp)) == "token_invalid"
        # The names of users meet, too, and they are two people.
        ann, other = await corp.login("ann"), await partner.login("ann")
        clients = [await here.enter(ann.token), await here.enter(other.token)]
        await ann.logout()
        await clients[0].until(lambda: clients[0].sessions["/chat"].ended, "the session ends")
        assert (await clients[1].call("/chat", "publish", "lobby", "message", 1))["ok"]
        for client in clients:
            await client.close()
