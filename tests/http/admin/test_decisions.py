"""The live feed of decisions: no loss is silent, nobody waits for a listener, streams end with the right."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tornado.netutil import bind_sockets

from compartmentd.http.admin import AdminServer, decisions, subscribers
from compartmentd.http.admin.subscribers import SubscriberQueue
from tests.support.administration import GOOD, FakeAdministration, FakeMetrics, ask, serving
from tests.support.timing import eventually, within


def events(data: bytes) -> list[tuple[str, object]]:
    """Read server-sent events, comments left out."""
    found = []
    for block in data.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if fields:
            found.append((fields.get("event", "message"), json.loads(fields["data"])))
    return found


class Listener:
    """Follows the decisions over TCP."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def block(self) -> bytes:
        """Return the next chunk of the stream, or nothing at its end."""
        size = int(await within(5, self.reader.readline(), "the size of a chunk"), 16)
        return (await within(5, self.reader.readexactly(size + 2), "a chunk"))[:-2]

    async def ended(self) -> bool:
        """Read to the end of the stream."""
        return (await within(5, self.reader.read(), "the end of the stream")).endswith(b"0\r\n\r\n")


@asynccontextmanager
async def following(port: int) -> AsyncIterator[Listener]:
    """Open the stream, and read up to the comment with which it begins."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        lines = ["Host: localhost", "Connection: close", f"Authorization: Bearer {GOOD}", "", ""]
        writer.write("\r\n".join(["GET /admin/decisions HTTP/1.1", *lines]).encode())
        answer = await within(5, reader.readuntil(b"\r\n\r\n"), "the head of the answer")
        assert b"text/event-stream" in answer
        listener = Listener(reader, writer)
        assert (await listener.block()).startswith(b": ")
        yield listener
    finally:
        writer.close()


async def test_every_decision_reaches_every_listener() -> None:
    administration = FakeAdministration()
    async with serving(administration) as port, following(port) as one, following(port) as other:
        administration.emit({"code": None, "room": "lobby\n\ndata: 1"})
        administration.emit({"code": "rule_denied"})
        for listener in (one, other):
            assert events(await listener.block()) == [
                ("message", {"code": None, "room": "lobby\n\ndata: 1"}),
                ("message", {"code": "rule_denied"}),
            ]


async def test_a_listener_that_leaves_is_forgotten() -> None:
    administration = FakeAdministration()
    async with serving(administration) as port:
        async with following(port):
            assert len(administration.subscribers) == 1
        await eventually(lambda: not administration.subscribers, "the subscription ended")


async def test_a_listener_that_leaves_makes_room_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscribers, "READERS", 1)
    administration = FakeAdministration()
    async with serving(administration) as port:
        for _ in range(3):
            async with following(port):
                assert len(administration.subscribers) == 1
            await eventually(lambda: not administration.subscribers, "the subscription ended")


async def test_silence_is_broken_by_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "HEARTBEAT", 0.01)
    async with serving(FakeAdministration()) as port, following(port) as listener:
        assert await listener.block() == b": still here\n\n"


async def test_a_stream_ends_with_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "HEARTBEAT", 0.01)
    administration = FakeAdministration()
    async with serving(administration) as port, following(port) as listener:
        administration.tokens.clear()
        assert await listener.ended()
        assert administration.subscribers == []


async def test_nothing_is_told_once_the_token_is_refused() -> None:
    administration = FakeAdministration()
    async with serving(administration) as port, following(port) as listener:
        administration.tokens.clear()
        administration.emit({"code": "rule_denied"})
        assert b"rule_denied" not in await within(5, listener.reader.read(), "the end of the stream")


async def test_a_stopping_server_ends_the_streams() -> None:
    administration = FakeAdministration()
    server = AdminServer(administration, FakeMetrics())
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    async with following(sockets[0].getsockname()[1]) as listener:
        await server.close()
        assert await listener.ended()
    assert administration.subscribers == []


async def test_too_many_listeners_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscribers, "READERS", 1)
    administration = FakeAdministration()
    async with serving(administration) as port, following(port):
        refused = await ask(port, "GET", "/admin/decisions", headers={"Authorization": f"Bearer {GOOD}"})
        assert (refused.status, refused.json["error"]["code"]) == (503, "too_many")
        assert len(administration.subscribers) == 1


async def test_a_listener_that_does_not_read_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "SEND_TIMEOUT", 0.05)
    administration = FakeAdministration()
    async with serving(administration) as port, following(port):

        async def flood() -> None:
            while administration.subscribers:
                administration.emit({"padding": "x" * 100_000})
                await asyncio.sleep(0)

        await within(20, flood(), "the subscription ended")


async def test_a_full_queue_drops_and_counts() -> None:
    feed = SubscriberQueue(capacity=2)
    for number in range(5):
        feed.put({"number": number})
    assert events(feed.take()) == [
        ("message", {"number": 0}),
        ("message", {"number": 1}),
        ("dropped", {"count": 3}),
    ]
    feed.put({"number": 5})
    assert events(feed.take()) == [("message", {"number": 5})]
