"""What an application and its clients see of each other, over real sockets and both transports."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import Any

import pytest

from compartmentd.protocol.application import Peer
from compartmentd.protocol.connection import EngineConnection
from compartmentd.protocol.socketio import event_message
from compartmentd.server.options import ServerOptions
from compartmentd.server.polling import PollingLink
from compartmentd.server.socketserver import Load
from compartmentd.server.websocket import WebSocketLink
from tests.support.recorder import Recorder
from tests.support.timing import eventually
from tests.support.wire import Closed, Refused, Serving, WebSocket, frame, read_reply, request, serving

TARGET = "/socket.io/?EIO=4&transport="


class Polling:
    """A client that polls when a test says so."""

    def __init__(self, port: int, sid: str) -> None:
        self.port = port
        self.sid = sid
        self.target = f"{TARGET}polling&sid={sid}"

    @classmethod
    async def open(cls, port: int) -> Polling:
        reply = await request(port, "GET", f"{TARGET}polling")
        return cls(port, json.loads(reply.text[1:])["sid"])

    async def post(self, *packets: str) -> bytes:
        return (await request(self.port, "POST", self.target, "\x1e".join(packets).encode())).body

    async def poll(self) -> list[str]:
        reply = await request(self.port, "GET", self.target)
        assert reply.status == 200, reply
        return reply.text.split("\x1e")

    async def unknown(self) -> bool:
        return (await request(self.port, "GET", self.target)).status == 400


async def connected(served: Serving, *namespaces: str) -> WebSocket:
    client = await WebSocket.open(served.port, f"{TARGET}websocket")
    await client.receive()
    for namespace in namespaces or ("/",):
        client.send("40" if namespace == "/" else f"40{namespace},")
        await client.receive()
    return client


async def test_each_namespace_has_a_session_of_its_own():
    app = Recorder()
    async with serving(app) as served:
        client = await connected(served, "/", "/a", "/b")
        client.send('42/a,["x"]')
        client.send("41/b")
        client.send('42["y"]')
        await eventually(lambda: len(app.named("event")) == 2, "events")
        client.close()
        await eventually(lambda: app.named("closed"), "the end")
    assert app.calls[3:] == [
        ("event", "/a", None, ["x"]),
        ("left", "/b"),
        ("event", "/", None, ["y"]),
        ("closed", ["/", "/a"], "transport close"),
    ]


async def test_a_refusal_tells_message_and_data_and_the_connection_stays():
    async with serving(Recorder()) as served:
        client = await connected(served)
        client.send("40/no,")
        assert await client.receive() == '44/no,{"message":"No","data":{"code":"no"}}'
        client.send("40/yes,")
        assert await client.receive() == '40/yes,{"sid":"public3"}'
        client.close()


async def test_what_still_arrives_for_a_namespace_that_the_server_ended_is_dropped_and_counted():
    app = Recorder()
    async with serving(app) as served:
        client = await connected(served, "/", "/a")
        app.peers[1].end("/a")
        assert await client.receive() == "41/a,"
        client.send('42/a,1["x"]')
        client.send('451-/a,["x",{"_placeholder":true,"num":0}]')
        client.send(b"attachment")
        client.send("43/a,1[]")
        client.send("41/a")
        client.send("40/a,")
        assert await client.receive() == '40/a,{"sid":"public3"}'
        client.send('42/a,["again"]')
        await eventually(lambda: app.named("event"), "the event of the new session")
        assert app.named("event") == [("event", "/a", None, ["again"])]
        assert app.named("left") == []
        assert served.server.counters.dropped == 4
        client.close()


@pytest.mark.parametrize("packet", ['42/a,["x"]', "41/a", "43/a,1[]", '451-/a,["x"]'])
@pytest.mark.parametrize("why", ["never connected", "left", "refused"])
async def test_packets_for_a_namespace_that_the_client_knows_it_is_not_in_close(packet: str, why: str):
    app = Recorder()
    async with serving(app) as served:
        client = await connected(served)
        if why == "left":
            client.send("40/a,")
            await client.receive()
            client.send("41/a,")
        if why == "refused":
            packet = packet.replace("/a", "/no")
            client.send("40/no,")
            await client.receive()
        client.send(packet)
        assert await client.receive() == Closed(1002)
        await eventually(lambda: app.named("closed") == [("closed", ["/"], "parse error")], "the end")
        client.close()


@pytest.mark.parametrize("packet", ['42["x"]', "40", "41", "431[]"])
async def test_nothing_may_be_sent_before_a_connect_was_answered(packet: str):
    app = Recorder()
    app.accepting = False
    async with serving(app) as served:
        client = await WebSocket.open(served.port, f"{TARGET}websocket")
        await client.receive()
        client.send("40")
        client.send(packet)
        assert await client.receive() == Closed(1002)
        app.peers[0].accept("/", "late", object())  # the application cannot know, and does no harm
        client.close()


async def test_an_answer_may_come_later():
    app = Recorder()
    app.accepting = False
    async with serving(app) as served:
        client = await WebSocket.open(served.port, f"{TARGET}websocket")
        await client.receive()
        client.send("40")
        await eventually(lambda: app.peers, "the question")
        app.peers[0].accept("/", "public", (app.peers[0], "/"))
        app.peers[0].send(event_message("/", "hello"))
        assert await client.receive() == '40{"sid":"public"}'
        assert await client.receive() == '42["hello"]'
        client.close()


async def test_everything_of_a_turn_leaves_in_one_send():
    app = Recorder()
    async with serving(app) as served:
        client = await connected(served)
        before = served.server.counters.bytes_out

        def burst(peer: Peer, _: str, __: list[Any]) -> None:
            for number in range(50):
                peer.send(event_message("/", "n", number))
            assert served.server.counters.bytes_out == before

        app.on_event = burst
        client.send('42["go"]')
        for number in range(50):
            assert await client.receive() == f'42["n",{number}]'
        client.close()


async def test_an_error_of_the_application_closes_that_connection_and_no_other(
    caplog: pytest.LogCaptureFixture,
):
    app = Recorder()
    async with serving(app) as served:
        client, other = await connected(served), await connected(served)

        def fail(_: Peer, __: str, event: list[Any]) -> None:
            if event == ["fail"]:
                raise ZeroDivisionError

        app.on_event = fail
        client.send('42["fail"]')
        assert await client.receive() == Closed(1011)
        other.send('42["fine"]')
        await eventually(lambda: ("event", "/", None, ["fine"]) in app.calls, "the other's event")
        assert served.server.counters.errors == 1
        assert "ZeroDivisionError" in caplog.text
        client.close()
        other.close()


async def test_close_sends_what_is_queued_first():
    app = Recorder()
    async with serving(app) as served:
        client = await connected(served)
        [peer] = app.peers
        peer.send(event_message("/", "closing", {"code": "x"}))
        peer.close("policy")
        peer.send(event_message("/", "dropped"))
        assert app.named("closed") == [("closed", ["/"], "policy")]
        assert await client.receive() == '42["closing",{"code":"x"}]'
        assert await client.receive() == Closed(1005)
        client.close()


async def test_close_is_told_to_a_polling_client_by_its_next_poll():
    app = Recorder()
    async with serving(app) as served:
        client = await Polling.open(served.port)
        await client.post("40")
        await client.poll()
        app.peers[0].send(event_message("/", "closing"))
        app.peers[0].close("policy")
        with pytest.raises(Refused):
            await WebSocket.open(served.port, f"{TARGET}websocket&sid={client.sid}")
        assert await client.post('42["dropped"]') == b"ok"
        assert await client.poll() == ['42["closing"]', "1"]
        assert await client.unknown()
    assert app.named("event") == []


async def test_close_answers_a_poll_that_is_held():
    app = Recorder()
    async with serving(app) as served:
        client = await Polling.open(served.port)
        await client.post("40")
        await client.poll()
        poll = asyncio.create_task(client.poll())
        await asyncio.sleep(0.05)
        app.peers[0].close("policy")
        assert await poll == ["1"]
        assert await client.unknown()


async def test_hold_keeps_what_arrives_and_resume_takes_it_first():
    app = Recorder()
    async with serving(app) as served:
        client = await connected(served)

        def hold(peer: Peer, _: str, event: list[Any]) -> None:
            if event[0] == "hold":
                peer.hold()

        app.on_event = hold
        client.send('42["hold"]')
        client.raw(b"".join(frame(1, b'42["n",%d]' % number) for number in range(10)))
        await eventually(lambda: app.named("event"), "the first event")
        await asyncio.sleep(0.05)
        client.send('42["later"]')
        await asyncio.sleep(0.05)
        assert len(app.named("event")) == 1
        app.peers[0].resume()
        await eventually(lambda: len(app.named("event")) == 12, "all events")
        assert [call[3] for call in app.named("event")[1:]] == [*(["n", n] for n in range(10)), ["later"]]
        client.close()


async def test_hold_again_while_resuming():
    app = Recorder()
    async with serving(app) as served:
        client = await connected(served)
        app.on_event = lambda peer, _, __: peer.hold()
        client.raw(b"".join(frame(1, b'42["n",%d]' % number) for number in range(5)))
        for count in range(1, 6):
            await eventually(lambda n=count: len(app.named("event")) == n, "one more event")
            await asyncio.sleep(0.01)
            assert len(app.named("event")) == count
            app.peers[0].resume()
        client.send('42["more"]')
        await eventually(lambda: len(app.named("event")) == 6, "the event after")
        client.close()


async def test_a_post_is_answered_once_its_packets_were_taken():
    app = Recorder()
    async with serving(app) as served:
        client = await Polling.open(served.port)
        await client.post("40")
        app.on_event = lambda peer, _, event: peer.hold() if event == ["hold"] else None
        posted = asyncio.create_task(client.post('42["hold"]', '42["after"]'))
        await eventually(lambda: app.named("event"), "the first event")
        await asyncio.sleep(0.05)
        assert not posted.done()
        app.peers[0].resume()
        assert await posted == b"ok"
        assert [call[3] for call in app.named("event")] == [["hold"], ["after"]]


async def test_the_end_of_a_held_connection_is_noticed_when_it_is_resumed():
    app = Recorder()
    async with serving(app) as served:
        client = await connected(served)
        app.on_event = lambda peer, _, __: peer.hold()
        client.send('42["hold"]')
        await eventually(lambda: app.named("event"), "the event")
        client.close()
        await asyncio.sleep(0.05)
        app.peers[0].resume()
        await eventually(lambda: app.named("closed"), "the end")


async def test_connections_without_a_session_are_closed_in_time():
    app = Recorder()
    options = ServerOptions(connect_timeout=1.0)
    async with serving(app, options) as served:
        never = await WebSocket.open(served.port, f"{TARGET}websocket")
        left, ended, stays = await connected(served), await connected(served), await connected(served)
        await asyncio.sleep(0.3)
        left.send("41")
        app.peers[1].end("/")
        for client in (never, left, ended):
            assert await client.ended() == Closed(1005)
            client.close()
        assert served.server.counters.connect_timeouts == 3
        await eventually(lambda: served.server.connections == 1, "three are gone")
        stays.close()


async def test_attachments_that_never_come_end_the_connection(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("compartmentd.protocol.multiplex._ASSEMBLY_TIMEOUT", 0.2)
    async with serving(Recorder()) as served:
        client = await connected(served)
        client.send('451-["x",{"_placeholder":true,"num":0}]')
        assert await client.ended() == Closed(1002)
        client.close()


async def test_too_many_namespaces_close_the_connection():
    async with serving(Recorder(), ServerOptions(namespaces=3)) as served:
        client = await connected(served, "/", "/a", "/b")
        client.send("40/no,")
        assert await client.receive() == Closed(1002)
        client.close()


async def test_a_client_too_far_behind_on_polling_is_dropped_as_slow():
    app = Recorder()
    async with serving(app, ServerOptions(send_buffer=100_000)) as served:
        client = await Polling.open(served.port)
        await client.post("40")
        [peer] = app.peers
        for _ in range(20):
            peer.send(event_message("/", "news", "x" * 10_000))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert app.named("closed") == [("closed", ["/"], "slow")]
        assert await client.unknown()
        assert served.server.counters.slow == 1


async def test_clear_tells_whether_volatile_messages_would_leave():
    app = Recorder()
    async with serving(app) as served:
        polling = await Polling.open(served.port)
        await polling.post("40")
        peer = app.peers[0]
        assert peer.clear
        for _ in range(7):
            peer.send(event_message("/", "news", "x" * 10_000))
        await asyncio.sleep(0.01)
        assert not peer.clear
        await polling.poll()
        assert peer.clear


async def test_the_load_tells_who_is_behind_and_how_far():
    app = Recorder()
    async with serving(app) as served:
        assert served.server.load() == Load(websocket=0, polling=0, behind=0, unsent=0, most_unsent=0)
        polling = await Polling.open(served.port)
        await polling.post("40")
        websocket = await connected(served, "/")
        for peer in app.peers:
            peer.send(event_message("/", "news", "x" * 10_000))
        await websocket.receive()
        load = served.server.load()
        assert (load.websocket, load.polling, load.behind) == (1, 1, 1)
        assert load.unsent == load.most_unsent >= 10_000
        await polling.poll()
        assert served.server.load().unsent == 0
        websocket.close()


async def test_messages_queued_during_an_upgrade_go_out_once_and_in_order():
    app = Recorder()
    async with serving(app) as served:
        client = await Polling.open(served.port)
        await client.post("40")
        await client.poll()
        peer = app.peers[0]
        numbers = iter(range(1000))

        def publish() -> None:
            peer.send(event_message("/", "n", next(numbers)))

        received: list[str] = []
        publish()
        poll = asyncio.create_task(client.poll())
        socket = await WebSocket.open(served.port, f"{TARGET}websocket&sid={client.sid}")
        publish()
        received += await poll
        held = asyncio.create_task(client.poll()) if len(received) == 2 else None
        await asyncio.sleep(0.02)
        socket.send("2probe")
        assert await socket.receive() == "3probe"
        if held is not None:
            received += await held
        publish()
        received += await client.poll()
        publish()
        assert served.server.counters.upgraded == 0
        socket.send("5")
        publish()
        socket.send('42["through"]')
        await eventually(lambda: app.named("event"), "the event by WebSocket")
        publish()
        publish()
        while len(packets := [p for p in received if p != "6"]) < 7:
            received.append(str(await socket.receive()))
        assert packets == [f'42["n",{number}]' for number in range(7)]
        assert served.server.counters.upgraded == 1
        socket.close()
        await eventually(lambda: app.named("closed"), "the end")


async def test_a_post_that_is_given_up_after_an_upgrade_does_not_end_what_the_websocket_carries():
    app = Recorder()
    async with serving(app) as served:
        client = await Polling.open(served.port)
        _, late = await asyncio.open_connection("127.0.0.1", served.port)
        head = f"POST {client.target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n"
        late.write(head.encode() + b"40")
        await asyncio.sleep(0.1)
        socket = await WebSocket.open(served.port, f"{TARGET}websocket&sid={client.sid}")
        socket.send("2probe")
        assert await socket.receive() == "3probe"
        socket.send("5")
        await eventually(lambda: served.server.counters.upgraded, "the upgrade")
        late.transport.abort()
        await asyncio.sleep(0.1)
        socket.send("40")
        assert str(await socket.receive()).startswith("40{")
        socket.close()


async def test_what_is_sent_in_the_very_turn_of_an_upgrade_follows_what_was_queued():
    app = Recorder()
    async with serving(app) as served:
        client = await Polling.open(served.port)
        await client.post("40")
        await client.poll()
        [peer] = app.peers
        peer.send(event_message("/", "older"))
        socket = await WebSocket.open(served.port, f"{TARGET}websocket&sid={client.sid}")
        socket.send("2probe")
        assert await socket.receive() == "3probe"
        peer.send(event_message("/", "newer"))
        peer.link.probe.receive([(1, b"5")])  # type: ignore[attr-defined]
        peer.send(event_message("/", "newest"))
        assert [await socket.receive() for _ in range(3)] == ['42["older"]', '42["newer"]', '42["newest"]']
        socket.close()


async def test_a_probe_that_is_none_leaves_the_session_on_polling():
    app = Recorder()
    async with serving(app, ServerOptions(upgrade_timeout=1.0)) as served:
        client = await Polling.open(served.port)
        await client.post("40")
        await client.poll()
        for packets in (["4hello"], [b"2probe x"], ["5"], ["2probe", "4hello"], ["2probe"], ["2probe", None]):
            socket = await WebSocket.open(served.port, f"{TARGET}websocket&sid={client.sid}")
            for packet in packets:
                if packet is None:
                    socket.writer.transport.abort()
                else:
                    socket.send(packet)
            await socket.ended()
            socket.close()
            await eventually(lambda: served.server.counters.upgraded == 0, "no upgrade")
            app.peers[0].send(event_message("/", "still", str(packets)))
            assert next(p for p in await client.poll() if p != "6").startswith('42["still"')
        socket = await WebSocket.open(served.port, f"{TARGET}websocket&sid={client.sid}")
        socket.send("2probe")
        socket.send("5")
        assert await socket.receive() == "3probe"
        app.peers[0].send(event_message("/", "moved"))
        assert await socket.receive() == '42["moved"]'
        socket.close()


async def test_a_second_probe_is_closed_and_the_first_goes_on():
    app = Recorder()
    async with serving(app) as served:
        client = await Polling.open(served.port)
        await client.post("40")
        first = await WebSocket.open(served.port, f"{TARGET}websocket&sid={client.sid}")
        second = await WebSocket.open(served.port, f"{TARGET}websocket&sid={client.sid}")
        assert await second.ended() == Closed(1000)
        first.send("2probe")
        assert await first.receive() == "3probe"
        third = await WebSocket.open(served.port, f"{TARGET}websocket&sid={client.sid}")
        assert await third.ended() == Closed(1000)
        first.send("5")
        assert str(await first.receive()).startswith("40{")
        for socket in (first, second, third):
            socket.close()


async def test_a_session_that_ends_takes_its_probe_along():
    app = Recorder()
    async with serving(app) as served:
        client = await Polling.open(served.port)
        await client.post("40")
        socket = await WebSocket.open(served.port, f"{TARGET}websocket&sid={client.sid}")
        socket.send("2probe")
        await socket.receive()
        await client.post("1")
        assert await socket.ended() == Closed(1005)
        socket.send("5")
        assert await client.unknown()
        socket.close()


async def test_a_held_session_stays_held_over_an_upgrade():
    app = Recorder()
    async with serving(app) as served:
        client = await Polling.open(served.port)
        await client.post("40")
        app.peers[0].hold()
        socket = await WebSocket.open(served.port, f"{TARGET}websocket&sid={client.sid}")
        for packet in ("2probe", "5", '42["x"]'):
            socket.send(packet)
        await eventually(lambda: served.server.counters.upgraded, "the upgrade")
        socket.send('42["y"]')
        await asyncio.sleep(0.05)
        assert app.named("event") == []
        assert not app.peers[0].link._reading  # type: ignore[attr-defined]
        app.peers[0].resume()
        await eventually(lambda: len(app.named("event")) == 2, "both events")
        socket.close()


async def test_handshakes_show_the_first_request():
    app = Recorder()
    async with serving(app) as served:
        target = f"{TARGET}websocket&a=1&a=2&b=%C3%A9"
        client = await WebSocket.open(served.port, target, {"X-Custom": "yes", "Authorization": "Bearer x"})
        client.send("40")
        await eventually(lambda: app.peers, "the peer")
        handshake = app.peers[0].handshake
        assert handshake.address == "127.0.0.1"
        assert handshake.headers["x-custom"] == ("yes",)
        assert handshake.headers["authorization"] == ("Bearer x",)
        assert handshake.query["a"] == ("1", "2")
        assert handshake.query["b"] == ("é",)
        client.close()


async def test_of_a_handshake_only_what_the_application_reads_is_kept():
    app = Recorder()
    async with serving(app, ServerOptions(kept_headers=("cookie", "authorization"))) as served:
        headers = {"X-Custom": "yes", "Authorization": "Bearer x"}
        for target in (f"{TARGET}websocket&b64=1&a=1", f"{TARGET}websocket"):
            client = await WebSocket.open(served.port, target, headers)
            client.send("40")
            await eventually(lambda target=target: len(app.peers) == 1 + (target[-1] != "1"), "the peer")
            client.close()
        first, second = (peer.handshake for peer in app.peers)
        assert first.headers == second.headers == {"authorization": ("Bearer x",)}
        assert (first.query, second.query) == ({"a": ("1",)}, {})
        assert first.address == "127.0.0.1"


async def test_the_auth_payload_is_handed_on_as_it_came():
    app = Recorder()
    async with serving(app) as served:
        client = await WebSocket.open(served.port, f"{TARGET}websocket")
        client.send('40{ "token":"a", "x":[1.0]}')
        client.send("40/b,")
        client.send("40/c,{}")
        await eventually(lambda: len(app.calls) == 3, "three connects")
        assert app.calls == [
            ("connect", "/", b'{ "token":"a", "x":[1.0]}'),
            ("connect", "/b", None),
            ("connect", "/c", b"{}"),
        ]
        client.close()


async def test_engine_ids_are_never_shown_to_applications_by_accident():
    app = Recorder()
    async with serving(app) as served:
        client = await WebSocket.open(served.port, f"{TARGET}websocket")
        sid = json.loads(str(await client.receive())[1:])["sid"]
        client.send("40")
        assert sid not in str(await client.receive())
        connection = app.peers[0]
        assert isinstance(connection, EngineConnection)
        assert sid not in repr(connection)
        client.close()


async def test_two_posts_at_once_end_the_session():
    app = Recorder()
    async with serving(app) as served:
        client = await Polling.open(served.port)
        await client.post("40")
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(f"POST {client.target} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n42[".encode())
        await asyncio.sleep(0.05)
        assert (await request(served.port, "POST", client.target, b"3")).status == 400
        assert app.named("closed") == [("closed", ["/"], "transport error")]
        assert await client.unknown()
        writer.close()
        del reader


async def test_a_post_that_is_still_coming_when_its_session_moves_is_refused():
    app = Recorder()
    async with serving(app) as served:
        client = await Polling.open(served.port)
        await client.post("40")
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(f"POST {client.target} HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n42[".encode())
        socket = await WebSocket.open(served.port, f"{TARGET}websocket&sid={client.sid}")
        socket.send("2probe")
        socket.send("5")
        await eventually(lambda: served.server.counters.upgraded, "the upgrade")
        writer.write(b'"x"')
        assert (await read_reply(reader)).json["code"] == 3
        assert app.named("event") == []
        writer.close()
        socket.close()


async def test_clients_that_can_take_text_alone_get_binary_in_base64():
    app = Recorder()
    async with serving(app) as served:
        client = await WebSocket.open(served.port, f"{TARGET}websocket&b64=1")
        await client.receive()
        client.send("40")
        await client.receive()
        app.peers[0].send(event_message("/", "x", b"\x01\x02"))
        assert await client.receive() == '451-["x",{"_placeholder":true,"num":0}]'
        assert await client.receive() == "bAQI="
        client.close()


async def test_a_websocket_that_carries_nothing_is_closed_with_its_server():
    app = Recorder()
    async with serving(app) as served:
        client = await Polling.open(served.port)
        probes = [await WebSocket.open(served.port, f"{TARGET}websocket&sid={client.sid}") for _ in range(2)]
        await served.server.close(grace=0)
        for probe in probes:
            await probe.ended()
            probe.close()


async def test_a_post_that_is_cut_off_ends_the_session(caplog: pytest.LogCaptureFixture):
    app = Recorder()
    async with serving(app) as served:
        client = await Polling.open(served.port)
        await client.post("40")
        _, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(f"POST {client.target} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n42[".encode())
        await asyncio.sleep(0.05)
        writer.close()
        await eventually(lambda: app.named("closed"), "the end")
        assert await client.unknown()
    assert not caplog.records, "clients may go when they like"


class Forgetful(Recorder):
    """Keeps no connection that is gone."""

    def closed(self, peer: Peer, sessions: Any, reason: str) -> None:
        super().closed(peer, sessions, reason)
        self.peers.clear()


async def test_connections_that_are_gone_are_freed_without_the_collector(monkeypatch: pytest.MonkeyPatch):
    """No cycle holds them, and no timer beyond the one that was set."""
    monkeypatch.setattr("compartmentd.server.websocket.LINGER", 0.3)
    gc.collect()
    gc.disable()
    try:
        app = Forgetful()
        async with serving(app, ServerOptions(ping_interval=0.2)) as served:
            for number in range(10):
                client = await connected(served)
                if number % 2:
                    client.send("42{}")
                    await client.ended()
                client.close()
                polling = await Polling.open(served.port)
                await polling.post("1")
            await eventually(lambda: not served.server.connections, "every connection is gone")
            await eventually(lambda: not _connections(), "every connection is freed")
    finally:
        gc.enable()


def _connections() -> list[object]:
    return [
        found
        for found in gc.get_objects()
        if isinstance(found, EngineConnection | WebSocketLink | PollingLink)
    ]


async def test_options_change_for_new_connections_only():
    async with serving(Recorder(), ServerOptions(ping_interval=1, max_payload=5000)) as served:
        old = await connected(served)
        served.server.configure(
            ServerOptions(ping_interval=2, max_payload=9000, origins=("https://a.example",))
        )
        new = await WebSocket.open(served.port, f"{TARGET}websocket", {"Origin": "https://a.example"})
        value = json.loads(str(await new.receive())[1:])
        assert (value["pingInterval"], value["maxPayload"]) == (2000, 9000)
        old.send("42[" + '"x",' + '"' + "y" * 6000 + '"]')
        assert await old.receive() == Closed(1009)
        with pytest.raises(ValueError, match="path"):
            served.server.configure(ServerOptions(path="/other/"))
        old.close()
        new.close()
