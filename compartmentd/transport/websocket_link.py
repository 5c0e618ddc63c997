"""The link of a connection on a WebSocket: a raw socket, plain or under TLS, after the answer 101.

Reading goes through one buffer for all sockets, takes every whole frame of a read, and stops while the client does
not take our output. Writing is one `send` for each loop turn; bytes that the kernel does not take are kept, and a
client that lets them grow beyond `send_buffer` is disconnected.
"""

from __future__ import annotations

import socket
from enum import Enum, auto
from math import inf

from compartmentd.net.poller import LONG_READ
from compartmentd.net.sock import Sock
from compartmentd.net.websocket_mask import unmask
from compartmentd.protocol.connection import (
    FORCED_CLOSE,
    SLOW,
    TRANSPORT_CLOSE,
    TRANSPORT_ERROR,
    EngineConnection,
)
from compartmentd.protocol.discard import discard_frames
from compartmentd.protocol.engineio import Outgoing
from compartmentd.protocol.message import SEPARATOR
from compartmentd.protocol.options import ConnectionOptions
from compartmentd.protocol.websocket import (
    MessageReader,
    encode_close_frame,
    encode_text_frame,
    find_frame_end,
)
from compartmentd.transport.connections import Connections
from compartmentd.transport.link_endpoint import LinkEndpoint

_BUFFER = bytearray(LONG_READ)
"""The buffer that every socket is read into, and so the most that one socket gives before the others have their
turn. Beside a client that floods, the others' p99 was 4 to 6 ms with 64 KiB and is 1.7 ms with 16, at the same
throughput."""
_VIEW = memoryview(_BUFFER)

LINGER = 5.0
"""Seconds that a closing client has to take what is queued, and to close its side."""


def _encode_as_text(message: Outgoing) -> bytes:
    """Return a message in text frames alone, with binary packets in base64 as on polling."""
    return b"".join([encode_text_frame(packet) for packet in message.payload.split(SEPARATOR)])


class Stage(Enum):
    """The stage of a WebSocket: open; flushing its last frames; waiting for the client to close; gone."""

    OPEN = auto()
    FINISHING = auto()
    LINGERING = auto()
    GONE = auto()


# Module-level names: on Python 3.11 a look-up in an Enum costs more than framing a message.
_OPEN, _FINISHING, _LINGERING, _GONE = Stage


_NOTHING = bytearray()
"""The pending bytes of every link that has none, so that an idle link holds no buffer. Never written to."""


class WebSocketLink:
    """One WebSocket, as `protocol.link.Link`."""

    __slots__ = (
        "_choked",
        "_connections",
        "_ended_by_client",
        "_farewell",
        "_limit",
        "_max_payload",
        "_pending",
        "_reader",
        "_reading",
        "_sock",
        "_stage",
        "_text_only",
        "_whole",
        "due",
        "is_direct",
        "owner",
    )

    def __init__(
        self,
        connections: Connections,
        sock: Sock,
        owner: LinkEndpoint,
        *,
        options: ConnectionOptions,
        send_buffer: int,
        text_only: bool,
    ) -> None:
        """Take a socket; `options` are those of its connection, `send_buffer` the most unsent bytes.

        `text_only` is for clients that cannot take binary frames (`b64=1`).
        """
        self.owner = owner
        self.due = inf
        self._connections = connections
        self._sock = sock
        self._max_payload = options.max_payload
        self._reader = MessageReader(min(options.max_payload, options.first_payload), unmask)
        self._limit = send_buffer
        self._text_only = text_only
        # Bytes that the kernel did not take; a writer is registered while there are any.
        self._pending = _NOTHING
        self._whole = 0  # where the first frame begins in them of which nothing was sent
        sock.entry.owner = self
        self._farewell = b""  # the close frame, after everything else
        self._stage = _OPEN
        # Whether the link is open, with nothing but messages to send and nothing pending: see `write`.
        self.is_direct = not text_only
        self._reading = False
        self._choked = False
        self._ended_by_client = False

    def start(self, data: bytes) -> None:
        """Begin to read; `data` came right behind the request."""
        if data:
            self._take(data)
        self._set_reading()

    # Reading

    def _on_readable(self) -> None:
        try:
            count = self._sock.recv_into(_BUFFER, self._connections.poller.most)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._lose(TRANSPORT_ERROR)
            return
        if not count:
            self._on_eof()
        elif self._stage is _OPEN:
            self._take(bytes(_VIEW[:count]))
        # Bytes behind our close frame are read, so that closing is no reset, and dropped.

    def _take(self, data: bytes) -> None:
        self._connections.counters.bytes_in += len(data)
        reader = self._reader
        try:
            packets = reader.receive(data)
            if packets:
                self.owner.receive(packets)
            if reader.notable:
                self._handle_control(reader)
        except Exception as error:  # noqa: BLE001 - the loop would go on with a connection that is half read
            self._connections.report_error("a connection is closed for an error while it was read", error)
            self.abandon()

    def _handle_control(self, reader: MessageReader) -> None:
        """Handle what has come beside messages: pings, a close frame, a violation."""
        if reader.replies is not None:
            self.is_direct = False
            self.wake()
        if reader.extra_frames:
            self.owner.charge_frames(reader.take_extra_frames())
        if reader.failure is not None:
            self.owner.fail(reader.failure)
        elif reader.closed is not None:
            self.owner.note_lost(TRANSPORT_CLOSE)
            self.say_farewell()

    def _on_eof(self) -> None:
        """Close, since the client has closed its side; it may still read, so what is queued is sent first."""
        self._ended_by_client = True
        self._set_reading()  # the end of a socket stays readable for ever
        if self._stage is _LINGERING:
            self._destroy()
            return
        self.owner.note_lost(TRANSPORT_CLOSE)
        if self._stage is _OPEN and not self._pending and not self._connections.dirty:
            self._destroy()  # nothing is queued for any connection: saves a third when a crowd leaves
        else:
            self._finish(b"")

    def note_sessions(self, *, has: bool) -> None:
        """Take note whether the connection that it carries has a session; without one its socket is pending."""
        self._sock.entry.set_pending(not has)
        if has:
            # And so it stays: more may be on its way when a session ends.
            self._reader.set_limit(self._max_payload)

    @property
    def takes_place(self) -> bool:
        """Whether it carries a connection, and not the probe of one."""
        return self.owner.takes_place

    def shed(self) -> None:
        """Close at once: others need the place."""
        if self._stage is not _GONE:
            self._lose(FORCED_CLOSE)

    def pause(self) -> None:
        """Read nothing while the owner is on hold."""
        self._set_reading()

    def resume(self) -> None:
        """Read again."""
        self._set_reading()

    def _set_reading(self) -> None:
        """Watch the socket if there is a reason to: input is wanted, or its end while closing."""
        wanted = (
            not self._ended_by_client
            and self._stage is not _GONE
            and (self._stage is not _OPEN or (not self._choked and not self.owner.is_on_hold))
        )
        if wanted == self._reading:
            return
        self._reading = wanted
        if wanted:
            self._connections.poller.add_reader(self._sock, self._on_readable)
        else:
            self._connections.poller.remove_reader(self._sock)

    # Writing

    @property
    def is_writable(self) -> bool:
        """Whether nothing of an earlier turn is unsent."""
        return not self._pending

    @property
    def unsent(self) -> int:
        """The number of bytes that the kernel did not take."""
        return len(self._pending)

    def wake(self) -> None:
        """Flush at the end of this turn; flushing more than once does no harm."""
        dirty = self._connections.dirty
        if dirty:
            dirty.append(self)  # saves a call for all but the first of a turn
        else:
            self._connections.schedule(self)

    def flush(self) -> None:
        """Send everything that was queued in this turn, by one call."""
        if not self.is_direct:
            self._flush_all()
            return
        # Messages to a client that has taken everything so far, by far the most frequent case: one test instead of
        # six.
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

    def discard(self, namespace: bytes) -> None:
        """Drop the events and acks of a namespace of which the kernel has taken nothing."""
        pending, start = self._pending, self._whole
        if start < self._sock.begun and start < len(pending):
            start = find_frame_end(pending, start, min(self._sock.begun, len(pending)))
        kept = discard_frames(bytes(pending[start:]), namespace)
        if len(kept) == len(pending) - start:
            return
        pending[start:] = kept
        if not pending:
            self._note_all_sent()

    def write(self, data: bytes) -> int:
        """Pass bytes to the kernel by one call, and keep what it does not take; only while nothing is pending.

        Return how many it took, for the caller to count: a broadcast counts once for all recipients.
        """
        try:
            sent = self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._lose(TRANSPORT_ERROR)
            return 0
        if sent != len(data):
            self._keep_unsent(data, sent)
        return sent

    def precede(self, message: Outgoing) -> None:
        """Queue a message before everything that was queued in this turn."""
        if self._stage is not _GONE:
            out = self.owner.out
            if not out:
                self.wake()
            out.insert(0, message)

    def _flush_all(self) -> None:
        """Send pongs, messages in either form, and the close frame."""
        if self._stage is _LINGERING or self._stage is _GONE:
            return
        out = self.owner.out
        messages = [_encode_as_text(message) if self._text_only else message.frames for message in out]
        out.clear()
        data = b"".join([*self._reader.take_replies(), *messages, self._farewell])
        self._farewell = b""
        if self._pending:
            self._keep_unsent(data, 0)
        elif data:
            sent = self.write(data)
            self._connections.counters.bytes_out += sent
        self._update_direct()
        if self._stage is _FINISHING and not self._pending:
            self._shut()

    def _update_direct(self) -> None:
        """Note whether the next flush has nothing but messages, see `flush`."""
        unusual = self._pending or self._reader.replies or self._text_only
        self.is_direct = self._stage is _OPEN and not unusual

    def _keep_unsent(self, data: bytes, sent: int) -> None:
        """Keep what the kernel did not take; disconnect a client for which that is too much."""
        pending = self._pending
        if not pending:
            pending = self._pending = bytearray()
            self._connections.poller.add_writer(self._sock, self._on_writable)
            self.is_direct = False
            self._whole = find_frame_end(data, 0, sent) - sent if sent else 0
        pending += memoryview(data)[sent:]
        if len(pending) > self._limit:
            self._connections.counters.slow += 1
            if isinstance(self.owner, EngineConnection):
                self._connections.note_cut(self.owner, "slow", "it was more than `send_buffer` behind")
            self.owner.note_lost(SLOW)
            self._destroy()
        else:
            self._throttle()

    def _on_writable(self) -> None:
        try:
            sent = self._sock.send(self._pending)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._lose(TRANSPORT_ERROR)
            return
        self._connections.counters.bytes_out += sent
        if sent > self._whole:
            self._whole = find_frame_end(self._pending, self._whole, sent)
        self._whole -= sent
        del self._pending[:sent]
        if not self._pending:
            self._note_all_sent()
        last = self._reader.replies or self._farewell or self.owner.out
        if self._stage is _FINISHING and not self._pending and not last:
            self._shut()  # else the flush that is coming has the last frames
        else:
            self._throttle()

    def _note_all_sent(self) -> None:
        self._pending = _NOTHING
        self._connections.poller.remove_writer(self._sock)
        self._update_direct()

    def _throttle(self) -> None:
        """Read no more from a client that does not take our output, from half of the limit on.

        Otherwise a client could fill its own buffer with answers to what it sends, and be disconnected as slow.
        """
        choked = len(self._pending) * 2 > self._limit
        if choked != self._choked:
            self._choked = choked
            self._set_reading()

    # Closing

    def finish(self) -> None:
        """Send what is queued and a close frame, without a code like the reference implementation; then close."""
        self._finish(encode_close_frame())

    def say_farewell(self) -> None:
        """Close, since the client has announced its end."""
        self._finish(encode_close_frame())

    def fail(self, code: int, reason: str = "") -> None:
        """Send what is queued and a close frame with this code and reason; then close."""
        self._finish(encode_close_frame(code, reason))

    def abort(self) -> None:
        """Close at once."""
        self._destroy()

    def abandon(self) -> None:
        """Close at once, since an error of ours left the link in an unknown state."""
        if self._stage is not _GONE:
            self._lose(TRANSPORT_ERROR)

    def _finish(self, farewell: bytes) -> None:
        if self._stage is not _OPEN:
            return
        self._stage = _FINISHING
        self._sock.entry.set_pending(True)
        self.is_direct = False
        self._farewell = farewell
        self._connections.arm(self, self._connections.now() + LINGER)
        self._set_reading()
        self.wake()

    def _shut(self) -> None:
        """Announce that everything is sent, and wait for the client to close.

        Closing while input is unread would be a reset, which discards the last frames before the client reads them.
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
        """Close for good: the client did not close in time."""
        del now
        self._destroy()
        return None

    def _lose(self, reason: str) -> None:
        self.owner.note_lost(reason)
        self._destroy()

    def _destroy(self) -> None:
        if self._stage is _GONE:
            return
        self._stage = _GONE
        self.is_direct = False
        # Before the socket is closed: its number may be another's at once.
        poller = self._connections.poller
        if self._reading:
            poller.remove_reader(self._sock)
            self._reading = False
        if self._pending:
            poller.remove_writer(self._sock)
            self._pending = _NOTHING
        self._sock.close()
        self._connections.disarm(self)
        self.owner.out.clear()
        self.owner.note_released(self)
