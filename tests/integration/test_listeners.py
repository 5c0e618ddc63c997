"""Where the daemon listens, as a process: IPv6, unix sockets, several at once, and a proxy on a unix socket."""

from __future__ import annotations

import json
import socket
import stat
from pathlib import Path

import aiohttp
import pytest

from tests.integration import world
from tests.support.daemon import Daemon
from tests.support.jsclient import js_client
from tests.support.mint import Issuer
from tests.support.proxies import nginx_before
from tests.support.rawclient import RawClient
from tests.support.timing import eventually


def listening(daemon: Daemon) -> list[str]:
    """Return the addresses of the public listeners, as the line about being ready tells them."""
    lines = [json.loads(line) for line in daemon.log.splitlines() if line.startswith("{")]
    [ready] = [line for line in lines if line["event"] == "ready"]
    found: list[str] = ready["listen"]
    return found


async def test_ipv6_beside_ipv4_and_a_unix_socket(tmp_path: Path, corp: Issuer) -> None:
    path = tmp_path / "public.sock"
    listen = ["127.0.0.1:0", "[::1]:0", f"unix:{path}"]
    with world.daemon(tmp_path, corp, world.settings() | {"server": {"listen": listen}}) as daemon:
        await eventually(lambda: "is ready" in daemon.log, "it tells where it listens")
        _, six, unix = listening(daemon)
        assert six.startswith("http://[::1]:")
        assert unix == f"unix:{path}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        async with js_client() as js:
            for url in (daemon.url, six):
                manager = await js.manager(url)
                client = await manager.socket("/chat", corp.token("ann", scope=world.CHAT))
                assert (await client.emit("join", "lobby"))["ok"]
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session:
            polling = "http://localhost/socket.io/?EIO=4&transport=polling"
            async with session.get(polling) as answer:
                sid = json.loads((await answer.text())[1:])["sid"]
            # Else the daemon would wait at its end, for this client to fetch the goodbye.
            async with session.post(f"{polling}&sid={sid}", data="1") as answer:
                assert answer.status == 200
            async with session.ws_connect("http://localhost/socket.io/?EIO=4&transport=websocket") as client:
                assert (await client.receive_str()).startswith("0{")


@pytest.mark.parametrize("trusted", [True, False])
async def test_nginx_on_a_unix_socket(tmp_path: Path, trusted: bool) -> None:
    """The peers of a unix socket have no address; with `unix` trusted, limits count by that of the client."""
    path = tmp_path / "public.sock"
    server = {
        "listen": [f"unix:{path}"],
        "connections_per_address": 1,
        **({"trusted_proxies": ["unix"]} if trusted else {}),
    }
    settings = {"server": server, "namespaces": {"/": {"connect": "public"}}}
    with Daemon(tmp_path, settings), nginx_before(f"unix:{path}", tmp_path) as url:
        first = await RawClient.open(url, source="127.0.1.1")
        assert (await first.connect()).sid
        other = await RawClient.open(url, source="127.0.1.2")
        assert (await other.connect()).sid
        second = await RawClient.dial(url, source="127.0.1.1")
        assert second.status == (503 if trusted else 101)
        for client in (first, other, second):
            await client.close()


def test_an_address_that_somebody_has_is_told(tmp_path: Path, corp: Issuer) -> None:
    path = tmp_path / "public.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        prepared = world.daemon(tmp_path, corp, world.settings() | {"server": {"listen": [f"unix:{path}"]}})
        with prepared.log_file.open("wb") as log:
            prepared.launch(log)
        assert prepared.process is not None
        assert prepared.process.wait(60) == 2
        prepared.abandon()
    assert "another process listens there" in prepared.log
