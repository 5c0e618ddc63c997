"""An Engine.IO connection, independent of its transport: heartbeat, closing, and packets in and out.

It has no socket, loop or clock: a link (one transport) passes packets in and takes packets out, and a host tells
the time and wakes the connection when it has asked for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from math import inf
from typing import Protocol

from compartmentd.errors import WireError
from compartmentd.protocol.application import Handshake
from compartmentd.protocol.counters import WireCounters
from compartmentd.protocol.engineio import PING, Outgoing, decode_binary_packet
from compartmentd.protocol.lifecycle import PHASES, Move, Phase
from compartmentd.protocol.link import CLOSED_LINK, Link
from compartmentd.protocol.message import Batch, Message, Run
from compartmentd.protocol.options import ConnectionOptions
from compartmentd.protocol.websocket import POLICY_VIOLATION, PROTOCOL_ERROR, TEXT, Data
from compartmentd.util.flood import Flood
from compartmentd.util.ratelimit import TokenBucket

TRANSPORT_CLOSE = "transport close"
TRANSPORT_ERROR = "transport error"
PING_TIMEOUT = "ping timeout"
PARSE_ERROR = "parse error"
FORCED_CLOSE = "forced close"
SLOW = "slow"
"""The reasons for the end of a connection, as applications get them: Engine.IO's own, and `slow`."""

_INTERNAL_ERROR = 1011

_OUT_OF_PLACE = frozenset([b"0", b"5", b"6"])
"""Types of packets that only a server, or a probe, sends."""

_EXCESS_RATE, _EXCESS_AT_ONCE = 50.0, 1000.0
"""Packets without use that a connection may send a second, and at once."""

# By a name of this module: on Python 3.11 a look-up in an Enum costs more than queueing a message.
_CLOSED = Phase.CLOSED


class Host(Protocol):
    """The server of a connection: time, timers, counters, and the way to other connections."""

    counters: WireCounters

    def now(self) -> float:
        """Return the monotonic time in seconds."""

    def share(
        self, message: Message, to: Sequence[EngineConnection], besides: EngineConnection | None
    ) -> Batch:
        """Queue a message on many connections but `besides`; return the batch, to which messages may be added."""

    def arm(self, connection: EngineConnection, at: float, /) -> None:
        """Call `tick` at this time, or earlier if it was armed for an earlier time."""

    def forget(self, connection: EngineConnection) -> None:
        """Remove the connection, whose transport is gone for good."""

    def note_cut(self, connection: EngineConnection, reason: str, why: str) -> None:
        """Log that a connection is cut for what its client did, or did not do; `reason` is from a fixed list."""

    def report_error(self, what: str, error: Exception) -> None:
        """Log and count an error of ours or of the application."""


class _Excess:
    """The packets without use of one connection: what is beyond a rate, and for how long."""

    __slots__ = ("_bucket", "_flood")

    def __init__(self, now: float) -> None:
        self._bucket = TokenBucket(_EXCESS_RATE, now, _EXCESS_AT_ONCE)
        self._flood: Flood | None = None

    def note(self, now: float, packets: int) -> bool:
        """Note packets; return whether there were too many for so long that the connection should be closed."""
        if self._bucket.take(now, packets):
            return False
        if self._flood is None or self._flood.is_over(now):
            self._flood = Flood(now)
            return False
        return self._flood.note_refused(now)


class EngineConnection(ABC):
    """One Engine.IO connection; the subclass knows the meaning of its messages.

    `out` holds the packets to be sent, for either transport: a flush is scheduled for them, or they wait for the
    client's next poll.
    """

    __slots__ = (
        "_deadline",
        "_excess",
        "_host",
        "_kept",
        "_ping_at",
        "_pong_due",
        "_stopped",
        "due",
        "handshake",
        "link",
        "options",
        "out",
        "phase",
        "sid",
    )

    takes_place = True
    """Whether it takes one of the server's places: a connection does, the probe of an upgrade does not."""

    link: Link

    def __init__(self, host: Host, sid: str, handshake: Handshake, options: ConnectionOptions) -> None:
        """Begin; the caller then sets `link` and `phase`, and registers the connection with its host."""
        self.sid = sid
        self.handshake = handshake
        self.options = options
        self.phase = Phase.POLLING
        self.out: list[Outgoing] = []
        self.due = inf  # the time of the next `tick`; the timer wheel's own note
        self._host = host
        self._ping_at = inf
        self._pong_due = inf  # finite while a ping is unanswered
        self._deadline = inf  # the subclass's, see `_meet_deadline`
        self._stopped = False  # on hold or closed: one test for each packet instead of two
        self._excess: _Excess | None = None  # packets without use, once there was one
        self._kept: list[Data] | None = None  # packets that arrived on hold; a list exactly while on hold

    @property
    def has_sessions(self) -> bool:
        """Whether the connection has a session; one of Engine.IO alone is a session itself."""
        return True

    def start_heartbeat(self) -> None:
        """Begin to send pings: the client has been sent its open packet."""
        self._ping_at = self._host.now() + self.options.ping_interval
        self._host.arm(self, min(self._ping_at, self._deadline))

    # Out

    def send(self, message: Outgoing) -> None:
        """Queue a message; it leaves with everything else of this loop turn. An ended connection drops it."""
        if self.phase is _CLOSED:
            return
        out = self.out
        if not out:
            self.link.wake()
        else:
            last = out[-1]
            if last.open and isinstance(last, Batch | Run):
                last.close()  # what is added later has to come after this message
        out.append(message)

    @property
    def is_writable(self) -> bool:
        """Whether a volatile message would be sent now."""
        return self.link.is_writable

    # In

    def receive(self, packets: Iterable[Data]) -> None:
        """Take packets in order; those that arrive while the connection is on hold are kept."""
        if self._stopped:
            if self._kept is not None:
                self._kept.extend(packets)
            return
        coming = iter(packets)
        try:
            for opcode, data in coming:
                if opcode == TEXT and data.startswith(b"4"):
                    self._take_message(data)
                elif opcode == TEXT:
                    self._handle_control(data)
                else:
                    self._take_binary(data)
                if self._stopped:
                    break
        except WireError as error:
            self.fail(error)
        except Exception as error:  # noqa: BLE001 - an application's error ends this connection and no other
            self._host.report_error(
                "a connection is closed for an error while its packets were handled", error
            )
            self._end(TRANSPORT_ERROR, _INTERNAL_ERROR)
        else:
            if self._kept is not None:
                self._kept.extend(coming)

    def charge(self, packets: int = 1) -> None:
        """Take note of packets or frames that have no use: pongs without a ping, noops, empty fragments.

        Raises:
            WireError: there were too many for ten seconds. No client library sends many of them, and each costs as
                much as a message, which has a rate.
        """
        now = self._host.now()
        if self._excess is None:
            self._excess = _Excess(now)
        if self._excess.note(now, packets):
            self._host.counters.excess += 1
            raise WireError("too many packets without use", POLICY_VIOLATION, "excess")

    def charge_frames(self, frames: int) -> None:
        """Charge frames that were read beside messages, and close if there are too many."""
        if self.phase is not _CLOSED:
            try:
                self.charge(frames)
            except WireError as error:
                self.fail(error)

    def _handle_control(self, packet: bytes) -> None:
        """Take a text packet other than a message (Engine.IO v4, "Packet types")."""
        kind = packet[:1]
        if kind == b"b":
            self._take_binary(decode_binary_packet(packet)[1])
        elif kind == b"3":
            self._handle_pong()
        elif kind == b"1":
            if self._enter_closed(TRANSPORT_CLOSE):
                self.link.say_farewell()
        elif kind == b"2":
            self._host.note_cut(self, "packet", "pings are the server's")
            self._end(TRANSPORT_ERROR, PROTOCOL_ERROR, "packet: pings are the server's")
        elif kind in _OUT_OF_PLACE:
            self.charge()  # ignored otherwise, as the reference implementation does
        else:
            raise WireError("no Engine.IO packet")

    def _handle_pong(self) -> None:
        # One ping, one pong: a pong without a ping changes nothing, and never starts a timer.
        if self._pong_due != inf:
            self._pong_due = inf
            self._ping_at = self._host.now() + self.options.ping_interval
            self._host.arm(self, self._ping_at)
        else:
            self.charge()

    def hold(self) -> None:
        """Stop taking packets, since a decision is awaited; packets that arrive are kept."""
        if self.phase is not _CLOSED and self._kept is None:
            self._stopped = True
            self._kept = []
            self.link.pause()

    def resume(self) -> None:
        """Take packets again, first those that were kept."""
        kept = self._kept
        if kept is None:
            return
        self._stopped, self._kept = False, None
        self.receive(kept)
        if not self.is_on_hold:
            self.link.resume()

    @property
    def is_on_hold(self) -> bool:
        """Whether packets that arrive are kept for later."""
        return self._kept is not None

    # Time

    def tick(self, now: float) -> float | None:
        """Do what is due; return the time of the next call, `None` for never."""
        if self.phase is _CLOSED:
            return None
        if now >= self._pong_due and self.is_on_hold:
            self._pong_due = now + self.options.ping_timeout  # the pong may have come: we are not reading
        if now >= self._pong_due:
            self._host.counters.ping_timeouts += 1
            self._host.note_cut(self, "ping_timeout", "no pong came in time")
            if self._enter_closed(PING_TIMEOUT):
                self.link.abort()
            return None
        if now >= self._ping_at:
            # Counted from the time when the ping was due, where the client's own clock starts: timers that are a
            # little late must not add up. A loop that stood still for long is no fault of the client.
            late = min(now - self._ping_at, _TIMER_SLACK)
            self._ping_at, self._pong_due = inf, now - late + self.options.ping_timeout
            self.send(PING)
        if now >= self._deadline:
            self._meet_deadline(now)
        return self._compute_next_deadline()

    def _compute_next_deadline(self) -> float | None:
        if self.phase is _CLOSED:
            return None
        return min(self._ping_at, self._pong_due, self._deadline)

    # The end

    def close(self, reason: str) -> None:
        """Send what is queued, then close the transport; stock clients come back by themselves."""
        if self._enter_closed(reason):
            self.link.finish()

    def fail(self, error: WireError) -> None:
        """Close, since the client broke the protocol."""
        if self.phase is not _CLOSED:
            self._host.counters.parse_errors += 1
            self._host.note_cut(self, error.reason, str(error))
            self._end(PARSE_ERROR, error.code, f"{error.reason}: {error}")

    def note_lost(self, reason: str) -> None:
        """Take note that the transport is gone, or was given up by its link (`slow`)."""
        self._enter_closed(reason)

    def note_released(self, link: Link) -> None:
        """Take note that a link has closed for good."""
        if link is self.link:
            self._host.forget(self)
            self.link = CLOSED_LINK

    def move(self, move: Move) -> bool:
        """Take a step of `PHASES`; return whether it was possible."""
        phase = PHASES.get((self.phase, move))
        if phase is None:
            return False
        self.phase = phase
        return True

    def _end(self, reason: str, code: int, told: str = "") -> None:
        if self._enter_closed(reason):
            self.link.fail(code, told)

    def _enter_closed(self, reason: str) -> bool:
        """Enter the last phase; return whether this call did, and no earlier one."""
        if not self.move(Move.END):
            return False
        self._stopped, self._kept = True, None
        try:
            self._take_end(reason)
        except Exception as error:  # noqa: BLE001 - the connection has ended in any case
            self._host.report_error("an application failed to take note of a connection's end", error)
        return True

    # For the subclass

    @abstractmethod
    def _take_message(self, packet: bytes) -> None:
        """Take a text message, the leading `4` included; may raise WireError."""

    @abstractmethod
    def _take_binary(self, data: bytes) -> None:
        """Take a binary message; may raise WireError."""

    @abstractmethod
    def _take_end(self, reason: str) -> None:
        """Tell the application that the connection has ended; called once."""

    @abstractmethod
    def _meet_deadline(self, now: float) -> None:
        """`_deadline` has passed: close, or set a later one."""


_TIMER_SLACK = 0.1
"""Seconds that a timer may be late before the loop is taken to have stood still; several times the resolution of
the timer wheel."""
