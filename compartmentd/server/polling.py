"""HTTP long-polling: the link of a connection whose client asks for its packets."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Protocol

from compartmentd.protocol.connection import SLOW, TRANSPORT_ERROR, EngineConnection
from compartmentd.protocol.engineio import CLOSE, NOOP, Outgoing
from compartmentd.protocol.lifecycle import Phase
from compartmentd.protocol.message import SEPARATOR
from compartmentd.server.connections import Connections
from compartmentd.server.options import ServerOptions

VOLATILE_LIMIT = 64 * 1024
"""Bytes queued beyond which volatile messages are dropped: polls come and go, so some are always queued."""

FAREWELL = 10.0
"""Seconds that a closed session is kept for the poll that fetches its last packets."""


class Probe(Protocol):
    """A WebSocket that is about to take a connection over."""

    def cancel(self) -> None:
        """Close it: the connection has ended meanwhile."""


class PollingLink:
    """The polling side of a connection, as `protocol.connection.Link`.

    INVARIANT: while a poll is held the queue is empty between loop turns: what is queued answers it.
    """

    __slots__ = (
        "_bytes",
        "_connections",
        "_leaving",
        "_limit",
        "_poll",
        "_queue",
        "_resumed",
        "_scheduled",
        "connection",
        "due",
        "failed",
        "posting",
        "probe",
    )

    def __init__(
        self, connections: Connections, connection: EngineConnection, options: ServerOptions
    ) -> None:
        self.connection = connection
        self.due = inf
        self.posting = False  # a POST is under way; there may be one
        self.failed = False  # the client broke the protocol
        self.probe: Probe | None = None  # the WebSocket that is about to take over
        self._connections = connections
        self._limit = options.send_buffer
        self._queue: list[Outgoing] = []
        self._bytes = 0
        self._poll: asyncio.Future[bytes] | None = None  # the GET that is held
        self._resumed: asyncio.Future[None] | None = None  # the POST that waits for a decision
        self._leaving = False  # closed; the last packets may still be fetched
        self._scheduled = False

    # Out

    @property
    def clear(self) -> bool:
        """Whether little enough is queued for volatile messages."""
        return self._bytes <= VOLATILE_LIMIT

    @property
    def unsent(self) -> int:
        """How many bytes wait for the next poll."""
        return self._bytes

    def wake(self) -> None:
        """Answer the held poll at the end of this turn."""
        if not self._scheduled:
            self._scheduled = True
            self._connections.schedule(self)

    def flush(self) -> None:
        """Answer the held poll with what was sent in this turn, or keep it for the next."""
        self._scheduled = False
        if self.connection.link is not self:
            return  # upgraded in this very turn; the WebSocket has it
        self._collect()
        if self._poll is not None:
            if self._queue:
                self._answer()
        elif self._bytes > self._limit:
            self._connections.counters.slow += 1
            self.connection.lost(SLOW)
            self._drop()

    def _collect(self) -> None:
        out = self.connection.out
        self._bytes += sum(len(message.payload) + 1 for message in out)
        self._queue += out
        out.clear()

    def take_queue(self) -> list[Outgoing]:
        """Hand over what was not fetched, to the WebSocket that takes this link's place."""
        queue, self._queue, self._bytes = self._queue, [], 0
        return queue

    # The client's requests

    async def poll(self) -> bytes | None:
        """Return the next payload, once there is one; `None` if this poll is out of place.

        Where another is held already, that is the end of the session.
        """
        if self.connection.link is not self:
            return None  # it ended or moved after this request was let in
        if self._poll is not None:
            self.cut()
            return None
        self._collect()
        if self._queue or self.connection.phase is Phase.PROBING:
            return self._take_payload()
        poll: asyncio.Future[bytes] = self._connections.loop.create_future()
        self._poll = poll
        return await poll

    async def consumed(self) -> None:
        """Wait until the packets of a POST were taken: the client sends no further one before its answer."""
        if self.connection.held and self.connection.link is self:
            self._resumed = self._connections.loop.create_future()
            await self._resumed

    def probed(self) -> None:
        """A WebSocket probes: no poll may stay held from now on."""
        if self._poll is not None:
            self._answer()

    def retire(self) -> None:
        """The WebSocket has taken over: end what is still under way here."""
        if self._poll is not None:
            self._answer()
        self.resume()

    def cut(self) -> None:
        """A request was cut off by its client, and nobody knows what arrived: the connection is over."""
        if self.connection.link is not self:
            return  # a WebSocket carries it now, or it has ended; what was late here is of no account
        self.connection.lost(TRANSPORT_ERROR)
        self._drop()

    def _answer(self) -> None:
        poll, self._poll = self._poll, None
        if poll is not None and not poll.done():
            poll.set_result(self._take_payload())

    def _take_payload(self) -> bytes:
        queue = self.take_queue() or [NOOP]
        payload = SEPARATOR.join([message.payload for message in queue])
        self._connections.counters.bytes_out += len(payload)
        if self._leaving:
            self._drop()
        return payload

    # The end

    def finish(self) -> None:
        """Let the client fetch what is queued, and `1` behind it."""
        self._collect()
        self._end_probe()
        self._leaving = True
        self._queue.append(CLOSE)
        if self._poll is not None:
            self._answer()
        else:
            self._connections.arm(self, self._connections.now() + FAREWELL)

    def farewell(self) -> None:
        """The client said that it closes: end its held poll with nothing in it (Engine.IO v4, "Closing")."""
        self._queue.clear()
        self._drop(NOOP)

    def fail(self, code: int) -> None:
        """Forget the session; its next request is told that it is unknown."""
        del code
        self.failed = True
        self._drop()

    def abort(self) -> None:
        """Forget the session at once."""
        self._drop()

    def broken(self) -> None:
        """Forget the session, for an error of ours."""
        self.cut()

    def tick(self, now: float) -> float | None:
        """Nobody came for the last packets."""
        del now
        self._drop()
        return None

    def _drop(self, last: Outgoing = CLOSE) -> None:
        self._end_probe()
        self.take_queue()
        self.connection.out.clear()
        self.connection.released(self)
        self.resume()
        poll, self._poll = self._poll, None
        if poll is not None and not poll.done():
            poll.set_result(last.payload)

    def _end_probe(self) -> None:
        probe, self.probe = self.probe, None
        if probe is not None:
            probe.cancel()

    def pause(self) -> None:
        """Packets that come while the connection is held are kept by it; the POST waits, see `consumed`."""

    def resume(self) -> None:
        """Let the POST that waits be answered."""
        resumed, self._resumed = self._resumed, None
        if resumed is not None and not resumed.done():
            resumed.set_result(None)
