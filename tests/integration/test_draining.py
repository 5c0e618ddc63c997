"""TERM: nobody new, everybody told, the ends spread over `server.drain`, and exit code 0 in time."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration import world
from tests.integration.world import CHAT
from tests.support.daemon import Daemon, command
from tests.support.jsclient import js_client
from tests.support.mint import Issuer
from tests.support.ports import free_port
from tests.support.rawclient import RawClient
from tests.support.timing import eventually, seconds, within

FOR_EVER = "3650d"
FOR_EVER_SECONDS = 3650 * 86400
"""So long that the first random moment at which a client is closed does not come while a test runs."""


def draining(directory: Path, corp: Issuer, drain: str, **server: Any) -> Daemon:
    """Return a daemon (not started) that drains for so long."""
    return world.daemon(directory, corp, world.settings() | {"server": {"drain": drain, **server}})


def has_ended(daemon: Daemon) -> bool:
    assert daemon.process is not None
    return daemon.process.poll() is not None


async def test_clients_are_told_and_closed_one_after_the_other(tmp_path: Path, corp: Issuer) -> None:
    with draining(tmp_path, corp, "2s") as daemon:
        clients = [await RawClient.open(daemon.url) for _ in range(20)]
        for client in clients:
            assert (await client.connect("/chat", corp.token("ann", scope=CHAT))).sid
        ends: list[float] = []

        async def end(client: RawClient) -> None:
            await client.until(lambda: client.closed, "the end")
            ends.append(time.monotonic() - started)
            [name, data] = client.sessions["/chat"].events[-1]
            assert (name, data["code"], data["retry"]) == ("closing", "unavailable", True)

        started = time.monotonic()
        daemon.signal(signal.SIGTERM)
        await asyncio.gather(*(end(client) for client in clients))
        assert 1.5 < max(ends) < seconds(10)
        assert sum(at < 1.0 for at in ends) < 16, "not all at once"
        await eventually(lambda: has_ended(daemon), "the process has ended")


async def test_a_start_beside_a_daemon_that_drains_is_told_of_it(tmp_path: Path, corp: Issuer) -> None:
    with draining(tmp_path, corp, FOR_EVER) as daemon:
        client = await RawClient.open(daemon.url)
        assert (await client.connect("/chat", corp.token("ann", scope=CHAT))).sid
        started = await asyncio.to_thread(command, "serve", cwd=tmp_path)
        assert (started.code, "another process listens there" in started.err) == (2, True), started
        assert "stopping" not in started.err
        daemon.signal(signal.SIGTERM)
        await eventually(lambda: daemon.get("/readyz").status == 503, "readiness fails")
        started = await asyncio.to_thread(command, "serve", cwd=tmp_path)
        assert started.code == 2, started
        assert "it is a daemon that is stopping, and is gone in 315" in started.err
        assert "at once by a second TERM" in started.err
        assert "second daemon needs" not in started.err
        assert "closed over 3.1536e+08 s, or at once at a second signal" in daemon.log
        daemon.signal(signal.SIGTERM)
        await eventually(lambda: has_ended(daemon), "the process has ended")


async def test_whoever_drains_says_so_and_takes_nobody(tmp_path: Path, corp: Issuer) -> None:
    with draining(tmp_path, corp, FOR_EVER) as daemon:
        clients = [await RawClient.open(daemon.url) for _ in range(2)]
        for client in clients:
            assert (await client.connect("/chat", corp.token("ann", scope=CHAT))).sid
        earliest = time.time()
        daemon.signal(signal.SIGTERM)
        await eventually(lambda: daemon.get("/readyz").status == 503, "readiness fails")
        until = daemon.status()["draining"]["until"] / 1000 - FOR_EVER_SECONDS
        assert earliest - 0.001 < until < time.time(), "in whole milliseconds"
        assert "draining until" in daemon.run("status").out
        with pytest.raises(ConnectionRefusedError):
            await RawClient.open(daemon.url)
        refused = await clients[0].call("/chat", "join", "lobby")
        assert refused["error"]["code"] == "unavailable"
        for client in clients:
            await client.close()
        await eventually(lambda: has_ended(daemon), "nobody is left to wait for")


async def test_a_second_signal_ends_it(tmp_path: Path, corp: Issuer) -> None:
    with draining(tmp_path, corp, FOR_EVER) as daemon:
        clients = [await RawClient.open(daemon.url) for _ in range(5)]
        daemon.signal(signal.SIGTERM)
        await eventually(lambda: daemon.status()["draining"], "it drains")
        daemon.signal(signal.SIGTERM)
        for client in clients:
            await within(10, client.until(lambda: client.closed, "the end"), "the end")  # noqa: B023 - awaited here
        await eventually(lambda: has_ended(daemon), "the process has ended")


async def test_a_stock_client_finds_the_next_daemon(tmp_path: Path, corp: Issuer) -> None:
    port = (
        free_port()
    )  # the kernel could give one that it chose itself to others before the next daemon has it
    with draining(tmp_path, corp, "1s", listen=[f"127.0.0.1:{port}"]) as old:
        async with js_client() as js:
            manager = await js.manager(old.url, reconnection=True, reconnectionDelayMax=200)
            ann = await manager.socket("/chat", corp.token("ann", scope=CHAT))
            old.signal(signal.SIGTERM)
            assert (await ann.event("closing"))[0]["code"] == "unavailable"
            await ann.disconnected()
            await eventually(lambda: has_ended(old), "the old process has ended")
            directory = tmp_path / "next"
            directory.mkdir()
            with draining(directory, corp, "50ms", listen=[f"127.0.0.1:{port}"]) as new:
                await eventually(
                    lambda: new.status()["sessions"] == 1, "the client has come back by itself", 20
                )
                assert (await ann.emit("join", "lobby"))["ok"]


async def test_a_public_unix_socket_is_gone_before_the_drain_ends(tmp_path: Path, corp: Issuer) -> None:
    settings = world.settings() | {
        "server": {"listen": [f"unix:{tmp_path}/p", "127.0.0.1:0"], "drain": FOR_EVER}
    }
    with world.daemon(tmp_path, corp, settings) as daemon:
        client = await RawClient.open(daemon.url)
        assert (tmp_path / "p").exists()
        daemon.signal(signal.SIGTERM)
        await eventually(lambda: not (tmp_path / "p").exists(), "its place is free for the next one")
        assert not client.closed
        await client.close()
        await eventually(lambda: has_ended(daemon), "nobody is left to wait for")
