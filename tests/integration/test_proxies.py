"""The files for proxies, run by the real programs: polling, upgrade, stickiness, addresses, idle connections."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.daemon import ADMIN, Daemon
from tests.support.jsclient import js_client
from tests.support.proxies import FILES, PROXIES, running
from tests.support.rawclient import Polling, RawClient
from tests.support.timing import eventually, seconds

CLIENTS = [f"127.0.1.{index}" for index in range(1, 201)]
"""Addresses of their own, all of this machine; none of them is a trusted proxy's."""


def node(directory: Path, **server: Any) -> Daemon:
    """Return a daemon (not started) on the documented configuration, at free ports."""
    directory.mkdir()
    settings = yaml.safe_load((FILES / "compartments.yaml").read_text())
    settings["server"] |= {"listen": ["127.0.0.1:0"], "admin": [f"{ADMIN}:0"], **server}
    return Daemon(directory, settings)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, Daemon]]:
    """Two daemons that the tests of this module share; they allow one connection for an address."""
    directory = tmp_path_factory.mktemp("nodes")
    with (
        node(directory / "a", connections_per_address=1, ping_interval="1s") as one,
        node(directory / "b", connections_per_address=1, ping_interval="1s") as two,
    ):
        yield one, two


@pytest.fixture(params=PROXIES)
def url(request: pytest.FixtureRequest, tmp_path: Path, nodes: tuple[Daemon, Daemon]) -> Iterator[str]:
    """The address of a proxy in front of both."""
    with running(request.param, tmp_path, nodes, idle="2s") as address:
        yield address


async def emptied(nodes: tuple[Daemon, Daemon]) -> None:
    """Wait until nobody is connected any more: places count by address."""
    await eventually(lambda: not any(one.status()["connections"] for one in nodes), "all have left")


async def test_a_stock_client_polls_and_upgrades(url: str, nodes: tuple[Daemon, Daemon]) -> None:
    async with js_client() as js:
        manager = await js.manager(url)
        ann = await manager.socket("/")
        await manager.sees("upgrade")
        assert await manager.transport() == "websocket"
        assert (await ann.emit("join", "room:a"))["ok"]
        bob = await RawClient.open(url, source=CLIENTS[0])
        assert (await bob.connect()).sid
        if sum(one.status()["sessions"] == 2 for one in nodes):  # their addresses led to one process
            assert (await bob.call("/", "join", "room:a"))["ok"]
            await bob.call("/", "publish", "room:a", "message", "x" * 50_000)
            assert (await ann.event("message"))[0] == "x" * 50_000
        await bob.close()
    await emptied(nodes)


async def test_polling_clients_stay_with_their_process(url: str, nodes: tuple[Daemon, Daemon]) -> None:
    clients: list[Polling] = []
    for source in CLIENTS:
        clients.append(await Polling.open(url, source))
        # Whom an address leads to hangs on the ports, too: any dozen may meet in one process.
        if len(clients) >= 12 and all(one.status()["connections"] for one in nodes):
            break
    assert all(one.status()["connections"] for one in nodes), "both are used"
    for client in clients:
        client.keep_polling()
    for number, client in enumerate(clients):
        assert (await client.connect()).sid
        assert (await client.call("/", "join", f"room:{number}"))["ok"]
    for _ in range(3):  # each of these requests is a TCP connection of its own
        for number, client in enumerate(clients):
            assert (await client.call("/", "publish", f"room:{number}", "message", "y" * 20_000))["ok"]
    assert not any(client.closed for client in clients)
    for client in clients:
        await client.close()
    await emptied(nodes)


async def test_an_address_is_the_clients_own(url: str, nodes: tuple[Daemon, Daemon]) -> None:
    """One connection for an address is what these daemons allow, so the second shows whose it is."""
    first = await RawClient.open(url, source=CLIENTS[0])
    others = [await RawClient.open(url, source=source) for source in CLIENTS[1:4]]
    assert not any(client.closed for client in (first, *others))
    second = await RawClient.dial(url, source=CLIENTS[0])
    assert second.status == 503
    forging = {"X-Forwarded-For": "203.0.113.1", "X-Real-IP": "203.0.113.1", "Forwarded": "for=203.0.113.1"}
    liar = await RawClient.dial(url, headers=forging, source=CLIENTS[0])
    assert liar.status == 503, "what it says of itself counts for nothing"
    for client in (first, second, liar, *others):
        await client.close()
    await emptied(nodes)


async def test_idle_connections_last(url: str, nodes: tuple[Daemon, Daemon]) -> None:
    """The heartbeat is faster than the proxy's patience: twice that, and nobody has lost anything."""
    socket = await RawClient.open(url, source=CLIENTS[0])
    polling = await Polling.open(url, CLIENTS[1])
    polling.keep_polling()
    assert (await socket.connect()).sid
    assert (await polling.connect()).sid
    await asyncio.sleep(seconds(5))
    for client in (socket, polling):
        assert not client.closed
        assert (await client.call("/", "join", "room:a"))["ok"]
        await client.close()
    await emptied(nodes)


@pytest.mark.parametrize("name", PROXIES)
async def test_a_process_that_drains_hands_its_clients_to_the_other(name: str, tmp_path: Path) -> None:
    """Who has a WebSocket is told why; who polls finds the other process at the next request, and begins anew."""
    with node(tmp_path / "a", drain="1s") as one, node(tmp_path / "b", drain="1s") as two:
        (tmp_path / "proxy").mkdir()
        with running(name, tmp_path / "proxy", (one, two)) as address:
            async with js_client() as js:
                options = {"reconnection": True, "reconnectionDelayMax": 500}
                manager = await js.manager(address, **options)
                ann = await manager.socket("/")
                await manager.sees("upgrade")  # until then it polls, in part
                bob = await (await js.manager(address, transports=["polling"], **options)).socket("/")
                home, other = (one, two) if one.status()["connections"] else (two, one)
                home.signal(signal.SIGTERM)
                assert (await ann.event("closing"))[0]["code"] == "unavailable"
                for client in (ann, bob):
                    await client.disconnected(20)
                await eventually(
                    lambda: other.status()["sessions"] == 2, "they have come back by themselves", 20
                )
                for client in (ann, bob):
                    assert (await client.emit("join", "room:a"))["ok"]
