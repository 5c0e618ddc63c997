"""Every connection that is cut says why, the same in the log, the counters and to its client."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

import pytest

from compartmentd.protocol.counters import VIOLATIONS
from compartmentd.protocol.websocket import CLOSE, encode_close_frame, read_payload
from tests.support.wire import frame, request
from tests.support.wired import wired

POLLING = "/socket.io/?EIO=4&transport=polling"

PACKETS: list[tuple[Sequence[str | bytes], str]] = [
    (["40", "42[nope"], "json"),
    (["40", '42["connect"]'], "event"),
    (["40", "4211-[]"], "ack"),
    (["40", '4511-["a"]'], "attachments"),
    (["40", '451-["a"]', '42["b"]'], "attachments"),
    (["40", b"loose"], "attachments"),
    (["40", '451-["a",{"_placeholder":true,"num":7}]', b"x"], "attachments"),
    (["40", '42999999999999999999["a"]'], "ack"),
    (["40chat"], "packet"),
    (["40", "40"], "state"),
    (['42["a"]'], "state"),
    (["41"], "state"),
    (["40", "49"], "attachments"),
    (["x"], "packet"),
]


def said(payload: bytes) -> tuple[int, str]:
    """Return code and reason of a close frame."""
    return int.from_bytes(payload[:2], "big"), payload[2:].decode()


@pytest.mark.parametrize(("packets", "reason"), PACKETS, ids=repr)
async def test_a_websocket_is_told_in_its_close_frame(
    packets: Sequence[str | bytes], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with wired() as here:
        client = await here.open()
        for packet in packets:
            client.send(packet)
        while (received := await client.frame())[0] != CLOSE:
            pass
        code, told = said(received[1])
        assert here.counters.violations == dict.fromkeys(VIOLATIONS, 0) | {reason: 1}
        assert here.counters.parse_errors == 1
    (line,) = [record for record in caplog.records if record.__dict__.get("event") == "connection_cut"]
    assert line.__dict__["fields"] == {"reason": reason, "address": "127.0.0.1"}
    assert code >= 1002
    assert told == f"{reason}: {line.getMessage().removeprefix('a connection is cut: ')}"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (frame(1, b"4", reserved=4), "frame"),
        (frame(1, b"4", masked=False), "frame"),
        (frame(1, b"\xff\xfe"), "utf8"),
        (frame(1, b"4" * 70_000), "message_size"),
    ],
    ids=["reserved", "unmasked", "utf8", "long"],
)
async def test_frames_too(data: bytes, reason: str) -> None:
    async with wired() as here:
        client = await here.open()
        client.raw(data)
        while (received := await client.frame())[0] != CLOSE:
            pass
        assert said(received[1])[1].startswith(f"{reason}: ")
        assert here.counters.violations[reason] == 1


ON_POLLING = [each for each in PACKETS if all(isinstance(packet, str) for packet in each[0])]
"""Those without binary packets, which have another form there."""


@pytest.mark.parametrize(("packets", "reason"), ON_POLLING)
async def test_a_polling_client_is_told_in_the_answer(
    packets: Sequence[str | bytes], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with wired() as here:
        opened = (await request(here.port, "GET", POLLING)).text
        target = f"{POLLING}&sid={json.loads(opened[1:])['sid']}"
        body = "\x1e".join(map(str, packets)).encode()
        reply = await request(here.port, "POST", target, body)
        assert (reply.status, reply.json["reason"]) == (400, "body")
        assert reply.json["detail"].startswith(f"{reason}: ")
        assert here.counters.violations[reason] == 1


@pytest.mark.parametrize("reason", ["", "short", "ü" * 200])
def test_a_close_frame_has_room_for_a_reason(reason: str) -> None:
    payload = read_payload(encode_close_frame(1002, reason))
    assert len(payload) <= 125
    assert reason.startswith(said(payload)[1])


@pytest.mark.parametrize(
    "auth", [r'{"nick":"hi \ud83d"}', "{" + '"a":[' + "[" * 60 + "]" * 60 + "]}", '{"n":1e999}']
)
async def test_what_else_stands_in_auth_is_the_applications_to_answer(auth: str) -> None:
    async with wired() as here:
        client = await here.open()
        await client.receive()
        client.send("40" + auth)
        assert str(await client.receive()).startswith("40{"), "connected, and not cut"
        assert here.app.named("connect") == [("connect", "/", auth.encode())]
