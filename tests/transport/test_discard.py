"""What was queued for a session is not sent after its end, and everything else arrives whole and in order."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from compartmentd.protocol.application import Peer
from compartmentd.protocol.socketio import build_event
from compartmentd.transport.options import ServerOptions
from tests.support import certificates
from tests.support.recorder import Recorder
from tests.support.timing import eventually
from tests.support.wire import Closed, Serving, WebSocket, serving
from tests.support.wired import wired

Contexts = tuple[ssl.SSLContext, ssl.SSLContext]

WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
FILLING = "x" * 3000


async def test_polling() -> None:
    async with wired() as here:
        client = await here.polling()
        await client.post("40/a,")
        await client.poll()
        peer = here.peer
        for number in range(100):
            peer.send(build_event("/", "main", number, FILLING))
            peer.send(build_event("/a", "kept", number))
        peer.discard("/")
        peer.send(build_event("/", "closing"))
        peer.end("/")
        assert here.server.measure_load().unsent < 10_000
        packets = await client.poll()
    assert packets == [*(f'42/a,["kept",{number}]' for number in range(100)), '42["closing"]', "41"]


async def test_polling_between_turns() -> None:
    async with wired() as here:
        client = await here.polling()
        here.emit("main", FILLING * 100)
        await eventually(
            lambda: here.server.measure_load().unsent > 300_000, "it is queued for the next poll"
        )
        here.peer.discard("/")
        here.peer.end("/")
        assert await client.poll() == ["41"]


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> Contexts:
    pair = certificates.make()
    return certificates.readable(tmp_path_factory.mktemp("tls"), pair).context, certificates.trusting(pair)


@pytest.fixture(params=["plain", "TLS"])
def tls(request: pytest.FixtureRequest, contexts: Contexts) -> Contexts | None:
    return contexts if request.param == "TLS" else None


@asynccontextmanager
async def behind(tls: Contexts | None) -> AsyncIterator[tuple[Serving, Peer, WebSocket]]:
    """Connect a client to `/` and `/a` that does not read."""
    recorder = Recorder()
    async with serving(recorder, ServerOptions(send_buffer=64 << 20), tls=tls) as served:
        client = await WebSocket.open(served.port, WEBSOCKET, tls=served.tls)
        await client.receive()
        for packet in ("40", "40/a,"):
            client.send(packet)
            await client.receive()
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]  # as a client that does not read
        yield served, recorder.peers[0], client
        client.close()


@pytest.mark.parametrize("taken", [False, True])
async def test_websocket(tls: Contexts | None, taken: bool) -> None:
    async with behind(tls) as (served, peer, client):
        sent = 0

        def is_behind() -> bool:
            """Send a part, and return whether the kernel takes no more; in several turns of the loop."""
            nonlocal sent
            for _ in range(50):
                peer.send(build_event("/", "main", sent, FILLING))
                peer.send(build_event("/a", "kept", sent, b"12"))
                sent += 1
            return served.server.measure_load().unsent > 1_000_000

        await eventually(is_behind, "the kernel takes no more")
        main, kept = 0, 0

        async def read() -> str | bytes | Closed:
            """Read the next packet; count it if it is the next one of its namespace."""
            nonlocal main, kept
            packet = await client.receive()
            if packet == f'42["main",{main},"{FILLING}"]':
                main += 1
            elif packet == f'451-/a,["kept",{kept},{{"_placeholder":true,"num":0}}]':
                assert await client.receive() == b"12"
                kept += 1
            else:
                assert packet in {'42["closing"]', "41"}
            return packet

        client.reader._transport.resume_reading()  # type: ignore[attr-defined]
        unsent = served.server.measure_load().unsent
        while taken and served.server.measure_load().unsent == unsent:
            await read()  # a part of what is pending leaves, and the rest begins inside a frame
        peer.discard("/")
        peer.send(build_event("/", "closing"))
        peer.end("/")
        while await read() != "41":
            pass
        assert kept == sent
        assert main < sent
        peer.send(build_event("/a", "after"))
        assert await client.receive() == '42/a,["after"]'


async def test_when_all_that_waits_is_dropped_the_socket_is_written_to_as_before() -> None:
    async with behind(None) as (served, peer, client):
        await eventually(
            lambda: _send(peer) and served.server.measure_load().unsent > 1_000_000, "it is behind"
        )
        peer.discard("/")
        assert served.server.measure_load().unsent < 10_000, "at most the rest of one frame"
        client.reader._transport.resume_reading()  # type: ignore[attr-defined]
        peer.send(build_event("/", "after"))
        while (packet := await client.receive()) != '42["after"]':
            assert str(packet).startswith('42["main"')


def _send(peer: Peer) -> bool:
    for _ in range(100):
        peer.send(build_event("/", "main", FILLING))
    return True
