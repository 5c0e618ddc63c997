"""Many at once: invented keys by the hundred thousand, and ten thousand sessions that end together."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.oidc.probe import measured
from tests.integration.oidc.realm import Realm, connect, realm
from tests.support.provider import OpenIdProvider, claims_of
from tests.support.rawclient import RawClient
from tests.support.timing import eventually, fastest, seconds
from tests.tokens import forge

pytestmark = pytest.mark.usefixtures("uncovered")

INVENTED = 100_000
FLOODERS = 50
AT_ONCE = 100
CROWD = 10_000


@pytest.mark.usefixtures("alone")
async def test_a_hundred_thousand_invented_keys_cause_one_fetch_in_ten_seconds(tmp_path: Path) -> None:
    async with realm(tmp_path, "corp") as here:
        [corp] = here.providers
        good = await corp.machine()
        _, payload, signature = good.split(".")
        codes: Counter[str | None] = Counter()
        numbers = iter(range(INVENTED))

        async def flood() -> None:
            client, sent = await RawClient.open(here.daemon.url), 0
            for number in numbers:
                if sent == AT_ONCE:  # a connection's own CONNECTs have a rate, so a flood needs many of them
                    await client.close()
                    client, sent = await RawClient.open(here.daemon.url), 0
                sent += 1
                header = forge.encode(b'{"alg":"RS256","typ":"at+jwt","kid":"invented %d"}' % number)
                session = await client.connect("/chat", f"{header}.{payload}.{signature}")
                codes[session.error["data"]["code"] if session.error else None] += 1
                if client.closed:  # as whoever gets no session in ten seconds
                    client, sent = await RawClient.open(here.daemon.url), 0
            await client.close()

        fetched, began = await corp.fetches(), time.monotonic()
        async with measured(here.daemon.url, good) as pauses:
            flooders = [asyncio.create_task(flood()) for _ in range(FLOODERS)]
            while any(not flooder.done() for flooder in flooders):
                assert await here.connect(good) is None, "a token of a known key never waits for it"
                await asyncio.sleep(0.05)
            await asyncio.gather(*flooders)
        took = time.monotonic() - began
        fetches = await corp.fetches() - fetched
        print(
            f"\n{fetches} fetches in {took:.1f} s, {INVENTED / took:.0f} tokens/s; "
            f"the longest of {pauses.requests} answers meanwhile: {pauses.longest:.1f} ms; {dict(codes)}"
        )
        assert 1 <= fetches <= 1 + took / 10
        assert codes["token_invalid"] + codes["keys_unavailable"] + codes[None] == INVENTED
        assert codes[None] < INVENTED / 100, "of those that were under way when a connection was closed"


@pytest.mark.usefixtures("alone")
async def test_ten_thousand_sessions_that_expire_together_are_gone_within_a_second(tmp_path: Path) -> None:
    async with realm(tmp_path, "corp") as here:
        [corp] = here.providers

        async def expire() -> float:
            clients = await crowd(here, await corp.machine())
            late = await ends_of(clients, corp)
            for client in clients:
                assert client.transport is not None
                client.transport.abort()
            await corp.grant_for(3600)
            most = late[len(late) * 99 // 100]
            print(
                f"\nof {len(late)} the first is gone {late[0]:.3f} s after its end, 99 of 100 after {most:.3f} s, "
                f"the last {late[-1]:.3f} s"
            )
            assert late[0] >= 0
            # All clients are one process here, which takes its time to read what ten thousand would.
            return max(most, late[-1] / 2)

        assert await fastest(expire, 1, most=3) < seconds(1)


async def crowd(here: Realm, token: str) -> list[RawClient]:
    """Return ten thousand clients that are connected by this token."""
    clients: list[RawClient] = []

    async def arrive() -> None:
        while len(clients) < CROWD:
            client = await RawClient.open(here.daemon.url)
            clients.append(client)
            assert await connect(client, token) is None

    await asyncio.gather(*(arrive() for _ in range(20)))
    return clients


async def refresh(clients: list[RawClient], token: str) -> float:
    """Refresh every session with this token, and return the seconds that it took."""
    began = time.monotonic()
    expected = {(True, claims_of(token)["exp"] * 1000)}
    for several in batched(clients, 500):
        answers = await asyncio.gather(*(client.call("/chat", "refresh", token) for client in several))
        assert {(answer["ok"], answer["expires"]) for answer in answers} == expected
    return time.monotonic() - began


async def ends_of(clients: list[RawClient], corp: OpenIdProvider) -> list[float]:
    """Let the sessions end at one moment, and return how much later each client was told, in order."""
    usual = await refresh(clients, await corp.machine())
    await corp.grant_for(int(2 * usual) + 3)  # as long as all of them need once more, and some to spare
    last = await corp.machine()
    ends = claims_of(last)["exp"]
    await refresh(clients, last)
    gone: list[float] = []
    for client in clients:
        client.on_event = lambda _, event: gone.append(time.time()) if event[0] == "closing" else None
    left = ends - time.time()
    assert left > 0
    await asyncio.sleep(left)
    await eventually(lambda: len(gone) == len(clients), "all are gone")
    return sorted(moment - ends for moment in gone)


def batched(clients: list[RawClient], size: int) -> Iterator[list[RawClient]]:
    """Yield so many at a time."""
    for start in range(0, len(clients), size):
        yield clients[start : start + size]
