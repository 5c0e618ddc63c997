"""python-socketio as a second client: what works must not work for one implementation alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import socketio

from tests.integration import world
from tests.integration.world import CHAT
from tests.support.daemon import Daemon
from tests.support.mint import Issuer
from tests.support.timing import within

NAMESPACE = "/chat"


class Client:
    """A python-socketio client that keeps what it gets."""

    def __init__(self) -> None:
        self.io = socketio.AsyncClient(reconnection=False)
        self.events: asyncio.Queue[tuple[str, tuple[Any, ...]]] = asyncio.Queue()
        self.ended = asyncio.Event()
        self.io.on("*", self._event, namespace=NAMESPACE)
        self.io.on("disconnect", self._end, namespace=NAMESPACE)

    async def _event(self, name: str, *data: Any) -> None:
        await self.events.put((name, data))

    async def _end(self, *_: Any) -> None:
        self.ended.set()

    async def event(self, name: str) -> tuple[Any, ...]:
        """Wait for the next event of this name, passing over others."""

        async def wait() -> tuple[Any, ...]:
            while True:
                got, data = await self.events.get()
                if got == name:
                    return data

        return await within(10, wait(), name)

    async def call(self, event: str, *args: Any) -> Any:
        return await self.io.call(event, args if len(args) != 1 else args[0], namespace=NAMESPACE, timeout=10)


@contextlib.asynccontextmanager
async def client(url: str, token: str | None, transports: list[str]) -> AsyncIterator[Client]:
    made = Client()
    auth = {"token": token} if token else None
    await made.io.connect(url, auth=auth, namespaces=[NAMESPACE], transports=transports, wait_timeout=10)
    try:
        yield made
    finally:
        await made.io.disconnect()


@pytest.mark.parametrize("transports", [["websocket"], ["polling"], ["polling", "websocket"]], ids="+".join)
async def test_join_publish_and_binary(shared: Daemon, corp: Issuer, transports: list[str]) -> None:
    async with (
        client(shared.url, corp.token("ann", scope=CHAT), transports) as ann,
        client(shared.url, corp.token("bob", scope=CHAT), transports) as bob,
    ):
        for who in (ann, bob):
            assert await who.call("join", "lobby") == {"ok": True, "room": "lobby"}
        assert (await ann.call("publish", "lobby", "message", {"text": "hi"}))["ok"]
        data, meta = await bob.event("message")
        assert (data, meta["from"], meta["room"]) == ({"text": "hi"}, {"user": "ann"}, "lobby")
        assert (await ann.call("publish", "lobby", "blob", {"raw": b"\x00\xff"}))["ok"]
        assert (await bob.event("blob"))[0] == {"raw": b"\x00\xff"}
        answer = await bob.call("join", "project:apollo")
        assert answer["error"]["code"] == "rule_denied"


async def test_refused_connects_say_why(shared: Daemon, corp: Issuer) -> None:
    for token, code in ((None, "token_missing"), (corp.token("ann", scope="x"), "scope_missing")):
        made = Client()
        refusals: asyncio.Queue[Any] = asyncio.Queue()
        made.io.on("connect_error", refusals.put, namespace=NAMESPACE)
        with pytest.raises(socketio.exceptions.ConnectionError):
            await made.io.connect(
                shared.url,
                auth={"token": token},
                namespaces=[NAMESPACE],
                transports=["websocket"],
                wait_timeout=10,
            )
        assert (await within(10, refusals.get(), "connect_error"))["data"]["code"] == code
        await made.io.disconnect()


async def test_a_reload_ends_the_session(daemon: Daemon, corp: Issuer) -> None:
    async with client(daemon.url, corp.token("ann", scope=CHAT), ["websocket"]) as ann:
        changed = world.settings()
        changed["namespaces"]["/chat"]["connect"] = {"scope": "chat:other"}
        daemon.write(changed | {"issuers": {"corp": corp.settings()}})
        await asyncio.to_thread(daemon.reload)
        assert (await ann.event("closing"))[0]["code"] == "policy_changed"
        await within(10, ann.ended.wait(), "the end of the session")
