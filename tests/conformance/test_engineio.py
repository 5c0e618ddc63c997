"""The cases of the official Engine.IO v4 suite, in its order, with the bytes that it compares.

Each runs against bare Engine.IO, and where the Socket.IO suite has the same case, against that as well.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from compartmentd.transport.options import ServerOptions
from tests.conformance.echo import server as echo_server
from tests.conformance.running import running
from tests.support.wire import Closed, Refused, WebSocket, request, serving

BARE, SOCKETIO = "/engine.io/", "/socket.io/"


@pytest.fixture(params=["bare", "echo"])
def server(request: pytest.FixtureRequest) -> tuple[int, str]:
    """Port and path of each server in turn."""
    return request.getfixturevalue(request.param), BARE if request.param == "bare" else SOCKETIO


async def poll_session(port: int, path: str) -> tuple[str, str]:
    """Return the sid of a new polling session, and the target of its requests."""
    reply = await request(port, "GET", f"{path}?EIO=4&transport=polling")
    sid = json.loads(reply.text[1:])["sid"]
    return sid, f"{path}?EIO=4&transport=polling&sid={sid}"


async def websocket(port: int, path: str, sid: str | None = None) -> WebSocket:
    suffix = "" if sid is None else f"&sid={sid}"
    return await WebSocket.open(port, f"{path}?EIO=4&transport=websocket{suffix}")


async def settled(port: int) -> None:
    """Wait until what was sent before on other connections has been read: the server takes turns."""
    for _ in range(3):
        await request(port, "GET", "/")


def check_open(packet: object, upgrades: list[str]) -> None:
    assert isinstance(packet, str)
    assert packet[0] == "0"
    value = json.loads(packet[1:])
    assert sorted(value) == ["maxPayload", "pingInterval", "pingTimeout", "sid", "upgrades"]
    assert isinstance(value["sid"], str)
    assert value["upgrades"] == upgrades
    assert (value["pingInterval"], value["pingTimeout"]) == (25_000, 20_000)
    assert value["maxPayload"] == 1_000_000


# handshake, HTTP long-polling


async def test_a_polling_session_opens(server: tuple[int, str]):
    port, path = server
    reply = await request(port, "GET", f"{path}?EIO=4&transport=polling")
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/plain; charset=UTF-8"
    assert reply.headers["cache-control"] == "no-store"
    check_open(reply.text, ["websocket"])


@pytest.mark.parametrize(
    ("method", "query", "code", "message"),
    [
        ("GET", "transport=polling", 5, "Unsupported protocol version"),
        ("GET", "EIO=abc&transport=polling", 5, "Unsupported protocol version"),
        ("GET", "EIO=4", 0, "Transport unknown"),
        ("GET", "EIO=4&transport=abc", 0, "Transport unknown"),
        ("POST", "EIO=4&transport=polling", 2, "Bad handshake method"),
        ("PUT", "EIO=4&transport=polling", 2, "Bad handshake method"),
        ("OPTIONS", "EIO=4&transport=polling", 2, "Bad handshake method"),
        ("GET", "EIO=4&transport=polling&sid=unknown", 1, "Session ID unknown"),
        ("POST", "EIO=4&transport=polling&sid=__proto__", 1, "Session ID unknown"),
        ("GET", "EIO=4&transport=websocket", 3, "Bad request"),
    ],
)
async def test_a_request_that_cannot_be_served_is_told_why(
    server: tuple[int, str], method: str, query: str, code: int, message: str
):
    port, path = server
    reply = await request(port, method, f"{path}?{query}")
    assert reply.status == 400
    assert reply.headers["content-type"] == "application/json"
    body = reply.json
    assert (body.pop("code"), body.pop("message")) == (code, message)
    assert body.keys() == {"reason", "detail"}, "the same, and why"


# handshake, WebSocket


async def test_a_websocket_session_opens(server: tuple[int, str]):
    socket = await websocket(*server)
    check_open(await socket.receive(), [])
    socket.close()


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("transport=websocket", 5),
        ("EIO=abc&transport=websocket", 5),
        ("EIO=4", 0),
        ("EIO=4&transport=abc", 0),
        ("EIO=4&transport=polling", 3),
        ("EIO=4&transport=websocket&sid=unknown", 1),
    ],
)
async def test_a_websocket_that_cannot_be_served_is_refused_before_101(
    server: tuple[int, str], query: str, code: int
):
    port, path = server
    with pytest.raises(Refused) as refused:
        await WebSocket.open(port, f"{path}?{query}")
    assert (refused.value.reply.status, refused.value.reply.json["code"]) == (400, code)


# message, HTTP long-polling


@pytest.mark.parametrize(
    "payload",
    ["4hello", "4test1\x1e4test2\x1e4test3", "4hello\x1ebAQIDBA==", "4", "4€ 😀"],
    ids=["one", "several", "text and binary", "empty", "not ASCII"],
)
async def test_packets_posted_come_back(bare: int, payload: str):
    _, target = await poll_session(bare, BARE)
    push = await request(bare, "POST", target, payload.encode(), {"Content-Type": "text/plain;charset=UTF-8"})
    assert (push.status, push.body) == (200, b"ok")
    assert push.headers["content-type"] == "text/html"
    poll = await request(bare, "GET", target)
    assert (poll.status, poll.text) == (200, payload)


async def test_an_invalid_packet_closes_a_polling_session(server: tuple[int, str]):
    port, path = server
    _, target = await poll_session(port, path)
    assert (await request(port, "POST", target, b"abc")).status == 400
    poll = await request(port, "GET", target)
    assert (poll.status, poll.json["code"]) == (400, 1)


async def test_two_polls_at_once_close_the_session(server: tuple[int, str]):
    port, path = server
    _, target = await poll_session(port, path)
    first = asyncio.create_task(request(port, "GET", target))
    await settled(port)
    second = await request(port, "GET", target + "&t=burst")
    assert second.status == 400
    assert ((await first).status, (await first).text) == (200, "1")
    assert (await request(port, "GET", target)).status == 400


async def test_a_poll_that_is_cut_off_closes_the_session(server: tuple[int, str]):
    port, path = server
    _, target = await poll_session(port, path)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await settled(port)
    writer.close()
    await writer.wait_closed()
    await settled(port)
    assert (await request(port, "GET", target)).status == 400


# message, WebSocket


@pytest.mark.parametrize("packet", ["4hello", "4", "4€ 😀", b"\x01\x02\x03\x04", b""])
async def test_packets_sent_by_websocket_come_back(bare: int, packet: str | bytes):
    socket = await websocket(bare, BARE)
    await socket.receive()
    socket.send(packet)
    assert await socket.event() == packet
    socket.close()


async def test_binary_in_base64_is_taken_from_a_websocket_too(bare: int):
    socket = await websocket(bare, BARE)
    await socket.receive()
    socket.send("bAQIDBA==")
    assert await socket.event() == b"\x01\x02\x03\x04"
    socket.close()


@pytest.mark.parametrize("packet", ["abc", "", "7", "9x", "b!", "\uff12"])
async def test_an_invalid_packet_closes_a_websocket(server: tuple[int, str], packet: str):
    socket = await websocket(*server)
    await socket.receive()
    socket.send(packet)
    assert await socket.ended() == Closed(1002)
    socket.close()


async def test_a_ping_of_the_client_closes_the_session(server: tuple[int, str]):
    socket = await websocket(*server)
    await socket.receive()
    socket.send("2")
    assert await socket.ended() == Closed(1002)
    socket.close()


async def test_packets_that_are_out_of_place_are_ignored(bare: int):
    socket = await websocket(bare, BARE)
    await socket.receive()
    for packet in ("6", "5", "0", "3", "3probe", "4still here"):
        socket.send(packet)
    assert await socket.event() == "4still here"
    socket.close()


# heartbeat


@asynccontextmanager
async def beating(path: str, ping_timeout: float = 0.2) -> AsyncIterator[int]:
    """Run an echo server on this loop that pings after 300 ms, as the official suites want it."""
    options = ServerOptions(path=path, ping_interval=0.3, ping_timeout=ping_timeout)
    async with serving(echo_server(options, bare=path == BARE)) as served:
        yield served.port


@pytest.mark.parametrize("path", [BARE, SOCKETIO])
async def test_a_polling_session_is_pinged(path: str):
    async with beating(path, ping_timeout=20) as port:
        _, target = await poll_session(port, path)
        for _ in range(3):
            poll = await request(port, "GET", target)
            assert (poll.status, poll.text) == (200, "2")
            assert (await request(port, "POST", target, b"3")).status == 200


@pytest.mark.parametrize("path", [BARE, SOCKETIO])
async def test_a_polling_session_that_does_not_answer_is_gone_in_time(path: str):
    async with beating(path) as port:
        _, target = await poll_session(port, path)
        began = time.monotonic()
        while (await request(port, "GET", target)).status == 200:
            pass  # the ping, and the end: each is waited for
        assert time.monotonic() - began >= 0.4


@pytest.mark.parametrize("path", [BARE, SOCKETIO])
async def test_a_websocket_session_is_pinged(path: str):
    async with beating(path, ping_timeout=20) as port:
        socket = await websocket(port, path)
        await socket.receive()
        for _ in range(3):
            assert await socket.receive() == "2"
            socket.send("3")
        socket.close()


@pytest.mark.parametrize("path", [BARE, SOCKETIO])
async def test_a_websocket_that_does_not_answer_is_closed_in_time(path: str):
    async with beating(path) as port:
        began = time.monotonic()
        socket = await websocket(port, path)
        await socket.receive()
        await socket.ended()
        assert time.monotonic() - began >= 0.5
        socket.close()


# close


async def test_a_polling_client_closes(server: tuple[int, str]):
    port, path = server
    _, target = await poll_session(port, path)
    poll = asyncio.create_task(request(port, "GET", target))
    await settled(port)
    assert (await request(port, "POST", target, b"1\x1e4dropped")).body == b"ok"
    assert ((await poll).status, (await poll).text) == (200, "6")
    assert (await request(port, "GET", target)).status == 400


async def test_a_websocket_client_closes(server: tuple[int, str]):
    socket = await websocket(*server)
    await socket.receive()
    socket.send("1")
    assert await socket.ended() == Closed(1005)
    socket.close()


# upgrade


async def probed(port: int, path: str) -> tuple[WebSocket, str]:
    sid, target = await poll_session(port, path)
    socket = await websocket(port, path, sid)
    socket.send("2probe")
    assert await socket.receive() == "3probe"
    return socket, target


async def test_a_session_upgrades(bare: int):
    socket, target = await probed(bare, BARE)
    poll = await request(bare, "GET", target)
    assert (poll.status, poll.text) == (200, "6")
    socket.send("5")
    socket.send("4hello")
    assert await socket.event() == "4hello"
    socket.close()


async def test_polling_is_over_once_a_session_has_upgraded(bare: int):
    socket, target = await probed(bare, BARE)
    socket.send("5")
    socket.send("4there")
    assert await socket.event() == "4there"
    for method, body in (("GET", b""), ("POST", b"4x")):
        reply = await request(bare, method, target, body)
        assert (reply.status, reply.json["code"]) == (400, 3)
    socket.send("4hello")
    assert await socket.event() == "4hello"
    socket.close()


async def test_a_second_websocket_for_an_upgraded_session_is_closed_after_its_101(bare: int):
    sid, _ = await poll_session(bare, BARE)
    socket = await websocket(bare, BARE, sid)
    socket.send("2probe")
    assert await socket.receive() == "3probe"
    socket.send("5")
    second = await websocket(bare, BARE, sid)
    assert await second.ended() == Closed(1000)
    socket.send("4hello")
    assert await socket.event() == "4hello"
    socket.close()
    second.close()


async def test_both_loopback_addresses_are_served(bare: int):
    reply = await request(bare, "GET", f"{BARE}?EIO=4&transport=polling", address="::1")
    assert reply.status == 200


async def test_the_path_is_matched_as_a_whole(server: tuple[int, str]):
    port, path = server
    for other in (path[:-2], path + "x", path + "/", "/", ""):
        assert (await request(port, "GET", f"{other}?EIO=4&transport=polling")).status in {400, 404}


async def test_the_path_may_lack_its_final_slash(server: tuple[int, str]):
    port, path = server
    opened = (await request(port, "GET", f"{path[:-1]}?EIO=4&transport=polling")).text
    sid = json.loads(opened[1:])["sid"]
    target = f"{path[:-1]}?EIO=4&transport=polling&sid={sid}"
    assert (await request(port, "POST", target, b"3")).text == "ok"
    socket = await WebSocket.open(port, f"{path[:-1]}?EIO=4&transport=websocket")
    assert str(await socket.receive()).startswith("0{")
    socket.close()


async def test_every_flag_is_obeyed():
    flags = ["--path", "/rt/", "--ping-interval", "300", "--ping-timeout", "200", "--max-payload", "5000"]
    with running(*flags, "--connect-timeout", "100") as port:
        socket = await WebSocket.open(
            port, "/rt/?EIO=4&transport=websocket", {"Origin": "https://any.example"}
        )
        value = json.loads(str(await socket.receive())[1:])
        assert (value["pingInterval"], value["pingTimeout"], value["maxPayload"]) == (300, 200, 5000)
        assert await socket.ended() == Closed(1005), "no session within 100 ms"
        socket.close()
