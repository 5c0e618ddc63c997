"""An Engine.IO connection, whatever carries it: heartbeat, closing, and the way of packets in and out.

No socket, loop or clock: a link (one transport) hands packets in and takes packets out, a host tells the time
and wakes the connection when it asked to be woken.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from math import inf
from typing import Protocol

from compartmentd.errors import WireError
from compartmentd.protocol.application import Handshake
from compartmentd.protocol.counters import Counters
from compartmentd.protocol.engineio import PING, Outgoing, binary_packet
from compartmentd.protocol.lifecycle import PHASES, Move, Phase
from compartmentd.protocol.message import Batch, Message, Run
from compartmentd.protocol.options import ConnectionOptions
from compartmentd.protocol.websocket import PROTOCOL_ERROR, TEXT, Data

TRANSPORT_CLOSE = "transport close"
TRANSPORT_ERROR = "transport error"
PING_TIMEOUT = "ping timeout"
PARSE_ERROR = "parse error"
FORCED_CLOSE = "forced close"
SLOW = "slow"
"""Why connections end, as applications are told; Engine.IO's own words, and `slow`."""

_INTERNAL_ERROR = 1011

# By a name of this module: on Python 3.11 a look-up in an Enum costs more than queueing a message.
_CLOSED = Phase.CLOSED


class Link(Protocol):
    """The transport that carries a connection now."""

    @property
    def clear(self) -> bool:
        """Whether a volatile message would leave now."""

    @property
    def unsent(self) -> int:
        """How many bytes wait for the client to take them."""

    @property
    def plain(self) -> bool:
        """Whether a message could be written to the client now, past the queue (`server.broadcast`)."""

    def wake(self) -> None:
        """Send what the connection has queued, at the end of this loop turn."""

    def finish(self) -> None:
        """Send what is queued, then close as a server does."""

    def farewell(self) -> None:
        """Close, since the client said that it does."""

    def fail(self, code: int) -> None:
        """Send what is queued, then close for this reason (a WebSocket close code)."""

    def abort(self) -> None:
        """Close at once, whatever is queued."""

    def pause(self) -> None:
        """Take no more packets from the client."""

    def resume(self) -> None:
        """Take packets again."""


class _NoLink:
    """What carries a connection that is gone: nothing, so that the last link can be freed."""

    clear = False
    unsent = 0
    plain = False

    def wake(self) -> None: ...
    def finish(self) -> None: ...
    def farewell(self) -> None: ...
    def fail(self, code: int) -> None: ...
    def abort(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


_GONE = _NoLink()


class Host(Protocol):
    """What a connection needs from whoever runs it."""

    counters: Counters

    def now(self) -> float:
        """Return the monotonic time in seconds."""

    def share(
        self, message: Message, to: Sequence[EngineConnection], besides: EngineConnection | None
    ) -> Batch:
        """Send a message to many, as one thing to which others may be added."""

    def arm(self, connection: EngineConnection, at: float) -> None:
        """Call `tick` at this time, or earlier if that was asked for before."""

    def forget(self, connection: EngineConnection) -> None:
        """The connection's transport is gone for good."""

    def failed(self, what: str, error: Exception) -> None:
        """Report and count an error that is ours, or the application's."""


class EngineConnection(ABC):
    """One Engine.IO connection; what its messages mean is for the subclass.

    `out` holds what is to be sent, in either transport's form; whatever is in it has a flush coming, or waits
    for the client's next poll.
    """

    __slots__ = (
        "_deadline",
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

    link: Link

    def __init__(self, host: Host, sid: str, handshake: Handshake, options: ConnectionOptions) -> None:
        """Begin; whoever made the connection gives it a `link` and a `phase`, then calls `opened`."""
        self.sid = sid
        self.handshake = handshake
        self.options = options
        self.phase = Phase.POLLING
        self.out: list[Outgoing] = []
        self.due = inf  # when the host will call `tick`; the host's own note
        self._host = host
        self._ping_at = inf
        self._pong_due = inf  # finite while a ping is unanswered
        self._deadline = inf  # the subclass's, see `_overdue`
        self._stopped = False  # held or closed: one test for each packet instead of two
        self._kept: list[Data] | None = None  # packets that arrived while held; a list exactly while it is

    def opened(self) -> None:
        """Start the clock: the client has been sent its open packet."""
        self._ping_at = self._host.now() + self.options.ping_interval
        self._host.arm(self, min(self._ping_at, self._deadline))

    # Out

    def send(self, message: Outgoing) -> None:
        """Queue a message; it leaves with everything else of this loop turn. Ended connections drop it."""
        if self.phase is _CLOSED:
            return
        out = self.out
        if not out:
            self.link.wake()
        else:
            last = out[-1]
            if last.open and isinstance(last, Batch | Run):
                last.close()  # what would still be added to it comes after this message
        out.append(message)

    @property
    def clear(self) -> bool:
        """Whether a volatile message would be sent now."""
        return self.link.clear

    # In

    def receive(self, packets: Iterable[Data]) -> None:
        """Take packets in order; what arrives while the connection is held is kept."""
        if self._stopped:
            if self._kept is not None:
                self._kept.extend(packets)
            return
        coming = iter(packets)
        try:
            for opcode, data in coming:
                if opcode == TEXT and data.startswith(b"4"):
                    self._message(data)
                elif opcode == TEXT:
                    self._control(data)
                else:
                    self._binary(data)
                if self._stopped:
                    break
        except WireError as error:
            self.fail(error)
        except Exception as error:  # noqa: BLE001 - an application's error ends this connection and no other
            self._host.failed("a connection is closed for an error while its packets were handled", error)
            self._end(TRANSPORT_ERROR, _INTERNAL_ERROR)
        else:
            if self._kept is not None:
                self._kept.extend(coming)

    def _control(self, packet: bytes) -> None:
        """Take any text packet but a message (Engine.IO v4, "Packet types")."""
        kind = packet[:1]
        if kind == b"b":
            self._binary(binary_packet(packet)[1])
        elif kind == b"3":
            self._pong()
        elif kind == b"1":
            if self._closed(TRANSPORT_CLOSE):
                self.link.farewell()
        elif kind == b"2":
            self._end(TRANSPORT_ERROR, PROTOCOL_ERROR)  # pings are the server's
        elif kind not in {b"0", b"5", b"6"}:  # those are out of place, and ignored, as the reference does
            raise WireError("no Engine.IO packet")

    def _pong(self) -> None:
        # One ping, one pong: what comes without a ping changes nothing, and never starts a timer.
        if self._pong_due != inf:
            self._pong_due = inf
            self._ping_at = self._host.now() + self.options.ping_interval
            self._host.arm(self, self._ping_at)

    def hold(self) -> None:
        """Stop taking packets (a decision is awaited); what has arrived is kept."""
        if self.phase is not _CLOSED and self._kept is None:
            self._stopped = True
            self._kept = []
            self.link.pause()

    def resume(self) -> None:
        """Take packets again, those that were kept first."""
        kept = self._kept
        if kept is None:
            return
        self._stopped, self._kept = False, None
        self.receive(kept)
        if not self.held:
            self.link.resume()

    @property
    def held(self) -> bool:
        """Whether packets that arrive are kept for later."""
        return self._kept is not None

    # Time

    def tick(self, now: float) -> float | None:
        """Do what is due; return when to be called again, `None` for never."""
        if self.phase is _CLOSED:
            return None
        if now >= self._pong_due and self.held:
            self._pong_due = now + self.options.ping_timeout  # the pong may have come: we are not reading
        if now >= self._pong_due:
            self._host.counters.ping_timeouts += 1
            if self._closed(PING_TIMEOUT):
                self.link.abort()
            return None
        if now >= self._ping_at:
            # Counted from when the ping was due: the client's own clock runs from there, and a timer that is
            # a little late must not add up. A loop that stood still for long is no fault of the client's.
            late = min(now - self._ping_at, _TIMER_SLACK)
            self._ping_at, self._pong_due = inf, now - late + self.options.ping_timeout
            self.send(PING)
        if now >= self._deadline:
            self._overdue(now)
        return self._next_deadline()

    def _next_deadline(self) -> float | None:
        if self.phase is _CLOSED:
            return None
        return min(self._ping_at, self._pong_due, self._deadline)

    # The end

    def close(self, reason: str) -> None:
        """Send what is queued, then close the transport; stock clients come back by themselves."""
        if self._closed(reason):
            self.link.finish()

    def fail(self, error: WireError) -> None:
        """Close, since the client broke the protocol."""
        self._host.counters.parse_errors += 1
        self._end(PARSE_ERROR, error.code)

    def lost(self, reason: str) -> None:
        """Take note that the transport is gone, or was given up by its link (`slow`)."""
        self._closed(reason)

    def released(self, link: Link) -> None:
        """Take note that the link has let go of its client for good."""
        if link is self.link:
            self._host.forget(self)
            self.link = _GONE

    def move(self, move: Move) -> bool:
        """Take a step of `PHASES`; return whether it was possible."""
        phase = PHASES.get((self.phase, move))
        if phase is None:
            return False
        self.phase = phase
        return True

    def _end(self, reason: str, code: int) -> None:
        if self._closed(reason):
            self.link.fail(code)

    def _closed(self, reason: str) -> bool:
        """Enter the last state, once; return whether this call did."""
        if not self.move(Move.END):
            return False
        self._stopped, self._kept = True, None
        try:
            self._left(reason)
        except Exception as error:  # noqa: BLE001 - the connection has ended all the same
            self._host.failed("an application failed to take note of a connection's end", error)
        return True

    # For the subclass

    @abstractmethod
    def _message(self, packet: bytes) -> None:
        """Take a text message, the leading `4` included; may raise WireError."""

    @abstractmethod
    def _binary(self, data: bytes) -> None:
        """Take a binary message; may raise WireError."""

    @abstractmethod
    def _left(self, reason: str) -> None:
        """The connection has ended; called once."""

    @abstractmethod
    def _overdue(self, now: float) -> None:
        """`_deadline` has passed: close, or set a later one."""


_TIMER_SLACK = 0.1
"""How late a timer may be before it is the loop that stood still; several times the wheel's resolution."""
