"""What an operator's users and services do: tokens of a certified provider, used by the official client."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from tests.integration.oidc.realm import LOBBY, connect, ended, ending, realm
from tests.support.jsclient import js_client
from tests.support.provider import claims_of
from tests.support.rawclient import RawClient
from tests.support.timing import fastest, seconds

pytestmark = pytest.mark.usefixtures("uncovered")


async def test_a_service_and_a_user_meet_with_nothing_configured_but_issuer_and_audience(
    tmp_path: Path,
) -> None:
    async with realm(tmp_path, "corp") as here, js_client() as js:
        [corp] = here.providers
        login = await corp.login("ann")
        service = await (await js.manager(here.daemon.url)).socket("/chat", await corp.machine())
        manager = await js.manager(here.daemon.url)
        refused = await manager.refusal("/chat", login.id_token)
        assert refused["data"]["code"] == "token_invalid", "an ID token opens nothing"
        ann = await manager.socket("/chat", login.token)
        await ann.ok("join", LOBBY)
        await ann.ok("join", "project:apollo")
        assert await ann.denied("join", "project:manhattan") == "rule_denied"
        await service.ok("join", LOBBY)
        await service.ok("publish", LOBBY, "message", "hello")
        data, meta = await ann.event("message")
        assert (data, meta["from"]["user"]) == ("hello", "service")
        renewed = await corp.renew(login)
        answer = await ann.ok("refresh", renewed)
        assert answer["expires"] == claims_of(renewed)["exp"] * 1000
        assert await ann.denied("refresh", await corp.machine()) == "token_invalid", "of someone else"
        reader = await corp.machine("chat:connect")
        await (await (await js.manager(here.daemon.url)).socket("/chat", reader)).ok("join", LOBBY)
        log = here.daemon.log
        assert "wrong_audience: " in log, "and the log says why"


async def test_a_logout_at_the_provider_ends_that_login_and_no_other(tmp_path: Path) -> None:
    async with realm(tmp_path, "corp") as here, js_client() as js:
        [corp] = here.providers
        phone = await corp.login("ann")
        other, speaker = await here.enter(phone.token), await here.enter(await corp.machine())
        told: list[dict[str, str]] = []

        async def leave() -> float:
            laptop = await corp.login("ann")
            assert claims_of(laptop.token)["sid"] != claims_of(phone.token)["sid"]
            ours = [await here.enter(laptop.token) for _ in range(20)]
            browsers = [
                await (await js.manager(here.daemon.url, transports=[transport])).socket(
                    "/chat", laptop.token
                )
                for transport in ("websocket", "polling")
            ]
            quiet = asyncio.Event()
            talk = asyncio.create_task(talking(speaker, quiet))
            await ours[0].until(lambda: _heard(ours[0]), "the talk")
            began = time.monotonic()
            leaving = asyncio.create_task(laptop.logout())
            for client in ours:
                await client.until(partial(ended, client), "the session ends")
            for browser in browsers:
                assert (await browser.event("closing"))[0] == {"code": "logged_out", "retry": False}
                assert await browser.disconnected() == "io server disconnect"
            took = time.monotonic() - began
            await leaving
            said = [len(client.sessions["/chat"].events) for client in ours]
            quiet.set()
            await talk
            last = f"the last before {len(told)}"
            assert (await speaker.call("/chat", "publish", LOBBY, "message", last))["ok"]
            await other.until(lambda: other.sessions["/chat"].events[-1][1] == last, "the other goes on")
            print(f"\nfrom the logout's first request to the last disconnect: {took * 1000:.0f} ms")
            told.append({"sub": "ann", "sid": claims_of(laptop.token)["sid"]})
            assert await corp.call("told") == told
            assert {ending(client) for client in ours} == {"logged_out"}
            assert [len(client.sessions["/chat"].events) for client in ours] == said, "no frame after it"
            numbers = _heard(ours[0])
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "and none lost before it"
            assert await here.connect(laptop.token) == "logged_out"
            assert await here.connect(phone.token) is None
            for client in ours:
                await client.close()
            return took

        assert await fastest(leave, 1) < seconds(1)
        for client in (other, speaker):
            await client.close()


def _heard(client: RawClient) -> list[int]:
    return [event[1] for event in client.sessions["/chat"].events if event[0] == "message"]


async def talking(speaker: RawClient, quiet: asyncio.Event) -> None:
    """Publish numbers, one after the other, until it is to be quiet."""
    numbers = count()
    while not quiet.is_set():
        number = next(numbers)
        assert (await speaker.call("/chat", "publish", LOBBY, "message", number))["ok"]


async def test_a_restart_keeps_who_is_logged_out_and_asks_for_the_keys_again(tmp_path: Path) -> None:
    async with realm(tmp_path, "corp") as here:
        [corp] = here.providers
        ann, bob = await corp.login("ann"), await corp.login("bob")
        client = await here.enter(ann.token)
        await ann.logout()
        await client.until(lambda: client.sessions["/chat"].ended, "the session ends")
        await client.close()
        assert here.daemon.stop() == 0
        here.daemon.start()
        del here.daemon.__dict__["port"]
        again = await RawClient.open(here.daemon.url)
        assert await connect(again, ann.token) == "logged_out"
        assert await connect(again, bob.token) is None
        await again.close()
        fresh = await corp.login("ann")
        assert await here.connect(fresh.token) is None, "whoever logs in anew is let in"
