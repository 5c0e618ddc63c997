"""`/admin/decisions`: a stream of every decision as it is made, as server-sent events (WHATWG HTML, 9.2)."""

from __future__ import annotations

import asyncio

from tornado.iostream import StreamClosedError

from compartmentd.http.admin.base import AdminError, AdminHandler
from compartmentd.http.admin.subscribers import SubscriberQueue

HEARTBEAT = 10.0
"""Seconds between two comments that keep a stream open, and at most between two checks of its token."""

SEND_TIMEOUT = 30.0
"""Seconds that a reader may take to receive what was sent, before its stream is closed."""


class DecisionsHandler(AdminHandler):
    """`/admin/decisions`."""

    _following: asyncio.Task[None] | None = None

    async def get(self) -> None:
        """Stream the decisions until the reader leaves, loses its access, or the daemon stops."""
        if not self.site.audience.add(self):
            raise AdminError(503, "too_many", "too many readers follow the decisions already")
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
        """Leave the audience, once the end of the stream is on its way."""
        self.site.audience.remove(self)

    async def _follow(self, feed: SubscriberQueue) -> None:
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")
        # The first bytes tell the reader that it misses nothing from here on.
        events = b": the decisions from now on\n\n"
        while self._may_listen():
            self.write(events)
            async with asyncio.timeout(SEND_TIMEOUT):
                await self.flush()
            await feed.wait(HEARTBEAT)
            events = feed.take()

    def _may_listen(self) -> bool:
        """Return whether the token still gives access: no stream outlives it or a change of the rule."""
        if self.site.trusted:
            return True
        try:
            self.check_token()
        except AdminError:
            return False
        return True

    def on_connection_close(self) -> None:
        """End the stream when the reader is gone."""
        self.leave()

    def leave(self) -> None:
        """End the stream."""
        if self._following is not None:
            self._following.cancel()
