"""A WebSocket on a raw socket: what Tornado hands over after its 101, on any loop that has `add_reader`.

Reading goes through one buffer for all sockets, takes every whole frame of a read, and stops while the client
does not take our output. Writing is one `send` per loop turn; what the kernel does not take is counted, and
who lets it grow beyond `send_buffer` is disconnected.

Plain sockets, and those under TLS in the dress of `secure`, in which they behave the same.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from enum import Enum, auto
from math import inf
from typing import Protocol

from tornado.util import _websocket_mask as unmask  # the C one, five times as fast as the codec's own

from compartmentd.errors import WireError
from compartmentd.net.sock import Sock
from compartmentd.protocol.connection import SLOW, TRANSPORT_CLOSE, TRANSPORT_ERROR
from compartmentd.protocol.engineio import Outgoing
from compartmentd.protocol.message import SEPARATOR
from compartmentd.protocol.websocket import Data, MessageReader, close_frame, text_frame
from compartmentd.transport.connections import Connections

_BUFFER = bytearray(1 << 14)
"""Where every socket is read into, and the most that one takes before the others have their turn: beside a client
that floods, the others' p99 was 4 to 6 ms with 64 KiB, and is 1.7 ms with 16, at the same throughput."""
_VIEW = memoryview(_BUFFER)

LINGER = 5.0
"""Seconds that a closing client has to take what is queued, and to close its side."""


def _as_text(message: Outgoing) -> bytes:
    """Return a message in text frames alone, binary in base64 as on polling."""
    return b"".join([text_frame(packet) for packet in message.payload.split(SEPARATOR)])


class LinkEndpoint(Protocol):
    """Who takes what arrives and queues what leaves: a connection, or the probe of one."""

    @property
    def out(self) -> list[Outgoing]:
        """What is to be sent; cleared by each flush."""

    @property
    def held(self) -> bool:
        """Whether nothing should be read for now."""

    def receive(self, packets: Sequence[Data], /) -> None:
        """Take packets."""

    def fail(self, error: WireError) -> None:
        """Take note that the client broke WebSocket's rules, and close."""

    def lost(self, reason: str) -> None:
        """Take note that the transport is gone."""

    def released(self, link: WebSocketLink) -> None:
        """Take note that the socket is closed for good, whoever closed it; called once."""


class Stage(Enum):
    """How far a WebSocket is: open; flushing its last frames; waiting for the client to close; gone."""

    OPEN = auto()
    FINISHING = auto()
    LINGERING = auto()
    GONE = auto()


# The members by names of this module: on Python 3.11 a look-up in an Enum costs more than framing a message.
_OPEN, _FINISHING, _LINGERING, _GONE = Stage


_NOTHING = bytearray()
"""The pending bytes of every link that has none, so that an idle one holds no buffer. Never written to."""


class WebSocketLink:
    """One WebSocket, as `protocol.connection.Link`."""

    __slots__ = (
        "_choked",
        "_connections",
        "_ended_by_client",
        "_farewell",
        "_limit",
        "_pending",
        "_reader",
        "_reading",
        "_sock",
        "_stage",
        "_text_only",
        "due",
        "owner",
        "plain",
    )

    def __init__(
        self,
        connections: Connections,
        sock: Sock,
        owner: LinkEndpoint,
        *,
        max_payload: int,
        send_buffer: int,
        text_only: bool,
    ) -> None:
        """Take a socket; `text_only` is for clients that cannot take binary frames (`b64=1`)."""
        self.owner = owner
        self.due = inf
        self._connections = connections
        self._sock = sock
        self._reader = MessageReader(max_payload, unmask)
        self._limit = send_buffer
        self._text_only = text_only
        self._pending = _NOTHING  # what the kernel did not take; a writer is registered while there is any
        self._farewell = b""  # the close frame, after everything else
        self._stage = _OPEN
        self.plain = not text_only  # open, nothing but messages to send, and nothing that waits: see `write`
        self._reading = False
        self._choked = False
        self._ended_by_client = False

    def start(self, data: bytes) -> None:
        """Begin to read; `data` is what came right behind the request."""
        if data:
            self._take(data)
        self._set_reading()

    # Reading

    def _readable(self) -> None:
        try:
            count = self._sock.recv_into(_BUFFER)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._gone(TRANSPORT_ERROR)
            return
        if not count:
            self._eof()
        elif self._stage is _OPEN:
            self._take(bytes(_VIEW[:count]))
        # What a client sends after our close frame is read, so that closing is no reset, and dropped.

    def _take(self, data: bytes) -> None:
        self._connections.counters.bytes_in += len(data)
        reader = self._reader
        try:
            packets = reader.receive(data)
            if packets:
                self.owner.receive(packets)
            if reader.notable:
                self._heed(reader)
        except Exception as error:  # noqa: BLE001 - the loop would go on with a connection that is half read
            self._connections.failed("a connection is closed for an error while it was read", error)
            self.broken()

    def _heed(self, reader: MessageReader) -> None:
        """See to what has come beside messages."""
        if reader.replies is not None:
            self.plain = False
            self.wake()
        if reader.failure is not None:
            self.owner.fail(reader.failure)
        elif reader.closed is not None:
            self.owner.lost(TRANSPORT_CLOSE)
            self.farewell()

    def _eof(self) -> None:
        """The client has closed its side; it may still read, so what is queued is sent."""
        self._ended_by_client = True
        self._set_reading()  # the end would be readable for ever
        if self._stage is _LINGERING:
            self._destroy()
            return
        self.owner.lost(TRANSPORT_CLOSE)
        if self._stage is _OPEN and not self._pending and not self._connections.dirty:
            self._destroy()  # nothing is queued for anybody: a third less for each of a crowd that goes away
        else:
            self._finish(b"")

    def pause(self) -> None:
        """Read nothing while the owner is held."""
        self._set_reading()

    def resume(self) -> None:
        """Read again."""
        self._set_reading()

    def _set_reading(self) -> None:
        """Watch the socket if there is a reason to: input is wanted, or its end while closing."""
        wanted = (
            not self._ended_by_client
            and self._stage is not _GONE
            and (self._stage is not _OPEN or (not self._choked and not self.owner.held))
        )
        if wanted == self._reading:
            return
        self._reading = wanted
        if wanted:
            self._connections.sockets.add_reader(self._sock, self._readable)
        else:
            self._connections.sockets.remove_reader(self._sock)

    # Writing

    @property
    def clear(self) -> bool:
        """Whether nothing of an earlier turn is unsent."""
        return not self._pending

    @property
    def unsent(self) -> int:
        """How many bytes the kernel did not take."""
        return len(self._pending)

    def wake(self) -> None:
        """Flush at the end of this turn; once more than asked for does no harm."""
        dirty = self._connections.dirty
        if dirty:
            dirty.append(self)  # all but the first of a turn need no more, and no call
        else:
            self._connections.schedule(self)

    def flush(self) -> None:
        """Send everything that was queued in this turn, by one call."""
        if not self.plain:
            self._flush_all()
            return
        # Messages to a client that has taken everything so far, which is the case a million times for each other
        # one: one test instead of six.
        out = self.owner.out
        if not out:
            return
        if len(out) == 1:
            data = out[0].frames
        elif len(out) == 2:
            data = out[0].frames + out[1].frames  # an ack and a message: 0.1 µs less than a comprehension
        else:
            data = b"".join([message.frames for message in out])
        out.clear()
        sent = self.write(data)
        self._connections.counters.bytes_out += sent

    def write(self, data: bytes) -> int:
        """Hand bytes to the kernel, by one call, and keep what it does not take; only where nothing waits.

        Return how many it took, for the caller to count: a broadcast does so once for all.
        """
        try:
            sent = self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._gone(TRANSPORT_ERROR)
            return 0
        if sent != len(data):
            self._keep(data, sent)
        return sent

    def precede(self, message: Outgoing) -> None:
        """Queue a message before everything that was queued in this turn."""
        if self._stage is not _GONE:
            out = self.owner.out
            if not out:
                self.wake()
            out.insert(0, message)

    def _flush_all(self) -> None:
        """Send whatever there is: pongs, messages in whichever form, the farewell."""
        if self._stage is _LINGERING or self._stage is _GONE:
            return
        out = self.owner.out
        messages = [_as_text(message) if self._text_only else message.frames for message in out]
        out.clear()
        data = b"".join([*self._reader.take_replies(), *messages, self._farewell])
        self._farewell = b""
        if self._pending:
            self._keep(data, 0)
        elif data:
            sent = self.write(data)
            self._connections.counters.bytes_out += sent
        self._settle()
        if self._stage is _FINISHING and not self._pending:
            self._shut()

    def _settle(self) -> None:
        """Note whether the next flush is a plain one."""
        unusual = self._pending or self._reader.replies or self._text_only
        self.plain = self._stage is _OPEN and not unusual

    def _keep(self, data: bytes, sent: int) -> None:
        """Keep what the kernel did not take; let go of a client for which that is too much."""
        pending = self._pending
        if not pending:
            pending = self._pending = bytearray()
            self._connections.sockets.add_writer(self._sock, self._writable)
            self.plain = False
        pending += memoryview(data)[sent:]
        if len(pending) > self._limit:
            self._connections.counters.slow += 1
            self.owner.lost(SLOW)
            self._destroy()
        else:
            self._throttle()

    def _writable(self) -> None:
        try:
            sent = self._sock.send(self._pending)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._gone(TRANSPORT_ERROR)
            return
        self._connections.counters.bytes_out += sent
        del self._pending[:sent]
        if not self._pending:
            self._pending = _NOTHING
            self._connections.sockets.remove_writer(self._sock)
            self._settle()
        last = self._reader.replies or self._farewell or self.owner.out
        if self._stage is _FINISHING and not self._pending and not last:
            self._shut()  # else the flush that is coming has the last frames
        else:
            self._throttle()

    def _throttle(self) -> None:
        """Who does not read our output is not read either, from half the limit on.

        A client that only sends what makes us answer could fill the buffer otherwise, and be called slow.
        """
        choked = len(self._pending) * 2 > self._limit
        if choked != self._choked:
            self._choked = choked
            self._set_reading()

    # Closing

    def finish(self) -> None:
        """Send what is queued and a close frame, without a code as the reference does; then close."""
        self._finish(close_frame())

    def farewell(self) -> None:
        """Close, since the client said that it does."""
        self._finish(close_frame())

    def fail(self, code: int) -> None:
        """Send what is queued and a close frame with this code; then close."""
        self._finish(close_frame(code))

    def abort(self) -> None:
        """Close at once."""
        self._destroy()

    def broken(self) -> None:
        """Close at once, for an error of ours."""
        if self._stage is not _GONE:
            self._gone(TRANSPORT_ERROR)

    def _finish(self, farewell: bytes) -> None:
        if self._stage is not _OPEN:
            return
        self._stage = _FINISHING
        self.plain = False
        self._farewell = farewell
        self._connections.arm(self, self._connections.now() + LINGER)
        self._set_reading()
        self.wake()

    def _shut(self) -> None:
        """Everything is sent: say so, and wait for the client's end.

        Closing while input is unread would be a reset, which takes away the last frames before they are read.
        """
        if self._ended_by_client:
            self._destroy()
            return
        self._stage = _LINGERING
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._destroy()

    def tick(self, now: float) -> float | None:
        """Close for good: the client had its time."""
        del now
        self._destroy()
        return None

    def _gone(self, reason: str) -> None:
        self.owner.lost(reason)
        self._destroy()

    def _destroy(self) -> None:
        if self._stage is _GONE:
            return
        self._stage = _GONE
        self.plain = False
        # Before the socket is closed: its number may be another's at once.
        sockets = self._connections.sockets
        if self._reading:
            sockets.remove_reader(self._sock)
            self._reading = False
        if self._pending:
            sockets.remove_writer(self._sock)
            self._pending = _NOTHING
        self._sock.close()
        self._connections.disarm(self)
        self.owner.out.clear()
        self.owner.released(self)
