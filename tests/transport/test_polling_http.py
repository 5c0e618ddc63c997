"""Many requests on one socket: plain ones and others, in any order, in any pieces, with any end."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from tornado.web import RequestHandler

from compartmentd.protocol.socketio import build_event
from compartmentd.transport import polling_http
from compartmentd.transport.options import ServerOptions
from tests.support import certificates
from tests.support.recorder import Recorder
from tests.support.timing import eventually, within
from tests.support.wire import UPGRADE, Reply, Serving, WebSocket, head, read_reply, serving

POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
CHUNKED = {"Transfer-Encoding": "chunked"}
CLOSE = {"Connection": "close"}
TAB = {"X": "a\tb"}  # nothing wrong with it, and not plain

Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


class Hello(RequestHandler):
    def get(self) -> None:
        self.finish("hello")


class Line:
    """A client's connection, on which requests follow each other, and one session."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.target = POLLING

    @classmethod
    async def open(cls, served: Serving) -> Line:
        """Open a connection that has no session yet."""
        return cls(*await asyncio.open_connection("127.0.0.1", served.port, ssl=served.tls))

    @classmethod
    async def begin(cls, served: Serving) -> Line:
        """Open a connection, and a session on it that is in the namespace `/`."""
        line = await cls.open(served)
        line.target = f"{POLLING}&sid={json.loads((await line.get()).text[1:])['sid']}"
        assert (await line.post("40")).body == b"ok"
        assert (await line.get()).text.startswith("40")
        return line

    async def ask(
        self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Reply:
        self.send(method, target, body, headers)
        return await read_reply(self.reader, bodiless=method == "HEAD")

    def send(
        self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        more = (
            {"Content-Length": str(len(body))}
            if method == "POST" and not (headers or {}).keys() & CHUNKED
            else {}
        )
        self.writer.write(head(method, target, {**more, **(headers or {})}) + body)

    async def get(self) -> Reply:
        return await self.ask("GET", self.target)

    async def post(self, packets: str) -> Reply:
        return await self.ask("POST", self.target, packets.encode())

    async def ended(self) -> bytes:
        """Return what comes before the end."""
        return await within(10, self.reader.read(), "the end of the connection")

    def close(self) -> None:
        self.writer.close()


def say(recorder: Recorder, *event: Any) -> None:
    recorder.peers[-1].send(build_event("/", *event))


def kept(served: Serving) -> int:
    """Return how many connections are served here, and not by Tornado."""
    return sum(
        isinstance(holder, polling_http.PollingHttpConnection)
        for holder in served.server._connections.holders
    )


@asynccontextmanager
async def at_work(
    options: ServerOptions | None = None, tls: Contexts | None = None
) -> AsyncIterator[tuple[Recorder, Serving]]:
    recorder = Recorder()
    async with serving(recorder, options, handlers=[(r"/hello", Hello)], tls=tls) as served:
        yield recorder, served
        assert served.server.counters.errors == 0


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> Contexts:
    pair = certificates.make()
    return certificates.readable(tmp_path_factory.mktemp("tls"), pair).context, certificates.trusting(pair)


@pytest.fixture(params=["plain", "TLS"])
def tls(request: pytest.FixtureRequest, contexts: Contexts) -> Contexts | None:
    return contexts if request.param == "TLS" else None


async def test_requests_follow_each_other_on_one_connection(tls: Contexts | None):
    async with at_work(tls=tls) as (recorder, served):
        line = await Line.begin(served)
        for number in range(20):
            say(recorder, "n", number)
            say(recorder, "n", "€")
            assert (await line.get()).text == f'42["n",{number}]\x1e42["n","€"]'
            assert (await line.post(f'42["m",{number}]\x1e42["m","€"]')).body == b"ok"
            assert kept(served) == 1
        assert [call[3][1] for call in recorder.named("event")][-2:] == [19, "€"]
        line.close()


async def test_a_held_poll_is_answered_when_there_is_something():
    async with at_work() as (recorder, served):
        line = await Line.begin(served)
        asked = asyncio.ensure_future(line.get())
        await asyncio.sleep(0.05)
        assert not asked.done()
        say(recorder, "late")
        assert (await asked).text == '42["late"]'
        line.close()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_requests_byte_by_byte(loop: Callable[[], asyncio.AbstractEventLoop]):
    async def run() -> None:
        async with at_work() as (recorder, served):
            line = await Line.begin(served)
            sock = line.writer.get_extra_info("socket")
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            body = '42["m","€uro"]'.encode()
            say(recorder, "n")
            for data, answer in (
                (head("GET", line.target, {}), b'42["n"]'),
                (head("POST", line.target, {"Content-Length": str(len(body))}) + body, b"ok"),
            ):
                for byte in data:
                    line.writer.write(bytes([byte]))
                    await line.writer.drain()
                    await asyncio.sleep(0)
                assert (await read_reply(line.reader)).body == answer
            assert recorder.named("event")[-1][3] == ["m", "€uro"]
            assert kept(served) == 1
            line.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run())


@pytest.mark.parametrize("size", [1, 7, 100, 70_000])
async def test_requests_behind_each_other_are_answered_in_order(size: int, tls: Contexts | None):
    async with at_work(ServerOptions(max_payload=200_000), tls=tls) as (recorder, served):
        line = await Line.begin(served)
        posts = [f'42["m",{number},"{"x" * (number * 997 % 9000)}"]'.encode() for number in range(60)]
        data = b"".join(
            head("POST", line.target, {"Content-Length": str(len(post))}) + post for post in posts
        )
        step = size if size >= 100 else max(size, len(data) // 2000)
        for position in range(0, len(data), step):
            line.writer.write(data[position : position + step])
            await line.writer.drain()
        for _ in posts:
            assert (await read_reply(line.reader)).body == b"ok"
        assert [call[3][1] for call in recorder.named("event")] == list(range(60))
        line.close()


async def test_a_request_behind_a_held_poll_waits_for_it():
    async with at_work() as (recorder, served):
        line = await Line.begin(served)
        line.send("GET", line.target)
        line.send("POST", line.target, b'42["m"]')
        await asyncio.sleep(0.05)
        assert recorder.named("event") == []
        say(recorder, "n")
        assert (await read_reply(line.reader)).text == '42["n"]'
        assert (await read_reply(line.reader)).text == "ok"
        assert len(recorder.named("event")) == 1
        line.close()


# What is not plain


async def other_path(line: Line) -> None:
    assert (await line.ask("GET", "/hello")).body == b"hello"
    assert (await line.ask("GET", "/nowhere")).status == 404


async def preflight(line: Line) -> None:
    reply = await line.ask("OPTIONS", line.target, headers={"Origin": "http://localhost"})
    assert (reply.status, reply.headers["access-control-allow-methods"]) == (204, "GET,POST")


async def other_method(line: Line) -> None:
    assert (await line.ask("HEAD", line.target)).status == 400
    assert (await line.ask("PUT", line.target)).status == 400


async def chunked(line: Line) -> None:
    body = b'5\r\n42["m\r\n2\r\n"]\r\n0\r\n\r\n'
    assert (await line.ask("POST", line.target, body, CHUNKED)).body == b"ok"


async def expecting(line: Line) -> None:
    line.send("POST", line.target, headers={"Expect": "100-continue", "Content-Length": "7"})
    assert (await line.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
    line.writer.write(b'42["m"]')
    assert (await read_reply(line.reader)).body == b"ok"


async def in_another_case(line: Line) -> None:
    line.writer.write(b"GET " + b"/hello HTTP/1.1\nHost: x\n\n")
    assert (await read_reply(line.reader)).body == b"hello"


async def with_a_tab(line: Line) -> None:
    reply = await line.ask("GET", POLLING.replace("EIO=4", "EIO=3"), headers=TAB)
    assert (reply.status, reply.json["code"]) == (400, 5)


@pytest.mark.parametrize(
    "unusual",
    [other_path, preflight, other_method, chunked, expecting, in_another_case, with_a_tab],
    ids=lambda one: one.__name__,
)
async def test_what_is_not_plain_is_served_between(unusual: Callable[[Line], Any], tls: Contexts | None):
    async with at_work(tls=tls) as (recorder, served):
        line = await Line.begin(served)
        for number in range(3):
            await unusual(line)
            say(recorder, "n", number)
            assert (await line.get()).text == f'42["n",{number}]'
            assert (await line.post('42["x"]')).body == b"ok"
            assert (await line.post('42["x"]')).body == b"ok"
            assert kept(served) == 1, "and it comes back from Tornado"
        line.close()


async def test_what_is_not_plain_comes_right_behind_and_in_pieces(tls: Contexts | None):
    async with at_work(tls=tls) as (recorder, served):
        line = await Line.begin(served)
        say(recorder, "n")
        line.send("GET", line.target)
        line.send("GET", "/hello")
        line.send("POST", line.target, b'42["m"]')
        line.writer.write(head("OPTIONS", line.target, {"Origin": "http://localhost"})[:30])
        assert (await read_reply(line.reader)).text == '42["n"]'
        assert (await read_reply(line.reader)).text == "hello"
        assert (await read_reply(line.reader)).text == "ok"
        line.writer.write(head("OPTIONS", line.target, {"Origin": "http://localhost"})[30:])
        assert (await read_reply(line.reader)).status == 204
        line.close()


async def test_a_connection_that_polled_becomes_a_websocket(tls: Contexts | None):
    """As through proxies, which send the requests of many clients over the connections that they have."""
    async with at_work(tls=tls) as (_, served):
        line = await Line.begin(served)
        line.send("GET", WEBSOCKET + line.target.removeprefix(POLLING), headers=UPGRADE)
        assert (await read_reply(line.reader)).status == 101
        client = WebSocket(line.reader, line.writer)
        client.send("2probe")
        assert await client.receive() == "3probe"
        client.send("5")
        await eventually(lambda: served.server.counters.upgraded == 1, "the upgrade")
        assert kept(served) == 0
        client.close()


async def test_a_long_body_behind_what_tornado_served_arrives(
    tls: Contexts | None, monkeypatch: pytest.MonkeyPatch
):
    """However much of it has come by the time its head is read."""
    monkeypatch.setattr("compartmentd.transport.tornado_detach._MAX_EARLY", 100_000)
    async with at_work(tls=tls) as (recorder, served):
        line = await Line.begin(served)
        for size in (80_000, 500_000, 10):
            await other_path(line)
            assert (await line.post(f'42["m","{"x" * size}"]')).body == b"ok"
        assert [len(call[3][1]) for call in recorder.named("event")] == [80_000, 500_000, 10]
        line.close()


async def test_a_refused_websocket_leaves_nothing(tls: Contexts | None):
    async with at_work(tls=tls) as (_, served):
        line = await Line.begin(served)
        reply = await line.ask("GET", f"{WEBSOCKET}&sid=unknown", headers=UPGRADE)
        assert (reply.status, reply.headers["connection"]) == (400, "close")
        assert await line.ended() == b""
        line.close()


# The same answers


ORIGIN = {"Origin": "https://a.example"}
FOREIGN = {"Origin": "https://evil.example"}


@pytest.mark.parametrize("origins", [("https://a.example",), ("*",)])
@pytest.mark.parametrize(
    ("method", "query", "body", "headers"),
    [
        ("GET", "EIO=4&transport=polling", b"", {}),
        ("GET", "EIO=4&transport=polling", b"", ORIGIN),
        ("GET", "EIO=4&transport=polling", b"", FOREIGN),
        ("GET", "EIO=3&transport=polling", b"", ORIGIN),
        ("GET", "transport=polling", b"", {}),
        ("GET", "EIO=4&transport=other", b"", {}),
        ("GET", "EIO=4&transport=websocket", b"", {}),
        ("GET", "EIO=4&EIO=4&transport=polling", b"", {}),
        ("GET", "EIO=4&transport=polling&%73id=nobody", b"", {}),
        ("GET", "EIO=4&transport=polling&sid=", b"", {}),
        ("GET", "EIO=4&transport=polling&sid", b"", {}),
        ("GET", "EIO=4&transport=polling&sid=nobody", b"", ORIGIN),
        ("GET", "EIO=4&transport=polling" + "&a=b" * 100, b"", {}),
        ("GET", "", b"", {}),
        ("POST", "EIO=4&transport=polling", b"40", ORIGIN),
        ("POST", "EIO=4&transport=polling&sid=nobody", b"40", FOREIGN),
        ("POST", "EIO=4&transport=polling&sid=SID", b"40", {}),
        ("POST", "EIO=4&transport=polling&sid=SID", b"40", ORIGIN),
        ("POST", "EIO=4&transport=polling&sid=SID", b"", {}),
        ("POST", "EIO=4&transport=polling&sid=SID", b"4\xff", {}),
        ("POST", "EIO=4&transport=polling&sid=SID", b"x" * 101, ORIGIN),
        ("POST", "EIO=4&transport=polling&sid=SID", b"1", {}),
        ("POST", "EIO=3&transport=polling&sid=SID", b"40", {}),
        ("POST", "EIO=4&transport=websocket&sid=SID", b"40", {}),
        ("GET", "EIO=4&transport=websocket&sid=WEBSOCKET", b"", {}),
        ("GET", "EIO=4&transport=polling&sid=WEBSOCKET", b"", {}),
        ("POST", "EIO=4&transport=polling&sid=SID", b"40", {"Content-Type": "application/octet-stream"}),
    ],
)
async def test_both_ways_answer_alike(
    method: str, query: str, body: bytes, headers: dict[str, str], origins: tuple[str, ...]
):
    """What Tornado serves is answered as what is served here."""
    options = ServerOptions(origins=origins, max_payload=100)
    async with at_work(options) as (_, served):
        answers = []
        for more in ({}, TAB):
            line = await Line.begin(served)
            client = await WebSocket.open(served.port, WEBSOCKET)
            opened = await client.receive()
            assert isinstance(opened, str)
            sid, other = line.target.partition("sid=")[2], json.loads(opened[1:])["sid"]
            query_of = query.replace("WEBSOCKET", other).replace("SID", sid)
            reply = await line.ask(method, f"/socket.io/?{query_of}", body, {**headers, **more})
            told = {name: value for name, value in reply.headers.items() if name != "date"}
            text = reply.text
            if text.startswith("0{"):
                text = text.replace(json.loads(text[1:])["sid"], "")
            assert "date" in reply.headers
            counters = served.server.counters.as_dict()
            answers.append((reply.status, text, told, counters["refused_origin"], counters["parse_errors"]))
            line.close()
            client.close()
        first, second = answers
        assert second[:3] == first[:3]
        assert (second[3], second[4]) == (2 * first[3], 2 * first[4])


async def test_a_changed_policy_binds_the_next_request():
    async with at_work(ServerOptions(origins=("https://a.example",))) as (_, served):
        line = await Line.begin(served)
        assert (await line.ask("POST", line.target, b'42["m"]', ORIGIN)).status == 200
        served.server.configure(ServerOptions(origins=("https://b.example",)))
        assert (await line.ask("POST", line.target, b'42["m"]', ORIGIN)).status == 403
        assert served.server.counters.refusals["origin"] == 1
        line.close()


async def test_the_client_is_the_one_that_trusted_proxies_name():
    async with at_work(ServerOptions(trusted_proxies=("127.0.0.1/32",))) as (recorder, served):
        line = await Line.open(served)
        forwarded = {"X-Forwarded-For": "203.0.113.7", "X-Custom": "value"}
        reply = await line.ask("GET", POLLING, headers=forwarded)
        target = f"{POLLING}&sid={json.loads(reply.text[1:])['sid']}"
        await line.ask("POST", target, b"40")
        (peer,) = recorder.peers
        assert (peer.handshake.address, peer.handshake.secure) == ("203.0.113.7", False)
        assert peer.handshake.headers["x-custom"] == ("value",)
        assert peer.handshake.query["transport"] == ("polling",)
        line.close()


async def test_without_a_place_one_is_told_to_come_later():
    async with at_work(ServerOptions(connections=1)) as (_, served):
        line = await Line.begin(served)
        reply = await line.ask("GET", POLLING)
        assert (reply.status, reply.headers["retry-after"]) == (503, "5")
        assert (await line.post('42["m"]')).status == 200
        line.close()


async def test_the_lines_of_the_log(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    async with at_work() as (_, served):
        line = await Line.begin(served)
        caplog.clear()
        await line.post('42["m"]')
        await line.ask("GET", f"{POLLING}&sid=nobody")
        lines = [
            record.__dict__["fields"]
            for record in caplog.records
            if record.__dict__.get("event") == "request"
        ]
        assert [(line["method"], line["path"], line["status"], line["address"]) for line in lines] == [
            ("POST", "/socket.io/", 200, "127.0.0.1"),
            ("GET", "/socket.io/", 400, "127.0.0.1"),
        ]
        assert all(0 <= line["seconds"] < 10 for line in lines)
        line.close()


# The end


@pytest.mark.parametrize(("version", "headers"), [("1.1", CLOSE), ("1.0", {}), ("1.0", CLOSE)])
async def test_a_connection_for_each_request(version: str, headers: dict[str, str], tls: Contexts | None):
    """As proxies make them which keep none."""
    async with at_work(tls=tls) as (recorder, served):
        session = await Line.begin(served)

        async def ask(method: str, body: bytes = b"") -> Reply:
            line = await Line.open(served)
            length = {"Content-Length": str(len(body))} if body else {}
            request = head(method, session.target, {**headers, **length}) + body
            line.writer.write(request.replace(b"HTTP/1.1", f"HTTP/{version}".encode()))
            reply = await read_reply(line.reader)
            assert reply.headers["connection"] == "close"
            assert await line.ended() == b""
            line.close()
            return reply

        asked = asyncio.ensure_future(ask("GET"))
        await asyncio.sleep(0.05)
        assert (await ask("POST", b'42["m"]')).text == "ok"
        say(recorder, "n")
        assert (await asked).text == '42["n"]'
        await eventually(lambda: kept(served) == 1, "only the session's own connection stays")
        assert served.server.connections == 1
        session.close()


async def test_a_client_that_cuts_off_a_waiting_poll_has_left():
    async with at_work() as (recorder, served):
        line = await Line.begin(served)
        line.send("GET", line.target)
        await asyncio.sleep(0.05)
        assert served.server.connections == 1
        line.close()
        await eventually(lambda: served.server.connections == 0, "the session is gone")
        assert recorder.named("closed") == [("closed", ["/"], "transport error")]
        await eventually(lambda: kept(served) == 0, "the socket is gone")


async def test_a_client_that_cuts_off_a_body_has_left():
    async with at_work() as (recorder, served):
        line = await Line.begin(served)
        line.writer.write(head("POST", line.target, {"Content-Length": "100"}) + b'42["m"]')
        await asyncio.sleep(0.05)
        line.close()
        await eventually(lambda: served.server.connections == 0, "the session is gone")
        assert recorder.named("closed") == [("closed", ["/"], "transport error")]
        assert recorder.named("event") == []


async def test_a_client_that_closes_its_socket_between_requests_has_not_left():
    async with at_work() as (recorder, served):
        line = await Line.begin(served)
        line.close()
        await eventually(lambda: kept(served) == 0, "the socket is gone")
        again = await Line.open(served)
        again.target = line.target
        say(recorder, "n")
        assert (await again.get()).text == '42["n"]'
        again.close()


async def test_a_large_answer_waits_for_a_client_that_is_slow(tls: Contexts | None):
    async with at_work(ServerOptions(send_buffer=8 << 20), tls=tls) as (recorder, served):
        line = await Line.begin(served)
        payload = "x" * 3_000_000
        say(recorder, "n", payload)
        line.send("GET", line.target)
        await asyncio.sleep(0.1)
        other = await Line.begin(served)
        assert (await other.post('42["m"]')).body == b"ok"
        assert (await read_reply(line.reader)).text == f'42["n","{payload}"]'
        assert (await line.post('42["m"]')).body == b"ok"
        line.close()
        other.close()


async def test_a_client_that_takes_nothing_of_an_answer_is_disconnected(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(polling_http, "ANSWER_TIMEOUT", 0.1)
    async with at_work(ServerOptions(send_buffer=32 << 20)) as (recorder, served):
        line = await Line.begin(served)
        line.reader._transport.pause_reading()  # type: ignore[attr-defined]  # as a client that does not read
        say(recorder, "n", "x" * 16_000_000)
        line.send("GET", line.target)
        await eventually(lambda: served.server.connections == 0, "the session is gone")
        assert recorder.named("closed") == [("closed", ["/"], "transport error")]
        assert kept(served) == 0
        line.writer.transport.abort()


async def test_a_client_that_sends_no_further_request_is_disconnected(monkeypatch: pytest.MonkeyPatch):
    async with at_work(ServerOptions(header_timeout=0.1)) as (_, served):
        line, slow = await Line.begin(served), await Line.open(served)
        monkeypatch.setattr(polling_http, "IDLE_TIMEOUT", 0.1)
        assert (await line.post("3")).body == b"ok"  # and from now on it counts
        slow.writer.write(head("GET", POLLING, {})[:-2])
        assert await line.ended() == b"", "nothing was asked"
        assert (await slow.ended()).startswith(b"HTTP/1.1 408 ")
        assert served.server.counters.header_timeouts == 1
        assert served.server.connections == 1, "a session is no connection of HTTP"
        for one in (line, slow):
            one.close()


async def test_a_client_that_does_not_finish_a_body_is_disconnected():
    async with at_work(ServerOptions(body_timeout=0.1)) as (_, served):
        line = await Line.begin(served)
        line.writer.write(head("POST", line.target, {"Content-Length": "100"}) + b"4")
        assert (await line.ended()).startswith(b"HTTP/1.1 408 ")
        assert served.server.connections == 0
        assert (served.server.counters.body_timeouts, served.server.counters.header_timeouts) == (1, 0)
        line.close()


async def test_a_poll_is_held_for_longer_than_a_head_may_take(monkeypatch: pytest.MonkeyPatch):
    async with at_work(ServerOptions(header_timeout=0.1)) as (recorder, served):
        line = await Line.begin(served)
        monkeypatch.setattr(polling_http, "IDLE_TIMEOUT", 0.1)
        line.send("POST", line.target, b"3")
        line.send("GET", line.target)  # at once: it is not this head that comes late
        assert (await read_reply(line.reader)).body == b"ok"
        await asyncio.sleep(0.3)
        say(recorder, "n")
        assert (await read_reply(line.reader)).text == '42["n"]'
        line.close()


async def test_a_server_that_closes_answers_first_and_leaves_no_socket():
    async with at_work() as (_, served):
        held, idle = await Line.begin(served), await Line.begin(served)
        held.send("GET", held.target)
        await asyncio.sleep(0.05)
        await served.server.close(grace=0.2)
        assert (await read_reply(held.reader)).text == "1"
        assert await held.ended() == b""
        assert await idle.ended() == b""
        assert kept(served) == 0
        for one in (held, idle):
            one.close()


async def test_no_descriptor_is_left():
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async with at_work() as (_, served):
        first = await Line.begin(served)
        before = descriptors()
        for _ in range(10):
            line = await Line.begin(served)
            await other_path(line)
            await line.post('42["m"]')
            line.close()
        await eventually(lambda: descriptors() <= before + 1, "descriptors are returned")
        first.close()


async def test_an_error_of_ours_ends_one_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def fail(*_: object) -> None:
        raise RuntimeError("broken")

    recorder = Recorder()
    async with serving(recorder) as served:
        line, other = await Line.begin(served), await Line.begin(served)
        monkeypatch.setattr(polling_http, "route_request", fail)
        line.send("GET", line.target)
        assert await line.ended() == b""
        monkeypatch.undo()
        assert (await other.post('42["m"]')).body == b"ok"
        assert served.server.counters.errors == 1
        assert "broken" in caplog.text
        line.close()
        other.close()
