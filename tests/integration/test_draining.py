"""TERM: nobody new, everybody told, the ends spread over `server.drain`, and exit code 0 in time."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest

from tests.integration import world
from tests.integration.world import CHAT
from tests.support.daemon import Daemon
from tests.support.jsclient import js_client
from tests.support.mint import Issuer
from tests.support.rawclient import RawClient
from tests.support.timing import eventually, within


def draining(directory: Path, corp: Issuer, seconds: str) -> Daemon:
    """Return a daemon (not started) that drains for so long."""
    return world.daemon(directory, corp, world.settings() | {"server": {"drain": seconds}})


def has_ended(daemon: Daemon) -> bool:
    assert daemon.process is not None
    return daemon.process.poll() is not None


async def test_clients_are_told_and_closed_one_after_the_other(tmp_path: Path, corp: Issuer) -> None:
    with draining(tmp_path, corp, "2s") as daemon:
        clients = [await RawClient.open(daemon.url) for _ in range(20)]
        for client in clients:
            assert (await client.connect("/chat", corp.token("ann", scope=CHAT))).sid
        started = time.time()
        daemon.signal(signal.SIGTERM)
        await eventually(lambda: daemon.get("/readyz").status == 503, "readiness fails")
        status = daemon.status()
        assert started + 1.5 < status["draining"]["until"] / 1000 < time.time() + 2.1
        assert "draining until" in daemon.run("status").out
        with pytest.raises(ConnectionRefusedError):
            await RawClient.open(daemon.url)
        ends: list[float] = []

        async def end(client: RawClient) -> None:
            await client.until(lambda: client.closed, "the end")
            ends.append(time.time() - started)
            [name, data] = client.sessions["/chat"].events[-1]
            assert (name, data["code"], data["retry"]) == ("closing", "unavailable", True)

        late = clients[0]
        refused = await late.call("/chat", "join", "lobby") if not late.closed else None
        assert refused is None or refused["error"]["code"] == "unavailable"
        await asyncio.gather(*(end(client) for client in clients))
        assert 1.5 < max(ends) < 3.5
        assert sum(at < 1.0 for at in ends) < 16, "not all at once"
        await eventually(lambda: has_ended(daemon), "the process has ended")
        assert time.time() - started < 10


async def test_a_second_signal_ends_it(tmp_path: Path, corp: Issuer) -> None:
    with draining(tmp_path, corp, "1h") as daemon:
        clients = [await RawClient.open(daemon.url) for _ in range(5)]
        daemon.signal(signal.SIGTERM)
        await eventually(lambda: daemon.status()["draining"], "it drains")
        daemon.signal(signal.SIGTERM)
        for client in clients:
            await within(10, client.until(lambda: client.closed, "the end"), "the end")  # noqa: B023 - awaited here
        await eventually(lambda: has_ended(daemon), "the process has ended")


async def test_a_stock_client_finds_the_next_daemon(tmp_path: Path, corp: Issuer) -> None:
    with draining(tmp_path, corp, "1s") as old:
        port = old.port
        async with js_client() as js:
            manager = await js.manager(old.url, reconnection=True, reconnectionDelayMax=200)
            ann = await manager.socket("/chat", corp.token("ann", scope=CHAT))
            old.signal(signal.SIGTERM)
            assert (await ann.event("closing"))[0]["code"] == "unavailable"
            await ann.disconnected()
            await eventually(lambda: has_ended(old), "the old process has ended")
            directory = tmp_path / "next"
            directory.mkdir()
            settings = world.settings() | {"server": {"listen": [f"127.0.0.1:{port}"]}}
            with world.daemon(directory, corp, settings) as new:
                await eventually(
                    lambda: new.status()["sessions"] == 1, "the client has come back by itself", 20
                )
                assert (await ann.emit("join", "lobby"))["ok"]


async def test_a_public_unix_socket_is_gone_before_the_drain_ends(tmp_path: Path, corp: Issuer) -> None:
    settings = world.settings() | {"server": {"listen": [f"unix:{tmp_path}/p", "127.0.0.1:0"], "drain": "1h"}}
    with world.daemon(tmp_path, corp, settings) as daemon:
        client = await RawClient.open(daemon.url)
        assert (tmp_path / "p").exists()
        daemon.signal(signal.SIGTERM)
        await eventually(lambda: not (tmp_path / "p").exists(), "its place is free for the next one")
        assert not client.closed
        await client.close()
        await eventually(lambda: has_ended(daemon), "nobody is left to wait for")
