"""`/admin/decisions`: every decision as it is made, as server-sent events (WHATWG HTML, 9.2)."""

from __future__ import annotations

import asyncio

from tornado.iostream import StreamClosedError

from compartmentd.http.admin.base import AdminHandler, Refusal
from compartmentd.http.admin.subscribers import SubscriberQueue

HEARTBEAT = 10.0
"""Seconds between signs of life, and at most between two looks at the listener's token."""

PATIENCE = 30.0
"""Seconds that a listener may take for what it was sent, before it is given up."""


class Decisions(AdminHandler):
    """`/admin/decisions`."""

    _following: asyncio.Task[None] | None = None

    async def get(self) -> None:
        """Follow the decisions until the listener leaves, loses its right to listen, or the daemon stops."""
        if not self.site.audience.enter(self):
            raise Refusal(503, "too_many", "too many listeners follow the decisions already")
        feed = SubscriberQueue()
        unsubscribe = self.site.administration.subscribe(feed.put)
        try:
            self._following = asyncio.ensure_future(self._follow(feed))
            await self._following
        except (asyncio.CancelledError, StreamClosedError, TimeoutError):
            return
        finally:
            unsubscribe()

    def on_finish(self) -> None:
        """Tell the audience, once the end of the stream is on its way."""
        self.site.audience.left(self)

    async def _follow(self, feed: SubscriberQueue) -> None:
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
        if self.site.trusted:
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
