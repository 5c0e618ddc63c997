"""Who follows the decisions, and what waits for each of them: bounded, and never in the way of who decides."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

import msgspec

from compartmentd.control.requests import Record

QUEUE = 1024
"""Records that wait for one listener; more are dropped, and counted."""

LISTENERS = 32
"""Listeners at the same time, over all admin listeners."""


class SubscriberQueue:
    """What one listener has not been sent yet: bounded, and never in the way of who decides."""

    def __init__(self, capacity: int = QUEUE) -> None:
        self._waiting: deque[Record] = deque()
        self._capacity = capacity
        self._dropped = 0
        self._arrived = asyncio.Event()

    def put(self, record: Record) -> None:
        """Keep the record until the listener is ready for it, or count it as dropped."""
        if len(self._waiting) < self._capacity:
            self._waiting.append(record)
        else:
            self._dropped += 1
        self._arrived.set()

    async def arrived(self, patience: float) -> None:
        """Return when there is something to take, or after `patience` seconds."""
        try:
            async with asyncio.timeout(patience):
                await self._arrived.wait()
        except TimeoutError:
            return

    def take(self) -> bytes:
        """Return all that waits as events, then how many were dropped after them; without any, a comment."""
        events = [b"data: %b\n\n" % msgspec.json.encode(record) for record in self._waiting]
        if self._dropped:
            events.append(b'event: dropped\ndata: {"count":%d}\n\n' % self._dropped)
        self._waiting.clear()
        self._dropped = 0
        self._arrived.clear()
        return b"".join(events) or b": still here\n\n"


class Listener(Protocol):
    """Somebody who follows the decisions."""

    def leave(self) -> None:
        """End the stream, soon."""


class Audience:
    """Who listens now; it is asked to leave when the daemon stops."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self._empty = asyncio.Event()

    def enter(self, listener: Listener) -> bool:
        """Let a listener in, unless there are too many."""
        if len(self._listeners) >= LISTENERS:
            return False
        self._listeners.add(listener)
        self._empty.clear()
        return True

    def left(self, listener: Listener) -> None:
        """Forget a listener; one that was not let in is none."""
        self._listeners.discard(listener)
        if not self._listeners:
            self._empty.set()

    async def dismiss(self) -> None:
        """Ask everyone to leave, and wait until their streams have been ended."""
        for listener in self._listeners:
            listener.leave()
        if self._listeners:
            await self._empty.wait()
