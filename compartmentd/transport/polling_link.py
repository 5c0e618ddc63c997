"""The link of a connection on HTTP long-polling, whose client asks for its packets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from math import inf
from typing import Protocol, TypeAlias

from compartmentd.errors import WireError
from compartmentd.protocol import engineio
from compartmentd.protocol.connection import FORCED_CLOSE, SLOW, TRANSPORT_ERROR, EngineConnection
from compartmentd.protocol.discard import discard_queued
from compartmentd.protocol.engineio import CLOSE, NOOP, HandshakeRefusal, Outgoing
from compartmentd.protocol.lifecycle import Phase
from compartmentd.protocol.message import SEPARATOR
from compartmentd.protocol.websocket import Data
from compartmentd.transport.connections import Connections
from compartmentd.transport.options import ServerOptions

VOLATILE_LIMIT = 64 * 1024
"""Bytes in the queue from which on volatile messages are dropped; between two polls some are always queued."""

FAREWELL = 10.0
"""Seconds that a closed session is kept for the poll that fetches its last packets."""

_AT_ONCE = 16
"""Packets of a POST that are taken until other work has its turn: a POST has room for a million of them, and one
may be a list of joins. The others are taken as a part of the backlog."""

_NOOP_PACE = 0.1
"""Seconds between two polls that are answered with nothing while a WebSocket probes, as in Node's server."""

Polled: TypeAlias = Callable[[bytes | None], None]
"""Called once with the payload that answers a GET; `None` if the GET was out of place."""

_Rest: TypeAlias = tuple[Iterator[Data], Callable[[], None]]
"""The packets of a POST that are not taken yet, and what is called behind the last."""


class UnreadAnswer(Protocol):
    """The answer of a poll, of which the kernel has not taken everything."""

    @property
    def unread(self) -> int:
        """The number of bytes that wait for the client."""

    def abort(self) -> None:
        """Close the socket at once."""


class Probe(Protocol):
    """A WebSocket that is about to take a connection over.

    Once it was `answered`, the client polls no more and sends `5` on the WebSocket, or gives it up and polls again.
    """

    answered: bool

    def cancel(self) -> None:
        """Close the WebSocket, since the connection has ended meanwhile."""


# By names of this module: on Python 3.11 a look-up in an Enum costs more than taking a payload.
_PROBING, _CLOSED = Phase.PROBING, Phase.CLOSED


class PollingLink:
    """The polling side of a connection, as `protocol.link.Link`.

    INVARIANT: while a poll waits, the queue is empty between loop turns: what is queued answers the poll.
    """

    __slots__ = (
        "_bytes",
        "_connections",
        "_had_session",
        "_leaving",
        "_limit",
        "_noop_at",
        "_poll",
        "_queue",
        "_rest",
        "_scheduled",
        "answering",
        "connection",
        "due",
        "failure",
        "network",
        "posting",
        "probe",
        "since",
    )

    def __init__(
        self, connections: Connections, connection: EngineConnection, options: ServerOptions
    ) -> None:
        self.connection = connection
        self.due = inf
        self.posting = False  # a POST is under way; there may be one at a time
        self.failure = ""  # how the client broke the protocol
        self.probe: Probe | None = None  # the WebSocket that is about to take over
        self._connections = connections
        self._limit = options.send_buffer
        self._queue: list[Outgoing] = []
        self._bytes = 0
        self._poll: Polled | None = None  # the GET that waits for packets
        self._rest: _Rest | None = None  # of the POST that waits for a decision, or for its turn
        self._leaving = False  # closed; the last packets may still be fetched
        self._scheduled = False
        self._had_session = False
        self._noop_at = -inf  # when a poll was last answered for the sake of a probe
        self.answering: UnreadAnswer | None = None  # the answer of a poll that its client has not read yet
        # As `pending.PendingItem`, while the connection has no session.
        self.network = connections.networks.find(connection.handshake.address)
        self.since = 0.0

    takes_place = True

    @property
    def longest_body(self) -> int:
        """The most bytes that a POST may have now: little, until there was a session."""
        options = self.connection.options
        return options.max_payload if self._had_session else min(options.first_payload, options.max_payload)

    def note_sessions(self, *, has: bool) -> None:
        """Take note whether the connection has a session; without one it is pending."""
        if has:
            self._had_session = True
            self._connections.pending.remove(self)
        else:
            self._wait_for_session()

    def _wait_for_session(self) -> None:
        connections = self._connections
        connections.pending.add(self, connections.now(), connections.options.pending)
        connections.pending.note_use(self)

    def shed(self) -> None:
        """Forget the session at once: others need its place."""
        self.connection.note_lost(FORCED_CLOSE)
        self._drop()

    # Out

    is_direct = False

    @property
    def is_writable(self) -> bool:
        """Whether little enough is queued for volatile messages."""
        return self._bytes <= VOLATILE_LIMIT

    @property
    def unsent(self) -> int:
        """The number of bytes that wait for the next poll, or for the client to read the answer of one."""
        return self._bytes if self.answering is None else self._bytes + self.answering.unread

    def wake(self) -> None:
        """Answer the waiting poll at the end of this turn."""
        if not self._scheduled:
            self._scheduled = True
            self._connections.schedule(self)

    def flush(self) -> None:
        """Answer the waiting poll with what was sent in this turn, or keep that for the next poll."""
        self._scheduled = False
        if self.connection.link is not self:
            return  # upgraded in this very turn: the WebSocket has the packets
        if self._poll is not None:
            if self.connection.out:
                self._answer()
            return
        self._collect()
        if self.unsent > self._limit:
            self._connections.counters.slow += 1
            self._connections.note_cut(self.connection, "slow", "it was more than `send_buffer` behind")
            self.connection.note_lost(SLOW)
            self._drop()

    def _collect(self) -> None:
        """Queue what was sent for the next poll."""
        out = self.connection.out
        self._bytes += sum(len(message.payload) + 1 for message in out)
        self._queue += out
        out.clear()

    def discard(self, namespace: bytes) -> None:
        """Drop the events and acks of a namespace that wait for the next poll.

        An answer that its client is still reading may hold some: its rest is not sent, and the connection ends, at
        the end of this turn, since the caller may be among the connection's sessions.
        """
        self._queue = list(discard_queued(self._queue, namespace))
        self._bytes = sum(len(message.payload) + 1 for message in self._queue)
        if self.answering is not None:
            self._connections.loop.call_soon(self._cut_unread)

    def _cut_unread(self) -> None:
        if self.answering is not None:
            self.answering.abort()
            self.cut()  # its client has lost a part, and would poll on without it

    def take_queue(self) -> list[Outgoing]:
        """Return the packets that were not fetched, for the WebSocket that takes this link's place."""
        queue, self._queue, self._bytes = self._queue, [], 0
        return queue

    # The client's requests

    def poll(self, polled: Polled) -> None:
        """Answer with the next payload, now or once there is one.

        A poll that is out of place gets `None`; a second one while another waits ends the session.
        """
        if self.connection.link is not self:
            polled(None)  # the session ended or moved after this request was accepted
        elif self._poll is not None:
            self.cut()
            polled(None)
        elif self._queue or self.connection.out or self._is_noop_due():
            payload = self._take_payload()
            self._take_leave()
            polled(payload)
        else:
            self._poll = polled

    def _is_noop_due(self) -> bool:
        """Return whether a poll is answered with nothing, since a WebSocket probes.

        A client whose proxy holds the answer to the probe polls on and on meanwhile.
        """
        if self.connection.phase is not _PROBING:
            return False
        now = self._connections.now()
        if now < self._noop_at + _NOOP_PACE:
            self._connections.arm(self, self._noop_at + _NOOP_PACE)
            return False
        self._noop_at = now
        return True

    def post(self, body: bytes, consumed: Callable[[], None], *, is_read_in_turn: bool) -> None:
        """Take the packets of a POST, and call `consumed` then: the client sends no further POST before.

        Packets of a session that we have closed are dropped; its next poll tells the client. The first packets are
        taken at once only where the socket is read in its turn, by the poller: there is a bound for all of those.
        """
        self._connections.counters.bytes_in += len(body)
        try:
            packets = engineio.decode_payload(body)
        except WireError as error:
            self.connection.fail(error)
            consumed()
        else:
            if not is_read_in_turn:
                self._rest = packets, consumed
                self._connections.backlog.add(self)
            elif self._take(packets, consumed):
                self._connections.backlog.add(self)

    def _take(self, packets: Iterator[Data], consumed: Callable[[], None]) -> bool:
        """Take some packets, and call `consumed` behind the last; return whether a later turn is to take more.

        While the connection is on hold none is: `resume` goes on.
        """
        connection = self.connection
        if connection.phase is not _CLOSED:
            try:
                some = list(islice(packets, _AT_ONCE))
            except WireError as error:
                connection.fail(error)
            else:
                connection.receive(some)
                if connection.is_on_hold and connection.link is self:
                    self._rest = packets, consumed
                    return False
                if len(some) == _AT_ONCE and connection.phase is not _CLOSED:
                    self._rest = packets, consumed
                    return True
        consumed()
        return False

    def proceed(self) -> bool:
        """Take some more packets of the POST that is under way; return whether further ones are left."""
        rest, self._rest = self._rest, None
        return rest is not None and self._take(*rest)

    def release_poll(self) -> None:
        """Answer the waiting poll: while a WebSocket probes, no poll may wait for long."""
        if self._poll is not None:
            self._noop_at = self._connections.now()
            self._answer()

    def hand_over_last(self) -> list[Outgoing]:
        """Return the last packets of a closed connection, for the WebSocket that its client has moved to."""
        self.probe = None
        last = [packet for packet in self.take_queue() if packet is not CLOSE]
        self._drop()
        return last

    def retire(self) -> None:
        """End the requests that are under way, since a WebSocket has taken over with everything that is queued."""
        self._connections.pending.remove(self)
        self._end_poll(NOOP)
        self.resume()

    def cut(self) -> None:
        """End the connection, since a client has cut off a request of which it is unknown how much arrived."""
        if self.connection.link is not self:
            return  # a WebSocket carries the connection, or it has ended
        self.connection.note_lost(TRANSPORT_ERROR)
        self._drop()

    def _answer(self) -> None:
        poll = self._poll
        if poll is not None:
            payload = self._take_payload()  # if this fails, the poll is still there for `abandon` to end
            self._poll = None
            self._take_leave()
            poll(payload)

    def _take_payload(self) -> bytes:
        if self._queue:
            self._collect()
        out = self.connection.out
        queue = self.take_queue() or out or [NOOP]
        if self._leaving and len(queue) > 1:
            # An answer of its own for `1`: clients take note of an end at once, and of the packets before it in a
            # later turn, when they may have connected anew.
            self._queue, self._bytes = [CLOSE], len(CLOSE.payload) + 1
            queue = queue[:-1]
        payload = SEPARATOR.join([message.payload for message in queue])
        out.clear()
        self._connections.counters.bytes_out += len(payload)
        return payload

    def _take_leave(self) -> None:
        """Forget a closed session once its last packets are fetched."""
        if self._leaving and not self._queue:
            self._drop()

    # The end

    @property
    def is_leaving(self) -> bool:
        """Whether the connection is closed, and its last packets wait for the client."""
        return self._leaving

    def finish(self) -> None:
        """Let the client fetch what is queued, and then `1`; one that never had a session is forgotten.

        In the middle of an upgrade the client may not poll again: its next poll or `5`, whichever comes first, gets
        the last packets.
        """
        if not self._had_session and self._poll is None:
            self._drop()  # it was told nothing that it would miss
            return
        self._collect()
        if self.probe is not None and not self.probe.answered:
            self._end_probe()
        self._leaving = True
        self._queue.append(CLOSE)
        self._bytes += len(CLOSE.payload) + 1
        if self._poll is not None:
            self._answer()
        if self._queue:
            self._connections.arm(self, self._connections.now() + FAREWELL)
            self._wait_for_session()

    def say_farewell(self) -> None:
        """Close, since the client has announced its end: answer its poll with nothing (Engine.IO v4, "Closing")."""
        self._queue.clear()
        self._drop(NOOP)

    def describe_failure(self) -> HandshakeRefusal:
        """Return the answer to the POST by which the client broke the protocol."""
        return engineio.BAD_BODY._replace(detail=self.failure or engineio.BAD_BODY.detail)

    def fail(self, code: int, reason: str = "") -> None:
        """Forget the session; its next request is refused as unknown."""
        self.failure = reason or f"code {code}"
        self._drop()

    def abort(self) -> None:
        """Forget the session at once."""
        self._drop()

    def abandon(self) -> None:
        """Forget the session, since an error of ours left it in an unknown state."""
        self.cut()

    def tick(self, now: float) -> float | None:
        """Forget the session, since no poll came for its last packets; or end a poll that waits for a probe."""
        del now
        if self._leaving:
            self._drop()
        elif self._poll is not None and self._is_noop_due():
            self._answer()
        return None

    def _drop(self, last: Outgoing = CLOSE) -> None:
        self._connections.disarm(self)
        self._connections.pending.remove(self)
        self._end_probe()
        self.take_queue()
        answering, self.answering = self.answering, None
        self.connection.out.clear()
        self.connection.note_released(self)
        self.resume()
        self._end_poll(last)
        if answering is not None:
            answering.abort()  # what its client has not read belongs to a session that is over

    def _end_poll(self, last: Outgoing) -> None:
        poll, self._poll = self._poll, None
        if poll is not None:
            poll(last.payload)

    def _end_probe(self) -> None:
        probe, self.probe = self.probe, None
        if probe is not None:
            probe.cancel()

    def pause(self) -> None:
        """Do nothing: a connection on hold keeps the packets that come, and the POST waits, see `post`."""

    def resume(self) -> None:
        """Go on with the POST that waits; if the connection has ended, it is answered at once."""
        if self._rest is not None and self.proceed():
            self._connections.backlog.add(self)
