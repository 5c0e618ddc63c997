"""A connection without a session takes little: anybody can have one."""

from __future__ import annotations

import json

import pytest

from tests.support.recorder import Recorder
from tests.support.timing import eventually
from tests.support.wire import WebSocket, frame, request, serving

POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"


async def test_a_websocket_takes_long_messages_once_it_has_a_session() -> None:
    recorder = Recorder()
    async with serving(recorder) as served:
        client = await WebSocket.open(served.port, WEBSOCKET)
        client.raw(frame(1, b"4" * 70_000)[:20])  # refused by its head
        assert (await client.ended()).code == 1009
        client.close()
        client = await WebSocket.open(served.port, WEBSOCKET)
        client.send("40")
        await client.event()
        await client.event()
        client.send('42["message","' + "x" * 900_000 + '"]')
        await eventually(lambda: recorder.named("event"), "it is taken")
        client.close()


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_post_is_long_once_there_was_a_session(chunked: bool) -> None:
    async with serving(Recorder()) as served:
        sid = json.loads((await request(served.port, "GET", POLLING)).text[1:])["sid"]
        target = f"{POLLING}&sid={sid}"
        body = b'42["message","' + b"x" * 900_000 + b'"]'
        headers = {"Transfer-Encoding": "chunked"} if chunked else {}
        wrapped = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
        assert (await request(served.port, "POST", target, wrapped, headers)).status == 413
        assert (await request(served.port, "POST", target, b"40")).status == 200
        assert (await request(served.port, "POST", target, wrapped, headers)).status == 200
