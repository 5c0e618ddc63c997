"""The official JavaScript client, unmodified, in a Node process that the test drives.

async with js_client() as js:
    manager = await js.manager(url, transports=["websocket"])
    chat = await manager.socket("/chat", token)
    assert (await chat.emit("join", "lobby"))["ok"]
    data, meta = await chat.event("message")
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.timing import seconds, within

DRIVER = Path(__file__).parent / "js" / "driver.mjs"
PATIENCE = 30.0
"""Seconds to wait for what a client must see; only a failure ever takes that long."""


class Seen(NamedTuple):
    """Something that a socket saw: `connect`, `connect_error`, `disconnect`, or an `event` as `[name, *args]`."""

    kind: str
    value: Any


class Watched:
    """A socket or manager in the Node process. It keeps in order what it saw; waiting for something consumes it."""

    def __init__(self, js: JsClient, name: str) -> None:
        self.js = js
        self.name = name
        self.unread: list[Seen] = []
        self._news = asyncio.Condition()

    async def put(self, seen: Seen) -> None:
        async with self._news:
            self.unread.append(seen)
            self._news.notify_all()

    def _take(self, kind: str, event: str | None) -> Seen | None:
        for index, seen in enumerate(self.unread):
            if seen.kind == kind and (event is None or seen.value[0] == event):
                return self.unread.pop(index)
        return None

    async def sees(self, kind: str, event: str | None = None, limit: float = PATIENCE) -> Any:
        """Wait for the first unread thing of this kind (and event name), and return its value."""

        async def wait() -> Any:
            async with self._news:
                while (seen := self._take(kind, event)) is None:
                    await self._news.wait()
                return seen.value

        what = f"{self.name} sees {kind} {event or ''}; unread: {self.unread}"
        return await within(limit, wait(), what)

    def saw(self, event: str) -> bool:
        """Return whether an event of this name has come and was not consumed."""
        return any(seen.kind == "event" and seen.value[0] == event for seen in self.unread)


class JsSocket(Watched):
    """One namespace of a manager."""

    async def connected(self) -> dict[str, Any]:
        """Wait for the CONNECT reply."""
        return await self.sees("connect")

    async def refused(self) -> dict[str, Any]:
        """Wait for CONNECT_ERROR: `{message, data, active}`."""
        return await self.sees("connect_error")

    async def event(self, name: str, limit: float = PATIENCE) -> list[Any]:
        """Wait for an event and return its arguments."""
        return (await self.sees("event", name, limit))[1:]

    async def disconnected(self, limit: float = PATIENCE) -> str:
        """Wait for the end of the session and return Socket.IO's reason."""
        return (await self.sees("disconnect", limit=limit))["reason"]

    async def emit(self, event: str, *args: Any) -> Any:
        """Emit with an ack and return what the ack brought."""
        return await self.js.call(
            "emit", socket=self.name, event=event, args=pack(list(args)), ack=True, timeout=PATIENCE * 1000
        )

    async def send(self, event: str, *args: Any) -> None:
        """Emit without an ack."""
        await self.js.call("emit", socket=self.name, event=event, args=pack(list(args)), ack=False)

    async def ok(self, event: str, *args: Any) -> dict[str, Any]:
        """Emit, and assert that the answer is `ok`."""
        answer = await self.emit(event, *args)
        assert answer["ok"] is True, (event, args, answer)
        return answer

    async def denied(self, event: str, *args: Any) -> str:
        """Emit, assert that the answer is a refusal in the documented form, and return its code."""
        answer = await self.emit(event, *args)
        assert set(answer) == {"ok", "error"}, answer
        assert answer["ok"] is False, answer
        error = answer["error"]
        assert {"code", "message", "retry"} <= set(error) <= {"code", "message", "retry", "after", "ref"}, (
            error
        )
        return error["code"]

    async def use_auth(self, auth: Any) -> None:
        """Let later CONNECTs bring another auth payload."""
        await self.js.call("auth", socket=self.name, auth=auth)

    async def use_token(self, token: Any) -> None:
        """Let later CONNECTs bring another token."""
        await self.use_auth({"token": token})

    async def connect(self) -> None:
        """Connect again, as an application does after `io server disconnect`."""
        await self.js.call("connect", socket=self.name)

    async def disconnect(self) -> None:
        """Leave the namespace."""
        await self.js.call("disconnect", socket=self.name)


class JsManager(Watched):
    """One Engine.IO connection, which any number of namespaces share."""

    def __init__(self, js: JsClient, name: str) -> None:
        super().__init__(js, name)
        self.sockets: dict[str, JsSocket] = {}

    async def open(self, namespace: str, token: Any = None, *, auth: Any = None) -> JsSocket:
        """Begin to connect a namespace, or connect it again; `auth` replaces the whole auth payload.

        A manager has one socket for each namespace, and so has this.
        """
        payload = auth if auth is not None else {} if token is None else {"token": token}
        if known := self.sockets.get(namespace):
            await known.use_auth(payload)
            await known.connect()
            return known
        name = self.js.new_name(namespace)
        socket = self.sockets[namespace] = self.js.watched[name] = JsSocket(self.js, name)
        await self.js.call("socket", socket=name, manager=self.name, namespace=namespace, auth=payload)
        return socket

    async def socket(self, namespace: str, token: Any = None) -> JsSocket:
        """Connect a namespace and wait until it is connected."""
        socket = await self.open(namespace, token)
        await socket.connected()
        return socket

    async def refusal(self, namespace: str, token: Any = None, *, auth: Any = None) -> dict[str, Any]:
        """Connect a namespace that must be refused, and return `{message, data, active}`."""
        return await (await self.open(namespace, token, auth=auth)).refused()

    async def transport(self) -> str | None:
        """Return the name of the transport in use."""
        return await self.js.call("transport", manager=self.name)

    async def raw(self, packet: str) -> None:
        """Write an Engine.IO message as it stands."""
        await self.js.call("raw", manager=self.name, packet=packet)

    async def drop(self) -> None:
        """Lose the connection without a word."""
        await self.js.call("drop", manager=self.name)


class JsClient:
    """The Node process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.watched: dict[str, Watched] = {}
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._ids = itertools.count()

    def new_name(self, hint: str) -> str:
        return f"{hint}#{next(self._ids)}"

    async def manager(self, url: str, **options: Any) -> JsManager:
        """Make a Manager with socket.io-client's own options (`transports`, `path`, `query`, …)."""
        name = self.new_name("manager")
        manager = JsManager(self, name)
        self.watched[name] = manager
        await self.call("manager", manager=name, url=url, options=options)
        return manager

    async def call(self, operation: str, **arguments: Any) -> Any:
        """Ask the driver for something and return its answer; a failure there is a failure here."""
        identity = next(self._ids)
        answer = self._answers[identity] = asyncio.get_running_loop().create_future()
        self._write({"id": identity, "op": operation, **arguments})
        return await within(PATIENCE + 5, answer, f"driver: {operation} {arguments}")

    def _write(self, request: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request).encode() + b"\n")

    async def read(self) -> None:
        """Pass on the lines of the driver, until it ends."""
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            said = json.loads(line, object_hook=_unpack_object)
            if "socket" in said:
                await self.watched[said["socket"]].put(Seen(said["kind"], said["value"]))
            elif "id" in said:
                answer = self._answers.pop(said["id"])
                if answer.cancelled():
                    continue
                if "failed" in said:
                    answer.set_exception(AssertionError(f"socket.io-client: {said['failed']}"))
                else:
                    answer.set_result(said["ok"])


@contextlib.asynccontextmanager
async def js_client() -> AsyncIterator[JsClient]:
    """Start Node with the official client, and end it with the test."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(DRIVER),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=64 << 20,  # one line holds one event, and events may be large
    )
    js = JsClient(process)
    reader = asyncio.create_task(js.read())
    try:
        yield js
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), seconds(5))
        except TimeoutError:
            process.kill()
            await process.wait()
        await reader


def pack(value: Any) -> Any:
    """Put bytes into the form in which they travel to the driver."""
    match value:
        case bytes():
            return {"$bytes": base64.b64encode(value).decode()}
        case list() | tuple():
            return [pack(item) for item in value]
        case dict():
            return {key: pack(item) for key, item in value.items()}
    return value


def _unpack_object(value: dict[str, Any]) -> Any:
    return base64.b64decode(value["$bytes"]) if set(value) == {"$bytes"} else value
