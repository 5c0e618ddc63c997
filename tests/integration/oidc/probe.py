"""How long the daemon's loop stands still, seen from outside: a request that costs nothing, again and again."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection

from tests.integration.oidc.realm import LOBBY
from tests.support.rawclient import RawClient

EVERY = 0.002
"""Seconds between two requests."""


class Pauses:
    """What was measured, once it is over: the longest answers, in milliseconds."""

    longest: float
    requests: int


def _measure(url: str, token: str, control: Connection) -> None:
    """Ask until told to stop, and send how long the answers took."""

    async def ask() -> None:
        client = await RawClient.open(url)
        assert (await client.connect("/chat", token)).sid
        control.send("ready")
        took = []
        while not control.poll():
            began = time.perf_counter()
            assert (await client.call("/chat", "leave", LOBBY))["ok"]
            took.append(time.perf_counter() - began)
            await asyncio.sleep(EVERY)
        control.send((max(took), len(took)))
        await client.close()

    asyncio.run(ask())


@asynccontextmanager
async def measured(url: str, token: str) -> AsyncIterator[Pauses]:
    """Measure while the block runs, in a process of its own, whose loop nobody else holds."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_measure, args=(url, token, there))
    process.start()
    try:
        assert await asyncio.to_thread(here.recv) == "ready"
        pauses = Pauses()
        yield pauses
        here.send("stop")
        longest, pauses.requests = await asyncio.to_thread(here.recv)
        pauses.longest = longest * 1000
    finally:
        await asyncio.to_thread(process.join, 20)
        process.kill()
