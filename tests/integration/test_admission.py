"""Who is turned away at the door: pages of other origins, and more connections than an operator allows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration import world
from tests.support.daemon import Daemon
from tests.support.mint import Issuer
from tests.support.rawclient import Polling, RawClient


async def answer(url: str, origin: str | None) -> int | None:
    """Return the status with which an upgrade that has this Origin is answered."""
    client = await RawClient.dial(url, headers={"Origin": origin} if origin else None)
    await client.close()
    return client.status


@pytest.mark.parametrize(
    "foreign", ["https://evil.example.com", "null", "http://127.0.0.1:1", "http://localhost"]
)
async def test_a_page_of_another_origin_is_refused(shared: Daemon, foreign: str) -> None:
    assert await answer(shared.url, None) == 101
    assert await answer(shared.url, shared.url) == 101
    assert await answer(shared.url, shared.url.replace("http", "https")) == 101, "TLS may end before us"
    assert await answer(shared.url, foreign) == 403


async def test_origins_follow_a_reload(daemon: Daemon) -> None:
    app = "https://app.example.com"
    assert await answer(daemon.url, app) == 403
    daemon.change("server", "origins", to=["https://*.example.com"])
    daemon.reload()
    assert await answer(daemon.url, app) == 101
    assert await answer(daemon.url, "https://example.org") == 403


async def test_one_address_has_so_many_connections(tmp_path: Path, corp: Issuer) -> None:
    settings = world.settings() | {"server": {"connections_per_address": 2}}
    with world.daemon(tmp_path, corp, settings) as daemon:
        first, second = await RawClient.open(daemon.url), await Polling.open(daemon.url)
        third = await RawClient.dial(daemon.url)
        assert third.status == 503
        await third.close()
        await first.close()
        await second.close()


async def test_handshakes_have_a_rate(tmp_path: Path, corp: Issuer) -> None:
    settings = world.settings() | {"server": {"connect_rate": "3/h"}}
    with world.daemon(tmp_path, corp, settings) as daemon:
        client = await RawClient.open(daemon.url)
        refused = await RawClient.dial(daemon.url)
        assert refused.status == 503
        await refused.close()
        assert (await client.connect("/")).sid, "whoever is connected is not concerned"
        await client.close()
