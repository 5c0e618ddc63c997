"""TLS on the listeners: certificates, both transports, and clients that are slow or send something else.

What WebSockets must survive under TLS is in test_robustness.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from compartmentd.net.bind import bind_unix
from compartmentd.protocol.application import Handshake
from compartmentd.transport.options import ServerOptions
from compartmentd.transport.server import SocketServer
from tests.support import administration, certificates
from tests.support.recorder import Recorder
from tests.support.timing import eventually, within
from tests.support.wire import WebSocket, bound, port_of, read_reply, request, serving

POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"

Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


@pytest.fixture
def contexts(tmp_path: Path) -> Contexts:
    """The contexts of a server and of a client that trusts it."""
    pair = certificates.make()
    return certificates.readable(tmp_path, pair).context, certificates.trusting(pair)


async def test_polling_and_websocket_and_the_upgrade_between_them(contexts: Contexts) -> None:
    recorder = Recorder()
    async with serving(recorder, tls=contexts) as served:
        reply = await request(served.port, "GET", POLLING, tls=served.tls)
        sid = json.loads(reply.text[1:])["sid"]
        posted = await request(served.port, "POST", f"{POLLING}&sid={sid}", b"40", tls=served.tls)
        assert (reply.status, posted.status) == (200, 200)
        upgrade = await WebSocket.open(served.port, f"{WEBSOCKET}&sid={sid}", tls=served.tls)
        upgrade.send("2probe")
        assert await upgrade.event() == "3probe"
        upgrade.send("5")
        assert str(await upgrade.event()).startswith("40")
        client = await WebSocket.open(served.port, WEBSOCKET, tls=served.tls)
        client.send("40")
        await client.event()
        assert str(await client.event()).startswith("40")
        handshakes: list[Handshake] = [peer.handshake for peer in recorder.peers]
        assert [handshake.secure for handshake in handshakes] == [True, True]
        assert not served.server._tornado._http._connections, "none of this needs Tornado"
        upgrade.close()
        client.close()


async def test_the_application_is_told_that_there_is_no_tls() -> None:
    recorder = Recorder()
    async with serving(recorder) as served:
        client = await WebSocket.open(served.port, WEBSOCKET)
        client.send("40")
        await client.event()
        await client.event()
        assert not recorder.peers[0].handshake.secure
        client.close()


async def test_new_connections_get_the_new_certificate_and_old_ones_go_on(
    contexts: Contexts, tmp_path: Path
) -> None:
    async with serving(Recorder(), tls=contexts) as served:
        old = await WebSocket.open(served.port, WEBSOCKET, tls=served.tls)
        renewed = certificates.make()
        served.server.secure(certificates.readable(tmp_path, renewed).context)
        with pytest.raises(ssl.SSLCertVerificationError):
            await WebSocket.open(served.port, WEBSOCKET, tls=served.tls)
        new = await WebSocket.open(served.port, WEBSOCKET, tls=certificates.trusting(renewed))
        for client in (old, new):
            client.send("40")
            await client.event()
            assert str(await client.event()).startswith("40")
            client.close()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
async def test_what_is_older_than_tls_1_2_is_refused(contexts: Contexts) -> None:
    async with serving(Recorder(), tls=contexts) as served:
        assert served.tls is not None
        served.tls.minimum_version = ssl.TLSVersion.TLSv1_1
        served.tls.maximum_version = ssl.TLSVersion.TLSv1_1
        served.tls.set_ciphers("ALL:@SECLEVEL=0")  # else it is the client that refuses
        with pytest.raises(OSError, match=r"(?i)protocol version|reset"):
            await request(served.port, "GET", POLLING, tls=served.tls)


async def test_what_is_no_tls_is_closed_and_no_news_for_the_log(
    contexts: Contexts, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    async with serving(Recorder(), tls=contexts) as served:
        for rubbish in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b""):
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(rubbish)
            writer.write_eof()
            with suppress(ConnectionResetError):  # as it may be, since the rest was not read
                assert b"HTTP" not in await within(5, reader.read(), "the end of the connection")
            writer.close()
        assert (await request(served.port, "GET", POLLING, tls=served.tls)).status == 200
    assert not caplog.records


async def test_a_handshake_that_is_not_finished_in_time_ends(contexts: Contexts) -> None:
    server = SocketServer(Recorder(), ServerOptions())
    async with serving(server, tls=contexts) as served:
        server._entrance.handshakes.timeout = 0.1
        for beginning in (b"", b"\x16\x03\x01"):
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(beginning)
            assert await within(5, reader.read(), "the end of the connection") == b""
            writer.close()
        # The time is for the handshake alone: who finished it may think.
        server._entrance.handshakes.timeout = 1.0
        client = await WebSocket.open(served.port, WEBSOCKET, tls=served.tls)
        await asyncio.sleep(1.2)
        client.send("40")
        await client.event()
        assert str(await client.event()).startswith("40")
        client.close()


async def test_a_handshake_byte_by_byte(contexts: Contexts) -> None:
    """The client's records, cut as small as a network may."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = contexts[1].wrap_bio(incoming, outgoing, server_hostname="localhost")
    async with serving(Recorder(), tls=contexts) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        async def push() -> None:
            for byte in outgoing.read():
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0)

        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                await push()
                incoming.write(await within(5, reader.read(1 << 16), "the server's part of the handshake"))
        client.write(f"GET {POLLING} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await push()
        answer = b""
        while b"upgrades" not in answer:
            try:
                answer += client.read(1 << 16)
            except ssl.SSLWantReadError:
                incoming.write(await within(5, reader.read(1 << 16), "the answer"))
        assert answer.startswith(b"HTTP/1.1 200")
        writer.close()


async def test_the_end_is_said_by_tls_too(contexts: Contexts) -> None:
    """Without `close_notify` a client cannot tell an end from a line that was cut."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = contexts[1].wrap_bio(incoming, outgoing, server_hostname="localhost")
    async with serving(Recorder(), tls=contexts) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        served_bytes = bytearray()
        writer_head = (
            f"GET {WEBSOCKET} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n\r\n"
        )
        asked = closed = False
        while not closed:
            try:
                if not asked:
                    client.do_handshake()
                    client.write(writer_head.encode())
                    asked = True
                data = client.read(1 << 16)
                served_bytes += data
                closed = not data  # a ragged end would be an SSLEOFError
                if b'"maxPayload"' in served_bytes:
                    served.server.close_all()
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                received = await within(5, reader.read(1 << 16), "more of the server")
                incoming.write(received) if received else incoming.write_eof()
        assert served_bytes.endswith(b"\x88\x00")
        writer.close()


async def test_unix_sockets_stay_plain(contexts: Contexts, tmp_path: Path) -> None:
    server = SocketServer(Recorder(), ServerOptions())
    server.secure(contexts[0])
    path = tmp_path / "s"
    server.add_sockets([bind_unix(str(path))])
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(f"GET {POLLING} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert (await read_reply(reader)).status == 200
    writer.close()
    await server.close(grace=0.1)


async def test_the_admin_listener_speaks_it_on_tcp(contexts: Contexts) -> None:
    admin = administration.AdminServer(administration.FakeAdministration(), administration.FakeMetrics())
    admin.secure(contexts[0])
    sock = bound()
    admin.add_sockets([sock])
    reply = await request(port_of(sock), "GET", "/healthz", tls=contexts[1])
    assert reply.status == 200
    await admin.close()


async def test_a_peer_that_is_gone_before_its_turn_is_no_error(contexts: Contexts) -> None:
    async with serving(Recorder(), tls=contexts) as served:
        for _ in range(20):
            _, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.transport.abort()
        await eventually(lambda: len(served.server._entrance.handshakes) == 0, "all are let go of")
        assert (await request(served.port, "GET", POLLING, tls=served.tls)).status == 200
