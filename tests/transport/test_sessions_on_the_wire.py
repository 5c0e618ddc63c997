"""An application and its clients, over real sockets and both transports."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import Any

import pytest

from compartmentd.protocol.application import Peer
from compartmentd.protocol.connection import EngineConnection
from compartmentd.protocol.socketio import build_event
from compartmentd.transport.options import KeptParts, ServerOptions
from compartmentd.transport.polling_link import PollingLink
from compartmentd.transport.server import ServerLoad
from compartmentd.transport.websocket_link import WebSocketLink
from tests.support.recorder import Recorder
from tests.support.timing import eventually
from tests.support.wire import Closed, Refused, frame, read_reply, request
from tests.support.wired import Polling, wired

NEWS = "x" * 10_000
"""More of it than a few is more than waits unseen."""


async def test_each_namespace_has_a_session_of_its_own():
    async with wired() as here:
        client = await here.websocket("/", "/a", "/b")
        client.send('42/a,["x"]')
        client.send("41/b")
        client.send('42["y"]')
        await here.happened("event", 2)
        client.close()
        await here.happened("closed")
        assert here.app.calls[3:] == [
            ("event", "/a", None, ["x"]),
            ("left", "/b"),
            ("event", "/", None, ["y"]),
            ("closed", ["/", "/a"], "transport close"),
        ]


async def test_a_refusal_tells_message_and_data_and_the_connection_stays():
    async with wired() as here:
        client = await here.websocket()
        client.send("40/no,")
        assert await client.receive() == '44/no,{"message":"No","data":{"code":"no"}}'
        client.send("40/yes,")
        assert await client.receive() == '40/yes,{"sid":"public3"}'


async def test_what_still_arrives_for_a_namespace_that_the_server_ended_is_dropped_and_counted():
    async with wired() as here:
        client = await here.websocket("/", "/a")
        here.app.peers[1].end("/a")
        assert await client.receive() == "41/a,"
        client.send('42/a,1["x"]')
        client.send('451-/a,["x",{"_placeholder":true,"num":0}]')
        client.send(b"attachment")
        client.send("43/a,1[]")
        client.send("41/a")
        client.send("40/a,")
        assert await client.receive() == '40/a,{"sid":"public3"}'
        client.send('42/a,["again"]')
        await here.happened("event")
        assert here.app.named("event") == [("event", "/a", None, ["again"])]
        assert here.app.named("left") == []
        assert here.counters.dropped == 4


@pytest.mark.parametrize("packet", ['42/a,["x"]', "41/a", "43/a,1[]", '451-/a,["x"]'])
@pytest.mark.parametrize("why", ["never connected", "left", "refused"])
async def test_packets_for_a_namespace_that_the_client_knows_it_is_not_in_close(packet: str, why: str):
    async with wired() as here:
        client = await here.websocket()
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
        await here.happened("closed")
        assert here.app.named("closed") == [("closed", ["/"], "parse error")]


@pytest.mark.parametrize("packet", ['42["x"]', "40", "41", "431[]"])
async def test_nothing_may_be_sent_before_a_connect_was_answered(packet: str):
    async with wired() as here:
        here.app.accepting = False
        client = await here.open()
        await client.receive()
        client.send("40")
        client.send(packet)
        assert await client.receive() == Closed(1002)
        here.peer.accept("/", "late", object())  # the application cannot know, and does no harm


async def test_an_answer_may_come_later():
    async with wired() as here:
        here.app.accepting = False
        client = await here.open()
        await client.receive()
        client.send("40")
        await here.happened("connect")
        here.peer.accept("/", "public", (here.peer, "/"))
        here.emit("hello")
        assert await client.receive() == '40{"sid":"public"}'
        assert await client.receive() == '42["hello"]'


async def test_everything_of_a_turn_leaves_in_one_send():
    async with wired() as here:
        client = await here.websocket()
        before = here.counters.bytes_out

        def burst(peer: Peer, _: str, __: list[Any]) -> None:
            for number in range(50):
                peer.send(build_event("/", "n", number))
            assert here.counters.bytes_out == before

        here.app.on_event = burst
        client.send('42["go"]')
        for number in range(50):
            assert await client.receive() == f'42["n",{number}]'


async def test_an_error_of_the_application_closes_that_connection_and_no_other(
    caplog: pytest.LogCaptureFixture,
):
    async with wired() as here:
        client, other = await here.websocket(), await here.websocket()

        def fail(_: Peer, __: str, event: list[Any]) -> None:
            if event == ["fail"]:
                raise ZeroDivisionError

        here.app.on_event = fail
        client.send('42["fail"]')
        assert await client.receive() == Closed(1011)
        other.send('42["fine"]')
        await eventually(lambda: ["fine"] in here.events, "the other's event")
        assert here.counters.errors == 1
        assert "ZeroDivisionError" in caplog.text


async def test_close_sends_what_is_queued_first():
    async with wired() as here:
        client = await here.websocket()
        here.emit("closing", {"code": "x"})
        here.peer.close("policy")
        here.emit("dropped")
        assert here.app.named("closed") == [("closed", ["/"], "policy")]
        assert await client.receive() == '42["closing",{"code":"x"}]'
        assert await client.receive() == Closed(1005)


async def test_close_is_told_to_a_polling_client_by_its_next_poll():
    async with wired() as here:
        client = await here.polling()
        here.emit("closing")
        here.peer.close("policy")
        with pytest.raises(Refused):
            await here.probe(client)
        assert await client.post('42["dropped"]') == b"ok"
        assert await client.poll() == ['42["closing"]']
        assert await client.poll() == ["1"]
        assert await client.unknown()
        assert here.events == []


async def test_close_answers_a_poll_that_is_held():
    async with wired() as here:
        client = await here.polling()
        poll = asyncio.create_task(client.poll())
        await asyncio.sleep(0.05)
        here.peer.close("policy")
        assert await poll == ["1"]
        assert await client.unknown()


async def test_hold_keeps_what_arrives_and_resume_takes_it_first():
    async with wired() as here:
        client = await here.websocket()
        here.app.on_event = lambda peer, _, event: peer.hold() if event == ["hold"] else None
        client.send('42["hold"]')
        client.raw(b"".join(frame(1, b'42["n",%d]' % number) for number in range(10)))
        await here.happened("event")
        await asyncio.sleep(0.05)
        client.send('42["later"]')
        await asyncio.sleep(0.05)
        assert here.events == [["hold"]]
        here.peer.resume()
        await here.happened("event", 12)
        assert here.events[1:] == [*(["n", n] for n in range(10)), ["later"]]


async def test_hold_again_while_resuming():
    async with wired() as here:
        client = await here.websocket()
        here.app.on_event = lambda peer, _, __: peer.hold()
        client.raw(b"".join(frame(1, b'42["n",%d]' % number) for number in range(5)))
        for count in range(1, 6):
            await here.happened("event", count)
            await asyncio.sleep(0.01)
            assert len(here.events) == count
            here.peer.resume()
        client.send('42["more"]')
        await here.happened("event", 6)


async def test_a_post_is_answered_once_its_packets_were_taken():
    async with wired() as here:
        client = await here.polling(read=False)
        here.app.on_event = lambda peer, _, event: peer.hold() if event == ["hold"] else None
        posted = asyncio.create_task(client.post('42["hold"]', '42["after"]'))
        await here.happened("event")
        await asyncio.sleep(0.05)
        assert not posted.done()
        here.peer.resume()
        assert await posted == b"ok"
        assert here.events == [["hold"], ["after"]]


async def test_a_post_of_very_many_packets_lets_others_have_their_turn():
    async with wired(max_payload=1_000_000) as here:
        client, other = await here.polling(), await here.websocket()

        def meanwhile(_: Peer, __: str, event: list[Any]) -> None:
            if event == ["many", 0]:
                other.send('42["other"]')

        here.app.on_event = meanwhile
        assert await client.post(*(f'42["many",{number}]' for number in range(5000))) == b"ok"
        assert [event for event in here.events if event[0] == "many"] == [["many", n] for n in range(5000)]
        assert ["other"] in here.events[:4000]


async def test_a_client_that_leaves_in_the_middle_of_its_packets_has_left():
    async with wired(max_payload=1_000_000) as here:
        client = await here.polling()
        packets = [f'42["many",{number}]' for number in range(5000)]
        assert await client.post(*packets[:1000], "1", *packets[1000:]) == b"ok"
        await here.happened("closed")
        assert len(here.events) == 1000
        assert await client.unknown()


async def test_the_end_of_a_held_connection_is_noticed_when_it_is_resumed():
    async with wired() as here:
        client = await here.websocket()
        here.app.on_event = lambda peer, _, __: peer.hold()
        client.send('42["hold"]')
        await here.happened("event")
        client.close()
        await asyncio.sleep(0.05)
        here.peer.resume()
        await here.happened("closed")


async def test_connections_without_a_session_are_closed_in_time():
    async with wired(connect_timeout=1.0) as here:
        never = await here.open()
        left, ended, _stays = [await here.websocket() for _ in range(3)]
        await asyncio.sleep(0.3)
        left.send("41")
        here.app.peers[1].end("/")
        for client in (never, left, ended):
            assert await client.ended() == Closed(1005)
            client.close()
        assert here.counters.connect_timeouts == 3
        await eventually(lambda: here.server.connections == 1, "three are gone")


async def test_attachments_that_never_come_end_the_connection(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("compartmentd.protocol.multiplex._ASSEMBLY_TIMEOUT", 0.2)
    async with wired() as here:
        client = await here.websocket()
        client.send('451-["x",{"_placeholder":true,"num":0}]')
        assert await client.ended() == Closed(1002)


async def test_too_many_namespaces_close_the_connection():
    async with wired(namespaces=3) as here:
        client = await here.websocket("/", "/a", "/b")
        client.send("40/no,")
        assert await client.receive() == Closed(1002)


async def test_a_client_too_far_behind_on_polling_is_dropped_as_slow():
    async with wired(send_buffer=100_000) as here:
        client = await here.polling(read=False)
        for _ in range(20):
            here.emit("news", NEWS)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert here.app.named("closed") == [("closed", ["/"], "slow")]
        assert await client.unknown()
        assert here.counters.slow == 1


async def test_clear_tells_whether_volatile_messages_would_leave():
    async with wired() as here:
        client = await here.polling(read=False)
        assert here.peer.is_writable
        for _ in range(7):
            here.emit("news", NEWS)
        await asyncio.sleep(0.01)
        assert not here.peer.is_writable
        await client.poll()
        assert here.peer.is_writable


async def test_the_load_counts_the_connections_that_are_behind_and_their_bytes():
    async with wired() as here:
        assert here.server.measure_load() == ServerLoad(
            websocket=0, polling=0, behind=0, unsent=0, most_unsent=0
        )
        polling, websocket = await here.polling(read=False), await here.websocket()
        for peer in here.app.peers:
            peer.send(build_event("/", "news", NEWS))
        await websocket.receive()
        load = here.server.measure_load()
        assert (load.websocket, load.polling, load.behind) == (1, 1, 1)
        assert load.unsent == load.most_unsent >= len(NEWS)
        await polling.poll()
        assert here.server.measure_load().unsent == 0


async def test_messages_queued_during_an_upgrade_go_out_once_and_in_order():
    async with wired() as here:
        client = await here.polling()
        numbers = iter(range(1000))

        def publish() -> None:
            here.emit("n", next(numbers))

        received: list[str] = []
        publish()
        poll = asyncio.create_task(client.poll())
        socket = await here.probe(client, answered=False)
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
        assert here.counters.upgraded == 0
        socket.send("5")
        publish()
        socket.send('42["through"]')
        await here.happened("event")
        publish()
        publish()
        while len(packets := [p for p in received if p != "6"]) < 7:
            received.append(str(await socket.receive()))
        assert packets == [f'42["n",{number}]' for number in range(7)]
        assert here.counters.upgraded == 1
        socket.close()
        await here.happened("closed")


@pytest.mark.parametrize("first", ["5", "poll"])
async def test_the_last_messages_reach_a_client_in_the_middle_of_its_upgrade(first: str):
    """After `3probe` a client polls no more and sends `5`, unless it gives the WebSocket up."""
    async with wired() as here:
        client = await here.polling()
        socket = await here.probe(client)
        here.emit("closing", "unavailable")
        here.app.peers[0].close("server shutting down")
        last = '42["closing","unavailable"]'
        if first == "poll":
            assert await client.poll() == [last]
            assert await client.poll() == ["1"]
            assert isinstance(await socket.receive(), Closed)
        else:
            socket.send("5")
            assert await socket.receive() == last
            assert isinstance(await socket.receive(), Closed)
        await eventually(lambda: here.server.connections == 0, "its place is free")


async def test_a_post_that_is_given_up_after_an_upgrade_does_not_end_what_the_websocket_carries():
    async with wired() as here:
        client = await Polling.open(here.port)
        _, late = await client.begin_post(10, "40")
        await asyncio.sleep(0.1)
        socket = await here.upgraded(client)
        late.transport.abort()
        await asyncio.sleep(0.1)
        socket.send("40")
        assert str(await socket.receive()).startswith("40{")


async def test_what_is_sent_in_the_very_turn_of_an_upgrade_follows_what_was_queued():
    async with wired() as here:
        client = await here.polling()
        here.emit("older")
        socket = await here.probe(client)
        here.emit("newer")
        here.peer.link.probe.receive([(1, b"5")])  # type: ignore[attr-defined]
        here.emit("newest")
        assert [await socket.receive() for _ in range(3)] == ['42["older"]', '42["newer"]', '42["newest"]']


async def test_a_probe_that_is_none_leaves_the_session_on_polling():
    async with wired(upgrade_timeout=1.0) as here:
        client = await here.polling()
        for packets in (["4hello"], [b"2probe x"], ["5"], ["2probe", "4hello"], ["2probe"], ["2probe", None]):
            socket = await here.probe(client, answered=False)
            for packet in packets:
                if packet is None:
                    socket.writer.transport.abort()
                else:
                    socket.send(packet)
            await socket.ended()
            socket.close()
            await eventually(lambda: here.counters.upgraded == 0, "no upgrade")
            here.emit("still", str(packets))
            assert next(p for p in await client.poll() if p != "6").startswith('42["still"')
        socket = await here.probe(client, answered=False)
        socket.send("2probe")
        socket.send("5")
        assert await socket.receive() == "3probe"
        here.emit("moved")
        assert await socket.receive() == '42["moved"]'


async def test_a_second_probe_is_closed_and_the_first_goes_on():
    async with wired() as here:
        client = await here.polling(read=False)
        first, second = [await here.probe(client, answered=False) for _ in range(2)]
        assert await second.ended() == Closed(1000)
        first.send("2probe")
        assert await first.receive() == "3probe"
        third = await here.probe(client, answered=False)
        assert await third.ended() == Closed(1000)
        first.send("5")
        assert str(await first.receive()).startswith("40{")


async def test_a_session_that_ends_takes_its_probe_along():
    async with wired() as here:
        client = await here.polling(read=False)
        socket = await here.probe(client)
        await client.post("1")
        assert await socket.ended() == Closed(1005)
        socket.send("5")
        assert await client.unknown()


async def test_a_held_session_stays_held_over_an_upgrade():
    async with wired() as here:
        client = await here.polling(read=False)
        here.peer.hold()
        socket = await here.probe(client, answered=False)
        for packet in ("2probe", "5", '42["x"]'):
            socket.send(packet)
        await eventually(lambda: here.counters.upgraded, "the upgrade")
        socket.send('42["y"]')
        await asyncio.sleep(0.05)
        assert here.events == []
        assert not here.peer.link._reading  # type: ignore[attr-defined]
        here.peer.resume()
        await here.happened("event", 2)


async def test_handshakes_show_the_first_request():
    async with wired() as here:
        client = await here.open("&a=1&a=2&b=%C3%A9", {"X-Custom": "yes", "Authorization": "Bearer x"})
        client.send("40")
        await here.happened("connect")
        handshake = here.peer.handshake
        assert handshake.address == "127.0.0.1"
        assert handshake.headers["x-custom"] == ("yes",)
        assert handshake.headers["authorization"] == ("Bearer x",)
        assert handshake.query["a"] == ("1", "2")
        assert handshake.query["b"] == ("é",)


SENT = {"X-Custom": "yes", "Authorization": "Bearer x", "Cookie": 'a=1; rt="t;no=1; rt=u;x=rt; art=2'}


@pytest.mark.parametrize(
    ("kept", "headers", "query"),
    [
        (KeptParts(), {}, {}),
        (KeptParts(headers=("authorization",)), {"authorization": ("Bearer x",)}, {}),
        (KeptParts(cookies=("rt",)), {"cookie": ('rt="t; rt=u',)}, {}),
        (KeptParts(cookies=("gone",), parameters=("gone",)), {}, {}),
        (KeptParts(parameters=("a", "b")), {}, {"a": ("1", "2"), "b": ("",)}),
    ],
)
async def test_of_a_handshake_only_what_the_application_reads_is_kept(
    kept: KeptParts, headers: dict[str, tuple[str, ...]], query: dict[str, tuple[str, ...]]
) -> None:
    async with wired(kept=kept) as here:
        client = await here.open("&b64=1&a=1&a=2&b=&c=3", SENT)
        client.send("40")
        await here.happened("connect")
        handshake = here.peer.handshake
    assert (dict(handshake.headers), dict(handshake.query)) == (headers, query)
    assert handshake.address == "127.0.0.1"


async def test_the_auth_payload_is_handed_on_as_it_came():
    async with wired() as here:
        client = await here.open()
        client.send('40{ "token":"a", "x":[1.0]}')
        client.send("40/b,")
        client.send("40/c,{}")
        await here.happened("connect", 3)
        assert here.app.calls == [
            ("connect", "/", b'{ "token":"a", "x":[1.0]}'),
            ("connect", "/b", None),
            ("connect", "/c", b"{}"),
        ]


async def test_engine_ids_are_never_shown_to_applications_by_accident():
    async with wired() as here:
        client = await here.open()
        sid = json.loads(str(await client.receive())[1:])["sid"]
        client.send("40")
        assert sid not in str(await client.receive())
        assert isinstance(here.peer, EngineConnection)
        assert sid not in repr(here.peer)


async def test_two_posts_at_once_end_the_session():
    async with wired() as here:
        client = await here.polling(read=False)
        _, first = await client.begin_post(9, "42[")
        await asyncio.sleep(0.05)
        assert (await request(here.port, "POST", client.target, b"3")).status == 400
        assert here.app.named("closed") == [("closed", ["/"], "transport error")]
        assert await client.unknown()
        first.close()


async def test_a_post_that_is_still_coming_when_its_session_moves_is_refused():
    async with wired() as here:
        client = await here.polling(read=False)
        reader, writer = await client.begin_post(6, "42[")
        await here.upgraded(client)
        writer.write(b'"x"')
        assert (await read_reply(reader)).json["code"] == 3
        assert here.events == []
        writer.close()


async def test_clients_that_can_take_text_alone_get_binary_in_base64():
    async with wired() as here:
        client = await here.websocket(query="&b64=1")
        here.emit("x", b"\x01\x02")
        assert await client.receive() == '451-["x",{"_placeholder":true,"num":0}]'
        assert await client.receive() == "bAQI="


async def test_a_websocket_that_carries_nothing_is_closed_with_its_server():
    async with wired() as here:
        client = await Polling.open(here.port)
        probes = [await here.probe(client, answered=False) for _ in range(2)]
        await here.server.close(grace=0)
        for probe in probes:
            await probe.ended()


async def test_a_post_that_is_cut_off_ends_the_session(caplog: pytest.LogCaptureFixture):
    async with wired() as here:
        client = await here.polling(read=False)
        _, writer = await client.begin_post(9, "42[")
        await asyncio.sleep(0.05)
        writer.close()
        await here.happened("closed")
        assert not caplog.records, "clients may go when they like"
        assert await client.unknown()  # which is a line of its own, if none was written just before


class Forgetful(Recorder):
    """Keeps no connection that is gone."""

    def handle_close(self, peer: Peer, sessions: Any, reason: str) -> None:
        super().handle_close(peer, sessions, reason)
        self.peers.clear()


async def test_connections_that_are_gone_are_freed_without_the_collector(monkeypatch: pytest.MonkeyPatch):
    """No cycle holds them, and no timer beyond the one that was set."""
    monkeypatch.setattr("compartmentd.transport.websocket_link.LINGER", 0.3)
    gc.collect()
    gc.disable()
    try:
        async with wired(Forgetful(), ping_interval=0.2) as here:
            for number in range(10):
                client = await here.websocket()
                if number % 2:
                    client.send("42{}")
                    await client.ended()
                client.close()
                polling = await Polling.open(here.port)
                await polling.post("1")
            await eventually(lambda: not here.server.connections, "every connection is gone")
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
    async with wired(ping_interval=1, max_payload=5000) as here:
        old = await here.websocket()
        here.server.configure(
            ServerOptions(ping_interval=2, max_payload=9000, origins=("https://a.example",))
        )
        new = await here.open(headers={"Origin": "https://a.example"})
        value = json.loads(str(await new.receive())[1:])
        assert (value["pingInterval"], value["maxPayload"]) == (2000, 9000)
        old.send("42[" + '"x",' + '"' + "y" * 6000 + '"]')
        assert await old.receive() == Closed(1009)
        with pytest.raises(ValueError, match="path"):
            here.server.configure(ServerOptions(path="/other/"))
