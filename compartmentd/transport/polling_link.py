"""HTTP long-polling: the link of a connection whose client asks for its packets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Protocol, TypeAlias

from compartmentd.errors import WireError
from compartmentd.protocol import engineio
from compartmentd.protocol.connection import SLOW, TRANSPORT_ERROR, EngineConnection
from compartmentd.protocol.engineio import CLOSE, NOOP, Outgoing
from compartmentd.protocol.lifecycle import Phase
from compartmentd.protocol.message import SEPARATOR
from compartmentd.protocol.websocket import Data
from compartmentd.transport.connections import Connections
from compartmentd.transport.options import ServerOptions

VOLATILE_LIMIT = 64 * 1024
"""Bytes queued beyond which volatile messages are dropped: polls come and go, so some are always queued."""

FAREWELL = 10.0
"""Seconds that a closed session is kept for the poll that fetches its last packets."""

_AT_ONCE = 256
"""Packets of a POST that are taken before others have their turn: all 125,000 that fit into one hold the loop for
0.6 s, and this many for 1.3 ms."""

Polled: TypeAlias = Callable[[bytes | None], None]
"""Called once with what answers a GET; `None` if that GET was out of place."""


class Probe(Protocol):
    """A WebSocket that is about to take a connection over.

    Once it was `answered`, the client polls no more and sends `5` on the WebSocket, or gives it up and polls again.
    """

    answered: bool

    def cancel(self) -> None:
        """Close it: the connection has ended meanwhile."""


# By names of this module: on Python 3.11 a look-up in an Enum costs more than taking a payload.
_PROBING, _CLOSED = Phase.PROBING, Phase.CLOSED


class PollingLink:
    """The polling side of a connection, as `protocol.connection.Link`.

    INVARIANT: while a poll is held the queue is empty between loop turns: what is queued answers it.
    """

    __slots__ = (
        "_bytes",
        "_connections",
        "_consumed",
        "_leaving",
        "_limit",
        "_poll",
        "_queue",
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
        self._poll: Polled | None = None  # the GET that is held
        self._consumed: Callable[[], None] | None = None  # the POST that waits for a decision
        self._leaving = False  # closed; the last packets may still be fetched
        self._scheduled = False

    # Out

    plain = False

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
        if self._poll is not None:
            if self.connection.out:
                self._answer()
            return
        self._collect()
        if self._bytes > self._limit:
            self._connections.counters.slow += 1
            self.connection.lost(SLOW)
            self._drop()

    def _collect(self) -> None:
        """Keep what was sent for the poll that will fetch it."""
        out = self.connection.out
        self._bytes += sum(len(message.payload) + 1 for message in out)
        self._queue += out
        out.clear()

    def take_queue(self) -> list[Outgoing]:
        """Hand over what was not fetched, to the WebSocket that takes this link's place."""
        queue, self._queue, self._bytes = self._queue, [], 0
        return queue

    # The client's requests

    def poll(self, polled: Polled) -> None:
        """Answer with the next payload, now or once there is one.

        A poll that is out of place is told so; where another is held already, that is the end of the session.
        """
        if self.connection.link is not self:
            polled(None)  # it ended or moved after this request was let in
        elif self._poll is not None:
            self.cut()
            polled(None)
        elif self._queue or self.connection.out or self.connection.phase is _PROBING:
            payload = self._take_payload()
            self._take_leave()
            polled(payload)
        else:
            self._poll = polled

    def post(self, body: bytes, consumed: Callable[[], None]) -> None:
        """Take the packets of a POST, and say when they were: the client sends no further one before that.

        Of a session that we closed they are dropped: its next poll tells it so.
        """
        self._connections.counters.bytes_in += len(body)
        packets: Sequence[Data] = ()
        try:
            packets = engineio.decode_payload(body)
        except WireError as error:
            self.connection.fail(error)
        self._take(packets, 0, consumed)

    def _take(self, packets: Sequence[Data], start: int, consumed: Callable[[], None]) -> None:
        """Take the packets from `start` on, the others' turn coming between each `_AT_ONCE`."""
        connection, stop = self.connection, start + _AT_ONCE
        connection.receive(packets[start:stop])
        if stop < len(packets) and connection.phase is not _CLOSED:
            self._connections.loop.call_soon(self._take, packets, stop, consumed)
        elif connection.held and connection.link is self:
            self._consumed = consumed
        else:
            consumed()

    def probed(self) -> None:
        """A WebSocket probes: no poll may stay held from now on."""
        if self._poll is not None:
            self._answer()

    def hand_over_last(self) -> list[Outgoing]:
        """Return the last packets of a closed connection, for the WebSocket that its client has moved to."""
        self.probe = None
        last = [packet for packet in self.take_queue() if packet is not CLOSE]
        self._drop()
        return last

    def retire(self) -> None:
        """The WebSocket has taken over, with all that there was to send: end what is still under way here."""
        self._end_poll(NOOP)
        self.resume()

    def cut(self) -> None:
        """A request was cut off by its client, and nobody knows what arrived: the connection is over."""
        if self.connection.link is not self:
            return  # a WebSocket carries it now, or it has ended; what was late here is of no account
        self.connection.lost(TRANSPORT_ERROR)
        self._drop()

    def _answer(self) -> None:
        poll = self._poll
        if poll is not None:
            payload = self._take_payload()  # if this fails, the poll is still there for `broken` to end
            self._poll = None
            self._take_leave()
            poll(payload)

    def _take_payload(self) -> bytes:
        if self._queue:
            self._collect()
        out = self.connection.out
        queue = self.take_queue() or out or [NOOP]
        payload = SEPARATOR.join([message.payload for message in queue])
        out.clear()
        self._connections.counters.bytes_out += len(payload)
        return payload

    def _take_leave(self) -> None:
        """The last packets are fetched: forget the session, if that was all that it waited for."""
        if self._leaving:
            self._drop()

    # The end

    @property
    def leaving(self) -> bool:
        """Whether the connection is closed, and its last packets wait for the client."""
        return self._leaving

    def finish(self) -> None:
        """Let the client fetch what is queued, and `1` behind it.

        In the middle of an upgrade the client may not poll again: whichever it does first has the last packets.
        """
        self._collect()
        if self.probe is not None and not self.probe.answered:
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
        self._connections.disarm(self)
        self._end_probe()
        self.take_queue()
        self.connection.out.clear()
        self.connection.released(self)
        self.resume()
        self._end_poll(last)

    def _end_poll(self, last: Outgoing) -> None:
        poll, self._poll = self._poll, None
        if poll is not None:
            poll(last.payload)

    def _end_probe(self) -> None:
        probe, self.probe = self.probe, None
        if probe is not None:
            probe.cancel()

    def pause(self) -> None:
        """Packets that come while the connection is held are kept by it; the POST waits, see `post`."""

    def resume(self) -> None:
        """Let the POST that waits be answered."""
        consumed, self._consumed = self._consumed, None
        if consumed is not None:
            consumed()
