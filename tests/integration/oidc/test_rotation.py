"""A provider changes its keys: announced, at once, cut hard, and under the same name."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path

from tests.integration.oidc.realm import Realm, ended, ending, realm
from tests.support.provider import OpenIdProvider
from tests.support.timing import seconds

ACCEPTED_WITHIN = 10.0
"""Seconds after which a token of a new key is let in at the latest, however soon keys follow one another."""


BUSY = 5.0
"""Seconds that a busy machine may add."""


async def accepted(here: Realm, token: str) -> float:
    """Connect until it succeeds, as a client does that is told to retry; return the seconds it took."""
    began = time.monotonic()
    while await here.connect(token) is not None:
        assert time.monotonic() - began < seconds(ACCEPTED_WITHIN + BUSY)
        await asyncio.sleep(0.1)
    return time.monotonic() - began


async def never_fails(here: Realm, token: str) -> None:
    """Connect again and again with a token whose key is published."""
    while True:
        assert await here.connect(token) is None
        await asyncio.sleep(0.01)


async def test_tokens_of_published_keys_never_fail_while_keys_follow_one_another(tmp_path: Path) -> None:
    async with realm(tmp_path, "corp", kid="a") as here:
        [corp] = here.providers
        old = await corp.machine()
        live = await here.enter(old)
        steady = asyncio.create_task(never_fails(here, old))
        await corp.publish("a", "b")  # announced: published before it signs
        await corp.publish("b", "a")
        assert await here.connect(await corp.machine()) is None, "the first is fetched while the client waits"
        await corp.publish("c", "b", "a")  # at once, and seconds after the last: the worst case
        took = await accepted(here, await corp.machine())
        print(f"accepted after {took:.2f} s")
        assert not steady.done()
        steady.cancel()
        await asyncio.gather(steady, return_exceptions=True)
        assert (await live.call("/chat", "publish", "lobby", "message", 1))["ok"]
        await live.close()


async def replaced(here: Realm, corp: OpenIdProvider, kid: str) -> None:
    """Cut the keys hard: what `kid` names now is the only key, and its tokens are the only ones."""
    old, login = await corp.machine(), await corp.login("ann")
    live = [await here.enter(old), await here.enter(login.token)]
    for one in ("a", kid):
        await corp.call("forget", kid=one)
    await corp.publish(kid)
    new = await corp.machine()
    assert await here.connect(new) is None, "fetched while the client waits"
    for client in live:
        await client.until(partial(ended, client), "its key is withdrawn")
        assert ending(client) == "revoked"
        await client.close()
    assert await here.connect(old) == "token_invalid"
    assert await here.connect(new) is None


async def test_a_key_that_is_withdrawn_ends_its_sessions(tmp_path: Path) -> None:
    async with realm(tmp_path, "corp", kid="a") as here:
        await replaced(here, here.providers[0], "b")


async def test_another_key_of_the_same_name_is_another_key(tmp_path: Path) -> None:
    async with realm(tmp_path, "corp", kid="a") as here:
        await replaced(here, here.providers[0], "a")
