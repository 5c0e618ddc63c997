"""A server before an application that notes what it is told, and the clients that a test opens to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from compartmentd.protocol.application import Peer
from compartmentd.protocol.socketio import build_event
from compartmentd.transport.options import ServerOptions
from compartmentd.transport.server import EngineServer
from tests.support.recorder import Recorder
from tests.support.timing import eventually
from tests.support.wire import Serving, WebSocket, request, serving

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

    async def begin_post(self, size: int, start: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send a POST of this size as far as `start`."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = f"POST {self.target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
        writer.write(f"{head}{start}".encode())
        await writer.drain()
        return reader, writer


class Wired:
    """The server of a test. WebSockets that were opened here are closed at its end."""

    def __init__(self, app: Recorder, served: Serving) -> None:
        self.app = app
        self.port = served.port
        self.server: EngineServer = served.server
        self.counters = served.server.counters
        self.websockets: list[WebSocket] = []

    # --- clients ---------------------------------------------------------------------------------------------

    async def open(self, query: str = "", headers: Mapping[str, str] | None = None) -> WebSocket:
        """Open a WebSocket, and nothing more; the open packet is still to be read."""
        client = await WebSocket.open(self.port, f"{TARGET}websocket{query}", headers)
        self.websockets.append(client)
        return client

    async def websocket(self, *namespaces: str, query: str = "") -> WebSocket:
        """Open a WebSocket that is connected to these namespaces, to `/` where none is named."""
        client = await self.open(query)
        await client.receive()
        for namespace in namespaces or ("/",):
            client.send("40" if namespace == "/" else f"40{namespace},")
            await client.receive()
        return client

    async def polling(self, *, read: bool = True) -> Polling:
        """Open a session on polling that is connected to `/`; the answer to that waits unless it is `read`."""
        client = await Polling.open(self.port)
        await client.post("40")
        if read:
            await client.poll()
        return client

    async def probe(self, client: Polling, *, answered: bool = True) -> WebSocket:
        """Open a WebSocket that may take a session over, its probe answered or not even sent."""
        probing = await self.open(f"&sid={client.sid}")
        if answered:
            probing.send("2probe")
            assert await probing.receive() == "3probe"
        return probing

    async def upgraded(self, client: Polling) -> WebSocket:
        """Move a session to a WebSocket."""
        probing = await self.probe(client)
        probing.send("5")
        await eventually(lambda: self.counters.upgraded, "the upgrade")
        return probing

    # --- the application -------------------------------------------------------------------------------------

    @property
    def peer(self) -> Peer:
        """The application's side of the first CONNECT."""
        return self.app.peers[0]

    def emit(self, name: str, *arguments: Any) -> None:
        """Send the first peer an event in `/`."""
        self.peer.send(build_event("/", name, *arguments))

    @property
    def events(self) -> list[Any]:
        """The events that came so far."""
        return [call[3] for call in self.app.named("event")]

    async def happened(self, name: str, times: int = 1) -> None:
        """Wait until the application was told something so often."""
        await eventually(lambda: len(self.app.named(name)) == times, f"{name}, {times} times")


@asynccontextmanager
async def wired(app: Recorder | None = None, **options: Any) -> AsyncIterator[Wired]:
    """Serve an application on a free port, with these options."""
    recorder = app or Recorder()
    async with serving(recorder, ServerOptions(**options)) as served:
        here = Wired(recorder, served)
        yield here
        for client in here.websockets:
            client.close()
