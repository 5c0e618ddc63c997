"""The readers of `/admin/decisions`, and a bounded queue for each, so that a slow one delays no decision."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

import msgspec

from compartmentd.control.requests import JsonObject

QUEUE = 1024
"""Records that wait for one reader; more are dropped, and counted."""

READERS = 32
"""Readers at the same time, over all admin listeners."""


class SubscriberQueue:
    """The records that one reader has not been sent yet."""

    def __init__(self, capacity: int = QUEUE) -> None:
        self._waiting: deque[JsonObject] = deque()
        self._capacity = capacity
        self._dropped = 0
        self._arrived = asyncio.Event()

    def put(self, record: JsonObject) -> None:
        """Keep the record until the reader is ready for it, or count it as dropped."""
        if len(self._waiting) < self._capacity:
            self._waiting.append(record)
        else:
            self._dropped += 1
        self._arrived.set()

    async def wait(self, seconds: float) -> None:
        """Return when there is something to take, or after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._arrived.wait()
        except TimeoutError:
            return

    def take(self) -> bytes:
        """Return all that waits as events, then how many were dropped after them; a comment if there is nothing."""
        events = [b"data: %b\n\n" % msgspec.json.encode(record) for record in self._waiting]
        if self._dropped:
            events.append(b'event: dropped\ndata: {"count":%d}\n\n' % self._dropped)
        self._waiting.clear()
        self._dropped = 0
        self._arrived.clear()
        return b"".join(events) or b": still here\n\n"


class DecisionStream(Protocol):
    """A stream of decisions."""

    def leave(self) -> None:
        """End the stream, soon."""


class Audience:
    """The open streams, which are ended when the daemon stops."""

    def __init__(self) -> None:
        self._readers: set[DecisionStream] = set()
        self._empty = asyncio.Event()

    def add(self, reader: DecisionStream) -> bool:
        """Add a stream, unless there are too many; return whether it was added."""
        if len(self._readers) >= READERS:
            return False
        self._readers.add(reader)
        self._empty.clear()
        return True

    def remove(self, reader: DecisionStream) -> None:
        """Remove a stream that has ended."""
        self._readers.discard(reader)
        if not self._readers:
            self._empty.set()

    async def close(self) -> None:
        """End all streams, and wait until they have ended."""
        for reader in self._readers:
            reader.leave()
        if self._readers:
            await self._empty.wait()
