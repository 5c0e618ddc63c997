"""The connections of one server: found by sid, flushed once a loop turn, woken by one wheel."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import Protocol, TypeAlias

from compartmentd.net.poller import Readiness
from compartmentd.net.timer_wheel import Timer, TimerWheel
from compartmentd.protocol.application import Handshake
from compartmentd.protocol.connection import EngineConnection, Host
from compartmentd.protocol.counters import Counters
from compartmentd.protocol.forwarded import TrustedProxies
from compartmentd.protocol.http1 import request_line
from compartmentd.protocol.message import Batch, Message
from compartmentd.protocol.options import ConnectionOptions
from compartmentd.protocol.origins import OriginPolicy
from compartmentd.telemetry.logs import log
from compartmentd.transport.admission import Admission
from compartmentd.transport.broadcast import Broadcast
from compartmentd.transport.options import ServerOptions

MakeConnection: TypeAlias = Callable[[Host, str, Handshake, ConnectionOptions], EngineConnection]
"""Make a connection: Socket.IO's, or another that speaks Engine.IO alone."""


class Flushable(Protocol):
    """A transport with something to send."""

    def flush(self) -> None:
        """Send it."""

    def broken(self) -> None:
        """Give up: an error of ours left the transport in an unknown state."""


class SocketHolder(Protocol):
    """What holds a socket and carries no connection.

    A WebSocket that probes one or came too late for it, and HTTP whose requests may be for any (`keepalive`).
    """

    def abort(self) -> None:
        """Close it at once."""


class Connections:
    """All connections, and what they share; `protocol.connection.Host` to each."""

    def __init__(self, make: MakeConnection, options: ServerOptions) -> None:
        """Begin empty, on the running loop."""
        self.counters = Counters()
        self.admission = Admission(self.counters)
        self.loop = asyncio.get_running_loop()
        self.sockets = Readiness(self.loop, self.counters)
        self.make = make
        self.options = options
        self.origins = OriginPolicy(options.origins, strict=options.strict_origins)
        self.proxies = TrustedProxies(options.trusted_proxies)
        self.request_line = request_line(options.path)  # of what `keepalive` serves
        self.guests: set[SocketHolder] = set()
        self._by_sid: dict[str, EngineConnection] = {}
        self.dirty: list[Flushable] = []
        """What has something to send at the end of this turn; `schedule` adds to it."""
        self._wheel = TimerWheel()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = inf
        self._empty: asyncio.Future[None] | None = None

    def configure(self, options: ServerOptions) -> None:
        """Use other options from now on; connections keep those that they began with."""
        self.origins = OriginPolicy(options.origins, strict=options.strict_origins)
        self.proxies = TrustedProxies(options.trusted_proxies)
        self.options = options

    # The table

    def add(self, connection: EngineConnection) -> None:
        """Enter a connection that has its link, and start its clock; its place was taken before."""
        self._by_sid[connection.sid] = connection
        self.counters.opened += 1
        connection.opened()

    def find(self, sid: str) -> EngineConnection | None:
        """Return the connection of this sid, what is due for it done: the wheel may be a little late."""
        connection = self._by_sid.get(sid)
        if connection is not None:
            now = self.now()
            if connection.due <= now:
                self._wheel.wake(connection, now)
                self._set_alarm()
                connection = self._by_sid.get(sid)
        return connection

    def forget(self, connection: EngineConnection) -> None:
        """Take a connection out whose transport is gone, and give its place back; once or more often."""
        if self._by_sid.pop(connection.sid, None) is not None:
            self.counters.closed += 1
            self._wheel.disarm(connection)
            self.admission.leave(connection.handshake.address)
            if not self._by_sid and self._empty is not None and not self._empty.done():
                self._empty.set_result(None)

    def __len__(self) -> int:
        return len(self._by_sid)

    def __iter__(self) -> Iterator[EngineConnection]:
        """Iterate over those that are there now, whatever happens to them meanwhile."""
        return iter(list(self._by_sid.values()))

    async def emptied(self, timeout: float) -> None:  # noqa: ASYNC109 - a bound, not an error
        """Wait until the last connection is gone, but not longer than this."""
        if self._by_sid:
            self._empty = self.loop.create_future()
            await asyncio.wait([self._empty], timeout=timeout)

    # The turn

    def schedule(self, link: Flushable) -> None:
        """Flush the link when the sockets that are ready now have been read: their answers leave together."""
        if not self.dirty:
            self.loop.call_soon(self._flush)
        self.dirty.append(link)

    def share(
        self, message: Message, to: Sequence[EngineConnection], besides: EngineConnection | None
    ) -> Batch:
        """Send a message to many, `besides` left out, as one thing to which others may be added."""
        dirty = self.dirty
        if not dirty:
            broadcast = Broadcast(message, to, besides, dirty, self)
            self.schedule(broadcast)
            return broadcast
        batch = Batch(message)
        for connection in to:
            if connection is not besides:
                connection.send(batch)
        return batch

    def _flush(self) -> None:
        dirty, self.dirty = self.dirty, []
        for link in dirty:
            try:
                link.flush()
            except Exception as error:  # noqa: BLE001 - must not cost all others their output
                self.failed("a connection is closed for an error while it was written to", error)
                link.broken()

    def failed(self, what: str, error: Exception) -> None:
        """Report and count an error that is ours, or the application's."""
        self.counters.errors += 1
        log(logging.ERROR, "connection_failed", what, exc=error)

    # Time

    def now(self) -> float:
        """Return the loop's monotonic time in seconds."""
        return self.loop.time()

    def arm(self, timer: Timer, at: float) -> None:
        """Wake the timer at this time, or earlier if that was asked for before."""
        self._wheel.arm(timer, at)
        self._set_alarm()

    def disarm(self, timer: Timer) -> None:
        """Wake the timer no more: it is over, and would be kept until then."""
        self._wheel.disarm(timer)

    def _set_alarm(self) -> None:
        at = self._wheel.next
        if at is None or (self._alarm is not None and self._alarm_at <= at):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        # Its time is kept here: uvloop's handle of a call that is due already does not know it.
        self._alarm_at = at
        self._alarm = self.loop.call_at(at, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._wheel.turn(self.now())
        self._set_alarm()

    def stop(self) -> None:
        """Close what is left, and stop the clock."""
        for connection in self:
            connection.link.abort()
        for guest in list(self.guests):
            guest.abort()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self.sockets.close()
