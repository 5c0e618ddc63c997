"""The cases of the official Socket.IO v5 suite, in its order, with the bytes that it compares, and the rules
of the protocol that it does not try."""

from __future__ import annotations

import json

import pytest

from compartmentd.transport.options import ServerOptions
from tests.conformance.echo import Echo
from tests.support.wire import Closed, WebSocket, request, serving

TARGET = "/socket.io/?EIO=4&transport="


async def opened(port: int) -> WebSocket:
    socket = await WebSocket.open(port, TARGET + "websocket")
    await socket.receive()
    return socket


async def connected(port: int) -> WebSocket:
    socket = await opened(port)
    socket.send("40")
    await socket.event()
    await socket.event()
    return socket


# connect


@pytest.mark.parametrize(
    ("packet", "reply", "auth"),
    [
        ("40", "40", '42["auth",{}]'),
        ('40{"token":"123"}', "40", '42["auth",{"token":"123"}]'),
        ("40/custom,", "40/custom,", '42/custom,["auth",{}]'),
        ("40/custom", "40/custom,", '42/custom,["auth",{}]'),
        ('40/custom,{"token":"abc"}', "40/custom,", '42/custom,["auth",{"token":"abc"}]'),
    ],
)
async def test_a_namespace_accepts(echo: int, packet: str, reply: str, auth: str):
    socket = await opened(echo)
    socket.send(packet)
    answer = await socket.event()
    assert isinstance(answer, str)
    assert answer.startswith(reply + "{")
    assert list(json.loads(answer[len(reply) :])) == ["sid"]
    assert await socket.event() == auth
    socket.close()


@pytest.mark.parametrize("namespace", ["/random", "/custom?x=1", "/__proto__", "/Custom", "/custom/"])
async def test_an_unknown_namespace_is_refused_and_the_connection_stays(echo: int, namespace: str):
    socket = await opened(echo)
    socket.send(f"40{namespace}")
    assert await socket.event() == f'44{namespace},{{"message":"Invalid namespace"}}'
    socket.send("40")
    assert str(await socket.event()).startswith('40{"sid":"')
    socket.close()


@pytest.mark.parametrize(
    "packet", ["4abc", "47", "4", '40["array"]', '40"text"', "40{", "40123", '44{"message":""}']
)
async def test_an_invalid_handshake_closes(echo: int, packet: str):
    socket = await opened(echo)
    socket.send(packet)
    assert await socket.ended() == Closed(1002)
    socket.close()


async def test_a_connection_without_a_session_is_closed():
    async with serving(Echo(), ServerOptions(connect_timeout=0.2)) as served:
        socket = await opened(served.port)
        assert await socket.receive() == Closed(1005)
        socket.close()


async def test_public_ids_differ_from_each_other_and_from_the_secret_one(echo: int):
    socket = await WebSocket.open(echo, TARGET + "websocket")
    ids = [json.loads(str(await socket.receive())[1:])["sid"]]
    for packet, start in (("40", 2), ("40/custom,", 10)):
        socket.send(packet)
        ids.append(json.loads(str(await socket.event())[start:])["sid"])
        await socket.event()
    assert len(set(ids)) == 3
    socket.close()


# disconnect


async def test_the_client_leaves_its_only_namespace_and_the_connection_goes_on():
    async with serving(Echo(), ServerOptions(ping_interval=0.3)) as served:
        socket = await connected(served.port)
        socket.send("41")
        assert await socket.receive() == "2"
        socket.close()


async def test_the_client_leaves_one_namespace_of_two(echo: int):
    socket = await connected(echo)
    socket.send("40/custom")
    await socket.event()
    await socket.event()
    socket.send("41/custom")
    socket.send('42["message","message to main namespace"]')
    assert await socket.event() == '42["message-back","message to main namespace"]'
    socket.close()


async def test_a_namespace_may_be_connected_again_after_it_was_left(echo: int):
    socket = await connected(echo)
    socket.send("41")
    socket.send("40")
    assert str(await socket.event()).startswith('40{"sid":"')
    socket.close()


# message


async def test_plain_text(echo: int):
    socket = await connected(echo)
    socket.send('42["message",1,"2",{"3":[true]}]')
    assert await socket.event() == '42["message-back",1,"2",{"3":[true]}]'
    socket.close()


async def test_binary_attachments(echo: int):
    socket = await connected(echo)
    socket.send('452-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')
    socket.send(b"\x01\x02\x03")
    socket.send(b"\x04\x05\x06")
    assert [await socket.event() for _ in range(3)] == [
        '452-["message-back",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
        b"\x01\x02\x03",
        b"\x04\x05\x06",
    ]
    socket.close()


async def test_plain_text_with_an_ack(echo: int):
    socket = await connected(echo)
    socket.send('42456["message-with-ack",1,"2",{"3":[false]}]')
    assert await socket.event() == '43456[1,"2",{"3":[false]}]'
    socket.close()


async def test_binary_attachments_with_an_ack(echo: int):
    socket = await connected(echo)
    socket.send('452-789["message-with-ack",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')
    socket.send(b"\x01\x02\x03")
    socket.send(b"\x04\x05\x06")
    assert [await socket.event() for _ in range(3)] == [
        '462-789[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
        b"\x01\x02\x03",
        b"\x04\x05\x06",
    ]
    socket.close()


@pytest.mark.parametrize(
    ("sent", "back"),
    [
        ('42["message",{"_placeholder":true,"num":0}]', '42["message-back",{"_placeholder":true,"num":0}]'),
        ('42007["message-with-ack"]', "437[]"),
        ('429007199254740992["message-with-ack"]', "439007199254740992[]"),
        ('42["message","€😀\\u20ac"]', '42["message-back","€😀€"]'),
        ('42["message", 1 ,{ "b":null} ]', '42["message-back",1,{"b":null}]'),
        ('42["__proto__"]\x00', None),
        ('42["message",123456789012345678901234567890]', '42["message-back",123456789012345678901234567890]'),
    ],
    ids=["placeholder in text", "zeros", "2^53", "unicode", "spaces", "trailing NUL", "big integer"],
)
async def test_details_of_the_encoding(echo: int, sent: str, back: str | None):
    socket = await connected(echo)
    socket.send(sent)
    if back is None:
        assert await socket.ended() == Closed(1002)
    else:
        assert await socket.event() == back
    socket.close()


INVALID = {
    "unknown type": "4abc",
    "payload is an object": "42{}",
    "ack id is no number": '42abc["message-with-ack",1]',
    "no payload": "42",
    "empty array": "42[]",
    "name is null": "42[null]",
    "name is an object": "42[{}]",
    "name is true": "42[true]",
    "no JSON": '42["message",]',
    "trailing bytes": '42["message"]x',
    "NaN": '42["message",NaN]',
    "lone surrogate": '42["message","\\ud800"]',
    "deep": '42["message",' + "[" * 100 + "]" * 100 + "]",
    "very deep": '42["message",' + "[" * 100_000,
    "integer of 5,000 digits": '42["message",' + "1" * 5000 + "]",
    "1e400": '42["message",1e400]',
    "ack id beyond 2^53": '429007199254740993["message"]',
    "ack id of 100,000 digits": "42" + "1" * 100_000 + '["message"]',
    "ack id in other digits": '42٣["message"]',
    "namespace never connected": '42/custom,["message"]',
    "ack of a namespace never connected": "43/custom,1[]",
    "leaving a namespace never connected": "41/custom",
    "connecting twice": "40",
    "disconnect with a payload": "41{}",
    "connect error from a client": '44{"message":"x"}',
    "no attachments announced": '450-["message"]',
    "eleven attachments": '4511-["message"]',
    "very many attachments": '459999999999-["message"]',
    "attachment count is no number": '45x-["message"]',
    "attachment count missing": '45["message"]',
    "namespace of a megabyte": "40/" + "x" * 900_000,
    **{f"reserved {name}": f'42["{name}"]' for name in (
        "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener",
    )},
}  # fmt: skip


@pytest.mark.parametrize("packet", INVALID.values(), ids=INVALID.keys())
async def test_an_invalid_packet_closes_the_connection_and_no_other(echo: int, packet: str):
    bystander, socket = await connected(echo), await connected(echo)
    socket.send(packet)
    assert await socket.ended() == Closed(1002)
    bystander.send('42["message","alive"]')
    assert await bystander.event() == '42["message-back","alive"]'
    socket.close()
    bystander.close()


@pytest.mark.parametrize(
    "packets",
    [
        (b"\x01",),
        ('451-["message",{"_placeholder":true,"num":0}]', '42["message"]'),
        ('451-["message",{"_placeholder":true,"num":1}]', b"\x01"),
        ('451-["message",{"_placeholder":true,"num":true}]', b"\x01"),
        ('451-["message",{"_placeholder":true,"num":"0"}]', b"\x01"),
        ('451-["message",{"_placeholder":true,"num":0.5}]', b"\x01"),
        ('451-["message",{"_placeholder":true,"num":-1}]', b"\x01"),
        ('451-["message",{"_placeholder":true}]', b"\x01"),
        ('451-["connect"]', b"\x01"),
        ('452-["message"]', b"x" * 600_000, b"x" * 600_000),
    ],
    ids=[
        "not announced", "text between", "out of range", "num is true", "num is text", "num is no integer",
        "num is negative", "num is missing", "reserved name", "more bytes than a message may have",
    ],
)  # fmt: skip
async def test_invalid_attachments_close_the_connection(echo: int, packets: tuple[str | bytes, ...]):
    socket = await connected(echo)
    for packet in packets:
        socket.send(packet)
    assert (await socket.ended()).code in {1002, 1009}
    socket.close()


async def test_pings_may_come_between_a_packet_and_its_attachments():
    async with serving(Echo(), ServerOptions(ping_interval=0.3)) as served:
        socket = await connected(served.port)
        socket.send('451-["message",{"_placeholder":true,"num":0}]')
        assert await socket.receive() == "2"
        socket.send("3")
        socket.send(b"late")
        assert await socket.event() == '451-["message-back",{"_placeholder":true,"num":0}]'
        socket.close()


async def test_late_and_unknown_acks_and_other_events_are_ignored(echo: int):
    socket = await connected(echo)
    for packet in ("43999[1]", '42["other"]', "42[5]", '42["error"]', '42["message"]'):
        socket.send(packet)
    assert await socket.event() == '42["message-back"]'
    socket.send('461-7[{"_placeholder":true,"num":0}]')
    socket.send(b"\x01")
    socket.send('42["message"]')
    assert await socket.event() == '42["message-back"]'
    socket.close()


# over HTTP long-polling


async def test_a_session_by_polling(echo: int):
    first = await request(echo, "GET", TARGET + "polling")
    target = f"{TARGET}polling&sid={json.loads(first.text[1:])['sid']}"
    assert (await request(echo, "POST", target, b"40")).body == b"ok"
    reply = (await request(echo, "GET", target)).text.split("\x1e")
    assert reply[0].startswith('40{"sid":"')
    assert reply[1] == '42["auth",{}]'
    packets = '42["message",1]\x1e451-2["message-with-ack",{"_placeholder":true,"num":0}]\x1ebAQID'
    assert (await request(echo, "POST", target, packets.encode())).body == b"ok"
    assert (
        await request(echo, "GET", target)
    ).text == '42["message-back",1]\x1e461-2[{"_placeholder":true,"num":0}]\x1ebAQID'


async def test_many_packets_in_one_post(echo: int):
    first = await request(echo, "GET", TARGET + "polling")
    target = f"{TARGET}polling&sid={json.loads(first.text[1:])['sid']}"
    packets = ["40", *(f'42["message",{index}]' for index in range(500))]
    assert (await request(echo, "POST", target, "\x1e".join(packets).encode())).body == b"ok"
    reply = (await request(echo, "GET", target)).text.split("\x1e")
    assert reply[2:] == [f'42["message-back",{index}]' for index in range(500)]
