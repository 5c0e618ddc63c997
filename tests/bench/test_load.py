"""The load and the floor: that they measure what they say, and fail loudly where a server does wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from tests.bench import compiled
from tests.bench.load import Load, LoadFailed, Place
from tests.support import certificates
from tests.support.daemon import Daemon
from tests.support.mint import Issuer
from tests.support.ports import free_port
from tests.support.timing import seconds

pytestmark = pytest.mark.slow  # it compiles, and starts daemons

CLIENTS = 12
ISSUER = Issuer("id")
SETTINGS = {
    "namespaces": {
        "/": {
            "connect": {"scope": "chat"},
            "rooms": {
                "room:{group}": {
                    "join": {"claim": "groups", "contains": "{group}"},
                    "publish": "members",
                    "events": ["message"],
                }
            },
        }
    },
    "limits": {"message_rate": "1000000/s", "join_rate": "1000000/s"},
}
ROUND = {"seconds": 0.1, "patience": seconds(20)}


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    """A file with a token for each client: for the rooms of 3 and of 12."""
    file = tmp_path / "tokens.txt"
    groups = [[f"3-{client // 3}", f"12-{client // 12}"] for client in range(CLIENTS)]
    file.write_text(
        "".join(
            ISSUER.token(f"user-{number}", scope="chat", groups=group) + "\n"
            for number, group in enumerate(groups)
        )
    )
    return file


@contextlib.contextmanager
def daemon(directory: Path, **more: Any) -> Iterator[Daemon]:
    with Daemon(directory, {**SETTINGS, **more}, ISSUER) as running:
        yield running


def place(running: Daemon, *, tls: bool = False) -> Place:
    return Place("127.0.0.1", running.port, tls)


# --- what is counted --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("polling", [False, True])
def test_every_event_is_acked_and_delivered_to_the_others(
    tmp_path: Path, tokens: Path, polling: bool
) -> None:
    with daemon(tmp_path) as running, Load() as load:
        found = load.connect(place(running), clients=12, size=3, tokens=tokens, polling=polling)
        assert (found["clients"], found["rooms"]) == (12, 4)
        for settings in ({}, {"senders": 3}, {"senders": 3, "window": 8, "batch": 8}, {"in_turn": 1}):
            found = load.closed(**settings, **ROUND)
            assert found["events"] > 0
            assert (found["acks"], found["deliveries"]) == (found["events"], 2 * found["events"])


def test_it_speaks_tls(tmp_path: Path, tokens: Path) -> None:
    files = certificates.write(tmp_path, certificates.make())
    tls = {"server": {"tls": {"cert": files.cert, "key": files.key}}}
    with daemon(tmp_path, **tls) as running, Load() as load:
        load.connect(place(running, tls=True), clients=12, size=12, tokens=tokens)
        found = load.closed(window=64, batch=16, bytes=2000, **ROUND)
        assert found["deliveries"] == 11 * found["events"] > 0


def test_a_paced_round_sends_at_its_rate_and_orders_its_latencies(tmp_path: Path, tokens: Path) -> None:
    with daemon(tmp_path) as running, Load() as load:
        load.connect(place(running), clients=9, size=3, tokens=tokens)
        load.connect(place(running), clients=3, size=3, first=9, tokens=tokens)
        found = load.paced(rate=500, seconds=0.4, flood=1, window=64, batch=16)
        assert found["events"] == 200
        assert found["deliveries"] == 2 * found["events"]
        assert 0 < found["p50"] <= found["p99"] <= found["p99.9"] <= found["longest"]
        assert found["flood"] > 0
        assert load.paced(rate=500, seconds=0.1)["flood"] == 0


def test_clients_leave_and_come_again(tmp_path: Path, tokens: Path) -> None:
    with daemon(tmp_path) as running, Load() as load:
        for _ in range(3):
            load.connect(place(running), clients=12, size=1, join=False, tokens=tokens)
            load.close_clients()


@pytest.mark.parametrize("polling", [False, True])
def test_idle_clients_answer_pings(tmp_path: Path, tokens: Path, polling: bool) -> None:
    server = {"ping_interval": "1s", "ping_timeout": "3s"}
    with daemon(tmp_path, server=server) as running, Load() as load:
        load.connect(place(running), clients=12, size=3, tokens=tokens, polling=polling, keep_post=False)
        time.sleep(5)  # several pings, of which one that is not answered ends the connection
        assert load.closed(**ROUND)["events"] > 0


@pytest.mark.parametrize("mode", ["each", "joined"])
def test_the_floor_answers_as_a_server_does(mode: str, tokens: Path) -> None:
    port = free_port()
    process = subprocess.Popen([compiled.program("floor"), str(port), mode])
    try:
        deadline = time.monotonic() + seconds(20)
        while True:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                break
            assert time.monotonic() < deadline
        with Load() as load:
            load.connect(Place("127.0.0.1", port), clients=12, size=3, tokens=tokens)
            found = load.closed(senders=3, window=4, batch=2, bytes=300, **ROUND)
            assert (found["acks"], found["deliveries"]) == (found["events"], 2 * found["events"])
    finally:
        process.kill()
        process.wait()


# --- what is wrong ----------------------------------------------------------------------------------------------


class Wrong:
    """A server with one room that does one thing wrong."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self._members: list[web.WebSocketResponse] = []

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """Serve on the port that is given."""
        application = web.Application()
        application.router.add_get("/socket.io/", self._socket)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
        await runner.cleanup()

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=self.fault == "compresses")
        await socket.prepare(request)
        await socket.send_str('0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000}')
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await self._packet(socket, message.data)
        return socket

    async def _packet(self, socket: web.WebSocketResponse, text: str) -> None:
        if text.startswith("40"):
            await socket.send_str('40{"sid":"y"}')
        elif '"join"' in text:
            self._members.append(socket)
            await socket.send_str('430[{"ok":true}]')
        else:
            await self._publish(socket, text)

    async def _publish(self, socket: web.WebSocketResponse, text: str) -> None:
        number, _, rest = text[2:].partition("[")
        data = rest.split(",", 3)[3][:-1]
        others = [member for member in self._members if member is not socket]
        if self.fault == "loses":
            others.pop()
        if self.fault == "repeats":
            others.append(others[0])
        for member in others:
            await member.send_str(f'42["message",{data},{{}}]')
        if self.fault == "disconnects":
            await others[0].close()
        answer = {"ok": False} if self.fault == "refuses" else {"ok": True}
        await socket.send_str(f"43{number}{json.dumps([answer], separators=(',', ':'))}")


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("loses", "received 0 of 1 messages"),
        ("repeats", "received 2 of 1 messages"),
        ("disconnects", "sent a close frame"),
        ("refuses", "was refused: 431"),
        ("compresses", "compressed frame"),
    ],
)
def test_a_server_that_does_wrong_fails_the_round(fault: str, told: str, tokens: Path) -> None:
    patience = {"patience": 2.0} if fault in {"loses", "repeats"} else {}  # which take all of it

    def play(port: int) -> None:
        with Load() as load:
            load.connect(Place("127.0.0.1", port), clients=3, size=3, tokens=tokens)
            load.closed(events=1, **(ROUND | patience))

    async def scenario() -> None:
        async with Wrong(fault).serving() as port:
            with pytest.raises(LoadFailed, match=told):
                await asyncio.to_thread(play, port)

    asyncio.run(scenario())


def test_a_refused_token_is_told(tmp_path: Path, tokens: Path) -> None:
    tokens.write_text("not.a.token\n")
    with daemon(tmp_path) as running, Load() as load, pytest.raises(LoadFailed, match="token_invalid"):
        load.connect(place(running), clients=1, size=1, tokens=tokens)


def test_a_server_that_goes_away_is_told(tmp_path: Path, tokens: Path) -> None:
    with Load() as load:
        with daemon(tmp_path) as running:
            load.connect(place(running), clients=12, size=3, tokens=tokens)
        with pytest.raises(LoadFailed, match=r"closing|disconnected|has ended"):
            load.closed(**ROUND)
