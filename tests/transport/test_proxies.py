"""Clients behind proxies, on real sockets: the address that applications and limits see."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import pytest

from compartmentd.net.bind import bind, bind_unix
from compartmentd.transport.options import ServerOptions
from compartmentd.transport.server import SocketServer
from compartmentd.util.listen_address import TcpAddress
from tests.support.recorder import Recorder
from tests.support.wire import Refused, Serving, WebSocket, head, port_of, read_reply, request, serving

POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
TRUSTING = ServerOptions(trusted_proxies=("127.0.0.0/8", "::1/128", "unix"), connections_per_address=1)


def told(served: Serving) -> list[str]:
    """Return the address of each connection, as its application reads it."""
    return [connection.handshake.address for connection in served.server._connections]


class Crowd:
    """Clients that stay for as long as the block does."""

    def __init__(self, served: Serving, transport: str) -> None:
        self.served = served
        self.transport = transport
        self.clients: list[WebSocket] = []

    async def come(self, forwarded: str) -> int:
        """Open a connection with this X-Forwarded-For; return the status."""
        headers = {"X-Forwarded-For": forwarded}
        if self.transport == "polling":
            return (await request(self.served.port, "GET", POLLING, headers=headers)).status
        try:
            self.clients.append(await WebSocket.open(self.served.port, WEBSOCKET, headers))
        except Refused as refused:
            return refused.reply.status
        return 101

    def go(self) -> None:
        """Close all."""
        for client in self.clients:
            client.close()


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_the_client_is_the_one_that_a_trusted_proxy_names(transport: str) -> None:
    async with serving(Recorder(), TRUSTING) as served:
        crowd = Crowd(served, transport)
        assert await crowd.come("203.0.113.1") < 300
        assert await crowd.come("198.51.100.7, 203.0.113.2") < 300
        assert told(served) == ["203.0.113.1", "203.0.113.2"]
        assert await crowd.come("192.0.2.9, 203.0.113.1") == 503, "limits count by it, too"
        crowd.go()


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_no_other_peer_is_believed(transport: str) -> None:
    options = ServerOptions(trusted_proxies=("10.0.0.0/8",), connections_per_address=1)
    async with serving(Recorder(), options) as served:
        crowd = Crowd(served, transport)
        assert await crowd.come("203.0.113.1") < 300
        assert told(served) == ["127.0.0.1"]
        assert await crowd.come("203.0.113.2") == 503
        crowd.go()


async def test_no_other_header_is_read() -> None:
    others = {
        "Forwarded": "for=203.0.113.5",
        "X-Real-IP": "203.0.113.5",
        "CF-Connecting-IP": "203.0.113.5",
        "X-Forwarded-Proto": "https",
    }
    async with serving(Recorder(), TRUSTING) as served:
        await request(served.port, "GET", POLLING, headers=others)
        [connection] = served.server._connections
        assert connection.handshake.address == "127.0.0.1"
        assert not connection.handshake.secure


async def test_each_request_of_a_shared_connection_is_its_own_clients() -> None:
    async with serving(Recorder(), TRUSTING) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        for forwarded in ({"X-Forwarded-For": "203.0.113.1"}, {"X-Forwarded-For": "203.0.113.2"}, {}):
            writer.write(head("GET", POLLING, forwarded))
            assert (await read_reply(reader)).status == 200
        assert told(served) == ["203.0.113.1", "203.0.113.2", "127.0.0.1"]
        writer.close()


async def test_changed_options_bind_the_next_request() -> None:
    async with serving(Recorder()) as served:
        await request(served.port, "GET", POLLING, headers={"X-Forwarded-For": "203.0.113.1"})
        served.server.configure(TRUSTING)
        await request(served.port, "GET", POLLING, headers={"X-Forwarded-For": "203.0.113.1"})
        assert told(served) == ["127.0.0.1", "203.0.113.1"]


@pytest.mark.parametrize("trusted", [True, False])
async def test_unix_sockets(tmp_path: Path, trusted: bool) -> None:
    options = ServerOptions(trusted_proxies=("unix",) if trusted else ())
    server = SocketServer(Recorder(), options)
    server.add_sockets([bind_unix(str(tmp_path / "s"))])
    for target, more in ((POLLING, {}), (WEBSOCKET, UPGRADING)):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
        writer.write(head("GET", target, {"X-Forwarded-For": "203.0.113.1", **more}))
        assert (await read_reply(reader)).status < 300
        if not more:
            writer.close()
    assert told(Serving(server, 0)) == ["203.0.113.1" if trusted else ""] * 2
    await server.close(grace=0.1)
    writer.close()


UPGRADING = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAECAwQFBgcICQoLDA0ODw==",
}


async def test_ipv6() -> None:
    server = SocketServer(Recorder(), TRUSTING)
    sockets = bind(TcpAddress("::1", 0), {})
    assert [sock.family for sock in sockets] == [socket.AF_INET6]
    server.add_sockets(sockets)
    served = Serving(server, port_of(sockets[0]))
    reply = await request(served.port, "GET", POLLING, address="::1")
    sid = json.loads(reply.text[1:])["sid"]
    client = await WebSocket.open(served.port, f"{WEBSOCKET}&sid={sid}", address="::1")
    client.send("2probe")
    assert await client.event() == "3probe"
    client.close()
    proxied = {"X-Forwarded-For": "2001:db8::7"}
    other = await WebSocket.open(served.port, WEBSOCKET, proxied, address="::1")
    assert told(served) == ["::1", "2001:db8::7"]
    other.close()
    await server.close(grace=0.1)
