"""HTTP around the sessions: origins, limits of connections and of bodies, and refusals."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest
from tornado.web import RequestHandler

from compartmentd.transport.options import ServerOptions
from compartmentd.transport.server import SocketServer
from tests.support import certificates
from tests.support.recorder import Recorder
from tests.support.timing import eventually, within
from tests.support.wire import UPGRADE, Refused, Reply, Serving, WebSocket, head, read_reply, request, serving

POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"


async def polling_sid(served: Serving, headers: Mapping[str, str] | None = None) -> str:
    sid: str = json.loads((await request(served.port, "GET", POLLING, headers=headers)).text[1:])["sid"]
    return sid


async def upgrade_status(served: Serving, target: str, headers: Mapping[str, str]) -> int:
    try:
        socket = await WebSocket.open(served.port, target, headers)
    except Refused as refused:
        return refused.reply.status
    socket.close()
    return 101


# Origins


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        (None, None, True),
        (None, "http://localhost", True),
        (None, "https://localhost", True),
        (None, "http://localhost:1", False),
        (None, "http://other", False),
        (None, "null", False),
        (None, "http://localhost\r\nOrigin: http://other", False),
        (None, "http://localhost\r\nOrigin: http://localhost", False),
        (("https://a.example",), None, True),
        (("https://a.example",), "https://a.example", True),
        (("https://a.example",), "http://localhost", False),
        (("https://a.example",), "null", False),
        (("*",), "http://any.where:1", True),
        (("*",), "null", True),
        (("null", "https://a.example"), "null", True),
        (("file://",), "file://", True),
    ],
)
async def test_origins_are_checked_at_every_request(
    origins: tuple[str, ...] | None, origin: str | None, allowed: bool
):
    async with serving(Recorder(), ServerOptions(origins=origins)) as served:
        sid = await polling_sid(served)
        headers = {} if origin is None else {"Origin": origin}
        target = f"{POLLING}&sid={sid}"
        statuses = [
            (await request(served.port, "GET", POLLING, headers=headers)).status,
            (await request(served.port, "POST", target, b"40", headers)).status,
            (await request(served.port, "GET", target, headers=headers)).status,
        ]
        assert statuses == [200 if allowed else 403] * 3
        expected = 101 if allowed else 403
        assert await upgrade_status(served, WEBSOCKET, headers) == expected
        assert await upgrade_status(served, f"{WEBSOCKET}&sid={sid}", headers) == expected
        assert served.server.counters.refusals["origin"] == (0 if allowed else 5)


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Sec-Fetch-Site": "cross-site"}, True),
        ({"Cookie": "a=1; rt=2"}, False),
        ({"Cookie": "a=1; rt=2", "Origin": "http://localhost"}, True),
        ({"Cookie": "a=1; rt=2", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Cookie": "a=1; rt=2", "Sec-Fetch-Site": "cross-site"}, False),
        ({"Cookie": "a=1; rt=2", "Sec-Fetch-Site": "none"}, False),
        ({"Cookie": "a=1; rt=2", "Sec-Fetch-Site": "same-origin", "Origin": "http://evil"}, False),
    ],
)
async def test_with_a_token_in_a_cookie_an_origin_is_needed(headers: dict[str, str], allowed: bool):
    async with serving(Recorder(), ServerOptions(token_cookies=("rt",))) as served:
        reply = await request(served.port, "GET", POLLING, headers=headers)
        assert reply.status == (200 if allowed else 403)
        if not allowed:
            assert reply.json.items() >= {"code": 4, "message": "Forbidden", "reason": "origin"}.items()
            assert "server.origins" in reply.json["detail"]
        assert await upgrade_status(served, WEBSOCKET, headers) == (101 if allowed else 403)


@pytest.mark.parametrize(
    ("origins", "allow", "credentials"),
    [(("*",), "*", None), (("https://a.example",), "https://a.example", "true")],
)
async def test_allowed_pages_may_read_every_answer(
    origins: tuple[str, ...], allow: str, credentials: str | None
):
    async with serving(Recorder(), ServerOptions(origins=origins)) as served:
        for method, target in (("GET", POLLING), ("GET", f"{POLLING}&sid=x"), ("POST", POLLING)):
            headers = (
                await request(served.port, method, target, headers={"Origin": "https://a.example"})
            ).headers
            assert headers["access-control-allow-origin"] == allow
            assert headers.get("access-control-allow-credentials") == credentials
            assert headers.get("vary") == (None if allow == "*" else "Origin")


async def test_without_an_origin_there_are_no_cors_headers():
    async with serving(Recorder(), ServerOptions(origins=("*",))) as served:
        reply = await request(served.port, "GET", POLLING)
        assert not [name for name in reply.headers if name.startswith("access-control")]


async def test_preflight():
    async with serving(Recorder(), ServerOptions(origins=("https://a.example",))) as served:
        asked = {"Origin": "https://a.example", "Access-Control-Request-Headers": "x-custom"}
        reply = await request(served.port, "OPTIONS", POLLING, headers=asked)
        assert reply.status == 204
        assert reply.headers["access-control-allow-headers"] == "x-custom"
        assert reply.headers["access-control-allow-origin"] == "https://a.example"
        assert "POST" in reply.headers["access-control-allow-methods"]
        refused = await request(served.port, "OPTIONS", POLLING, headers={"Origin": "https://evil.example"})
        assert refused.status == 403
        assert "access-control-allow-origin" not in refused.headers
        plain = await request(served.port, "OPTIONS", POLLING)
        assert (plain.status, plain.json["code"]) == (400, 2)


async def test_an_answer_that_comes_before_the_body_says_that_the_connection_ends():
    """Else a proxy keeps the connection, and sends its next client's request into one that is gone."""
    options = ServerOptions(origins=("https://a.example",), connections=1)
    async with serving(Recorder(), options) as served:
        target = f"{POLLING}&sid={await polling_sid(served)}"
        foreign = {"Origin": "http://evil.example"}
        for method, where, headers in (
            ("GET", WEBSOCKET, {**UPGRADE, **foreign}),
            ("GET", WEBSOCKET, UPGRADE),
            ("GET", f"{WEBSOCKET}&sid=unknown", UPGRADE),
            ("POST", target, {**foreign, "Content-Length": "1000000"}),
            ("POST", target, {"Content-Length": "2000000"}),
            ("POST", target, {"Content-Type": "application/octet-stream", "Content-Length": "5"}),
        ):
            reply = await request(served.port, method, where, headers=headers)
            assert reply.status >= 400
            assert reply.headers["connection"] == "close"


# How many


def unavailable(reply: Reply) -> bool:
    return reply.status == 503 and int(reply.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("options", "counter"),
    [
        (ServerOptions(connections=2), "refused_full"),
        (ServerOptions(connections_per_address=2), "refused_address"),
    ],
)
async def test_too_many_connections_are_told_to_come_later(options: ServerOptions, counter: str):
    async with serving(Recorder(), options) as served:
        await polling_sid(served)
        second = await WebSocket.open(served.port, WEBSOCKET)
        assert unavailable(await request(served.port, "GET", POLLING))
        with pytest.raises(Refused) as refused:
            await WebSocket.open(served.port, WEBSOCKET)
        assert unavailable(refused.value.reply)
        assert served.server.counters.as_dict()[counter] == 2
        assert served.server.connections == 2
        second.close()
        await eventually(lambda: served.server.connections == 1, "a place is free")
        await polling_sid(served)


async def test_too_many_handshakes_a_second_are_told_to_come_later():
    async with serving(Recorder(), ServerOptions(connect_rate=0.01)) as served:
        await polling_sid(served)
        assert unavailable(await request(served.port, "GET", POLLING))
        with pytest.raises(Refused) as refused:
            await WebSocket.open(served.port, WEBSOCKET)
        assert unavailable(refused.value.reply)
        assert served.server.counters.refused_rate == 2


# How much


async def test_a_body_over_the_limit_is_refused_and_the_session_stays():
    async with serving(Recorder(), ServerOptions(max_payload=1000)) as served:
        target = f"{POLLING}&sid={await polling_sid(served)}"
        assert (await request(served.port, "POST", target, b"4" * 1001)).status == 413
        assert (await request(served.port, "POST", target, b"40")).status == 200
        assert (await request(served.port, "GET", target)).text == '40{"sid":"public1"}'


async def test_a_chunked_body_is_taken_up_to_the_limit():
    async with serving(Recorder(), ServerOptions(max_payload=1000)) as served:
        target = f"{POLLING}&sid={await polling_sid(served)}"
        chunked = {"Transfer-Encoding": "chunked"}
        assert (
            await request(served.port, "POST", target, b"1\r\n4\r\n1\r\n0\r\n0\r\n\r\n", chunked)
        ).status == 200
        endless = b"".join(b"64\r\n" + b"x" * 100 + b"\r\n" for _ in range(20))
        assert (await request(served.port, "POST", target, endless, chunked)).status == 413


@pytest.mark.parametrize("target", [f"{POLLING}&sid=unknown", POLLING, "/socket.io/?transport=polling"])
async def test_sixty_megabytes_for_an_unknown_session_are_refused_before_they_are_read(target: str):
    async with serving(Recorder()) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(head("POST", target, {"Content-Length": "60000000"}))
        reply = await read_reply(reader)
        assert (reply.status, reply.json["code"] in {0, 1, 2}) == (400, True)
        assert await reader.read() == b"", "and the connection is closed instead of read"
        writer.close()


async def test_sixty_megabytes_for_a_session_are_refused_before_they_are_read():
    async with serving(Recorder()) as served:
        target = f"{POLLING}&sid={await polling_sid(served)}"
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(head("POST", target, {"Content-Length": "60000000"}))
        assert (await read_reply(reader)).status == 413
        writer.close()


async def test_a_short_body_for_an_unknown_session_leaves_the_socket_usable():
    async with serving(Recorder()) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        for _ in range(3):
            writer.write(head("POST", f"{POLLING}&sid=unknown", {"Content-Length": "5"}) + b"4abcd")
            assert (await read_reply(reader)).status == 400
        writer.close()


LONG = {
    "a long line": ({"X-Long": "x" * 40_000}, 431),
    "many long lines": ({f"X-{n}": "x" * 7_000 for n in range(30)}, 431),
    "many lines": ({f"X-{n}": "x" for n in range(150)}, 400),
}


@pytest.mark.parametrize(("headers", "status"), LONG.values(), ids=LONG)
@pytest.mark.parametrize("path", ["/socket.io/", "/elsewhere"])
@pytest.mark.parametrize("tls", [False, True])
async def test_long_heads_are_answered(
    headers: dict[str, str], status: int, path: str, tls: bool, tmp_path: Path
):
    pair = certificates.make()
    contexts = (certificates.readable(tmp_path, pair).context, certificates.trusting(pair)) if tls else None
    async with serving(Recorder(), tls=contexts) as served:
        for more, transport in (({}, "polling"), (UPGRADE, "websocket")):
            target = f"{path}?EIO=4&transport={transport}"
            reply = await request(served.port, "GET", target, headers={**more, **headers}, tls=served.tls)
            assert reply.status == status
        assert served.server.connections == 0
        assert served.server.counters.refused_head == (2 if status == 431 else 0)


async def test_heads_of_up_to_32_kib_are_taken():
    async with serving(Recorder()) as served:
        long = {f"X-{n}": "x" * 7_000 for n in range(4)}
        assert (await request(served.port, "GET", POLLING, headers=long)).status == 200
        assert await upgrade_status(served, WEBSOCKET, long) == 101


ODD = ["HEAD", "POST", "PUT", "OPTIONS", "DELETE", "BREW"]


@pytest.mark.parametrize("method", ODD)
async def test_requests_for_a_websocket_by_another_method_are_answered(method: str):
    async with serving(Recorder()) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(head(method, WEBSOCKET, UPGRADE))
        raw = await within(5, reader.read(), "the answer")
        top, _, body = raw.partition(b"\r\n\r\n")
        assert top.startswith(b"HTTP/1.1 400 ")
        assert bool(body) is (method != "HEAD"), "an answer to HEAD has no body"
        writer.close()


@pytest.mark.parametrize("method", [*ODD, "TRACE", "CONNECT", "PROPFIND"])
async def test_a_connection_that_closes_after_an_answer_says_so(method: str):
    """A proxy that is not told sends the next client's request into it, and answers 502."""
    async with serving(Recorder()) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(head(method, POLLING, {}))
        reply = await read_reply(reader, bodiless=method == "HEAD")
        writer.write(head("GET", POLLING, {}))
        if reply.headers.get("connection") == "close":
            assert await within(5, reader.read(), "the end") == b""
        else:
            assert (await read_reply(reader)).status == 200
        writer.close()


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_long_is_answered_while_it_is_sent(chunked: bool):
    """Closing with unread input would be a reset, which takes the answer away before it is read."""
    body = b"4" * 3_000_000
    async with serving(Recorder()) as served:
        sid = await polling_sid(served)
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        origin = {"Origin": "http://localhost"}
        length = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(len(body))}
        writer.write(head("POST", f"{POLLING}&sid={sid}", {**length, **origin}))
        writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body)
        await within(10, writer.drain(), "the whole body is sent")
        reply = await read_reply(reader)
        assert reply.status == 413
        assert served.server.counters.refusals["body_size"] == 1
        assert reply.headers["access-control-allow-origin"] == "http://localhost"
        assert await within(5, reader.read(), "the end") == b""
        writer.close()


@pytest.mark.parametrize("before", [0, 1], ids=["the first request", "the second"])
async def test_a_slow_head_is_told_so_however_it_trickles(before: int):
    async with serving(Recorder(), ServerOptions(header_timeout=0.3)) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        for _ in range(before):
            writer.write(head("GET", "/elsewhere", {}))
            assert (await read_reply(reader)).status == 404
        answer = asyncio.ensure_future(read_reply(reader))
        for byte in head("GET", "/elsewhere", {})[:-2]:
            writer.write(bytes([byte]))
            await asyncio.wait({answer}, timeout=0.05)
            if answer.done():
                break
        assert (await answer).status == 408
        assert served.server.counters.header_timeouts == 1
        assert served.server.counters.body_timeouts == 0
        writer.close()


async def test_a_slow_body_is_told_so_and_counted_as_one():
    async with serving(Recorder(), ServerOptions(body_timeout=0.1)) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(head("POST", "/elsewhere", {"Content-Length": "100"}) + b"4")
        assert (await read_reply(reader)).status == 408
        assert (served.server.counters.body_timeouts, served.server.counters.header_timeouts) == (1, 0)
        writer.close()


async def test_a_socket_that_waits_for_another_request_has_its_own_time():
    async with serving(Recorder(), ServerOptions(header_timeout=0.1)) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        for _ in range(2):
            writer.write(head("GET", "/elsewhere", {}))
            assert (await read_reply(reader)).status == 404
            await asyncio.sleep(0.3)
        assert served.server.counters.header_timeouts == 0
        writer.close()


async def test_too_many_query_parameters_are_refused():
    async with serving(Recorder()) as served:
        target = WEBSOCKET + "&a=1" * 150
        assert (await request(served.port, "GET", POLLING + "&a=1" * 150)).status == 400
        assert await upgrade_status(served, target, {}) == 400


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_binary_posts_are_of_an_older_protocol_and_leave_no_descriptor():
    async with serving(Recorder()) as served:
        before = descriptors()
        binary = {"Content-Type": "application/octet-stream"}
        for _ in range(30):
            target = f"{POLLING}&sid={await polling_sid(served)}"
            reply = await request(served.port, "POST", target, b"\x00\x01", binary)
            assert (reply.status, reply.json["reason"]) == (400, "body")
            assert (await request(served.port, "GET", target)).status == 400
        await eventually(lambda: descriptors() <= before + 1, "descriptors are returned")
        assert served.server.connections == 0


@pytest.mark.parametrize("body", [b"4\xff", b"4\xed\xa0\x80", b"b!!!", b"\x1e", b"40\x1e", b"x"])
async def test_bodies_that_are_no_payload_end_the_session(body: bytes):
    async with serving(Recorder()) as served:
        target = f"{POLLING}&sid={await polling_sid(served)}"
        reply = await request(served.port, "POST", target, body)
        assert (reply.status, reply.json["reason"]) == (400, "body")
        assert (await request(served.port, "GET", target)).status == 400
        assert served.server.counters.parse_errors == 1


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD"])
async def test_other_methods_are_refused_and_leave_the_session(method: str):
    async with serving(Recorder()) as served:
        target = f"{POLLING}&sid={await polling_sid(served)}"
        assert (await request(served.port, method, target)).status == 400
        assert (await request(served.port, "POST", target, b"40")).status == 200


async def test_a_method_that_http_does_not_have_is_refused(caplog: pytest.LogCaptureFixture):
    async with serving(Recorder()) as served:
        assert (await request(served.port, "FROB", POLLING)).status == 405
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_unix_sockets_are_served_too(tmp_path: Path):
    app = Recorder()
    async with serving(app, ServerOptions(connections_per_address=1)) as served:
        path = str(tmp_path / "s")
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(path)
        sock.listen()
        sock.setblocking(False)
        served.server.add_sockets([sock])
        for _ in range(2):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(head("GET", WEBSOCKET, UPGRADE))
            assert (await read_reply(reader)).status == 101
            client = WebSocket(reader, writer)
            await client.receive()
            client.send("40")
            await client.receive()
            assert app.peers[-1].handshake.address == ""
            client.close()


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Sec-WebSocket-Version": "8"}, 426),
        ({"Sec-WebSocket-Key": "c2hvcnQ="}, 400),
        ({"Sec-WebSocket-Key": "not base64!"}, 400),
        ({"Connection": "keep-alive"}, 400),
        ({"Content-Length": "5"}, 400),
        ({"Transfer-Encoding": "chunked"}, 400),
        ({}, 101),
        ({"Upgrade": "h2c, WebSocket"}, 101),
        ({"Sec-WebSocket-Extensions": "permessage-deflate"}, 101),
    ],
)
async def test_upgrades_are_judged_by_their_head(changes: dict[str, str], status: int):
    async with serving(Recorder()) as served:
        assert await upgrade_status(served, WEBSOCKET, changes) == status


async def test_the_101_agrees_on_a_subprotocol_and_on_no_extension():
    async with serving(Recorder()) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        offers = {"Sec-WebSocket-Protocol": "one, two", "Sec-WebSocket-Extensions": "permessage-deflate"}
        writer.write(head("GET", WEBSOCKET, {**UPGRADE, **offers}))
        reply = await read_reply(reader)
        assert reply.headers["sec-websocket-protocol"] == "one"
        assert "sec-websocket-extensions" not in reply.headers
        writer.close()


@pytest.mark.parametrize(
    ("transports", "polling", "websocket", "upgrades"),
    [
        (("websocket",), 400, 101, None),
        (("polling",), 200, 400, []),
        (("polling", "websocket"), 200, 101, ["websocket"]),
    ],
)
async def test_transports_can_be_left_out(
    transports: tuple[str, ...], polling: int, websocket: int, upgrades: list[str] | None
):
    async with serving(Recorder(), ServerOptions(transports=transports)) as served:
        reply = await request(served.port, "GET", POLLING)
        assert reply.status == polling
        if upgrades is not None:
            assert json.loads(reply.text[1:])["upgrades"] == upgrades
        assert await upgrade_status(served, WEBSOCKET, {}) == websocket


async def test_sids_are_long_random_and_differ():
    async with serving(Recorder()) as served:
        sids = {await polling_sid(served) for _ in range(20)}
        assert len(sids) == 20
        assert {len(sid) for sid in sids} == {20}


# Beside it


class Hello(RequestHandler):
    def get(self) -> None:
        self.finish("hello")


async def test_other_handlers_are_served_beside_it_and_the_rest_is_not_found():
    async with serving(Recorder(), handlers=[(r"/hello", Hello)]) as served:
        assert (await request(served.port, "GET", "/hello")).body == b"hello"
        reply = await request(served.port, "GET", "/socketio/")
        assert (reply.status, reply.json["reason"]) == (404, "path")
        assert "`/socket.io/`" in reply.json["detail"]
        assert served.server.counters.refusals["path"] == 1
        assert await upgrade_status(served, "/hello", {}) == 200


async def test_nothing_logged_holds_a_query_string(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    async with serving(Recorder()) as served:
        sid = await polling_sid(served)
        secret = "token=eyJsecret"
        for target in (f"{POLLING}&sid={sid}&{secret}", f"{POLLING}&sid=wrong&{secret}", f"/x?{secret}"):
            await request(served.port, "POST", target, b"40")
            await request(served.port, "GET", target)
            await request(served.port, "PUT", target)
        await upgrade_status(served, f"{WEBSOCKET}&{secret}", {})
        await upgrade_status(served, f"{WEBSOCKET}&sid=wrong&{secret}", {})
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(head("POST", f"{POLLING}&sid={sid}&{secret}", {"Content-Length": "x"}))
        await reader.read()
        writer.close()
    ours = [record.getMessage() for record in caplog.records]
    assert any("/socket.io/" in line for line in ours)
    assert not [line for line in ours if sid in line or "eyJsecret" in line]


async def test_a_server_that_stops_accepts_no_connection():
    async with serving(Recorder()) as served:
        served.server.stop()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", served.port)


async def test_closing_ends_every_connection():
    app = Recorder()
    async with serving(app) as served:
        client = await WebSocket.open(served.port, WEBSOCKET)
        await client.receive()
        client.send("40")
        await client.receive()
        await polling_sid(served)
        closing = asyncio.create_task(served.server.close(grace=0.3))
        await client.ended()
        client.close()
        await closing
        assert served.server.connections == 0
    assert ("closed", ["/"], "server shutting down") in app.calls


def test_a_server_needs_a_running_loop():
    with pytest.raises(RuntimeError):
        SocketServer(Recorder(), ServerOptions())
