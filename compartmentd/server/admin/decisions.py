"""`/admin/decisions`: every decision as it is made, as server-sent events (WHATWG HTML, 9.2)."""

from __future__ import annotations

import asyncio
from collections import deque

import msgspec
from tornado.iostream import StreamClosedError

from compartmentd.server.admin.administration import Record
from compartmentd.server.admin.base import AdminHandler, Refusal

QUEUE = 1024
"""Records that wait for one listener; more are dropped, and counted."""

HEARTBEAT = 10.0
"""Seconds between signs of life, and at most between two looks at the listener's token."""

PATIENCE = 30.0
"""Seconds that a listener may take for what it was sent, before it is given up."""

LISTENERS = 32
"""Listeners at the same time, over all admin listeners."""


class Feed:
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


class Audience:
    """Who listens now; it is asked to leave when the daemon stops."""

    def __init__(self) -> None:
        self._listeners: set[Decisions] = set()
        self._empty = asyncio.Event()

    def enter(self, listener: Decisions) -> None:
        """Let a listener in.

        Raises:
            Refusal: there are too many.
        """
        if len(self._listeners) >= LISTENERS:
            raise Refusal(503, "too_many", f"{LISTENERS} listeners follow the decisions already")
        self._listeners.add(listener)
        self._empty.clear()

    def left(self, listener: Decisions) -> None:
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


class Decisions(AdminHandler):
    """`/admin/decisions`."""

    def initialize(self, audience: Audience, **shared: object) -> None:  # type: ignore[override]
        """Take the audience beside what every handler gets."""
        super().initialize(**shared)  # type: ignore[arg-type]
        self._audience = audience
        self._following: asyncio.Task[None] | None = None

    async def get(self) -> None:
        """Follow the decisions until the listener leaves, loses its right to listen, or the daemon stops."""
        self._audience.enter(self)
        feed = Feed()
        unsubscribe = self.administration.subscribe(feed.put)
        try:
            self._following = asyncio.ensure_future(self._follow(feed))
            await self._following
        except (asyncio.CancelledError, StreamClosedError, TimeoutError):
            return
        finally:
            unsubscribe()

    def on_finish(self) -> None:
        """Tell the audience, once the end of the stream is on its way."""
        self._audience.left(self)

    async def _follow(self, feed: Feed) -> None:
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")
        # The first bytes tell the listener that it misses nothing from here on.
        events = b": the decisions from now on\n\n"
        while self._may_listen():
            self.write(events)
            async with asyncio.timeout(PATIENCE):
                await self.flush()
            await feed.arrived(HEARTBEAT)
            events = feed.take()

    def _may_listen(self) -> bool:
        """Tell whether the token still gives access: no stream outlives it or a change of the rule."""
        if self.trusted:
            return True
        try:
            self.check_token()
        except Refusal:
            return False
        return True

    def on_connection_close(self) -> None:
        """Stop following when the listener is gone."""
        self.leave()

    def leave(self) -> None:
        """End the stream."""
        if self._following is not None:
            self._following.cancel()
