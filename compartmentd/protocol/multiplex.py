"""Socket.IO on an Engine.IO connection: namespaces multiplexed over it, each with a session of its own."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from compartmentd.errors import WireError
from compartmentd.protocol import socketio
from compartmentd.protocol.application import Application, Handshake, Peer
from compartmentd.protocol.connection import FORCED_CLOSE, EngineConnection, Host
from compartmentd.protocol.lifecycle import STATES, Phase, State, Step
from compartmentd.protocol.message import Batch, Message
from compartmentd.protocol.options import ConnectionOptions
from compartmentd.protocol.payload_json import decode
from compartmentd.protocol.socketio import EVENT, parse

_NOTHING: tuple[bytes, ...] = ()

_ASSEMBLY_TIMEOUT = 10.0
"""Seconds within which the attachments of a packet must follow it; clients send them in one go."""


class _Assembly:
    """A binary packet whose attachments are still coming."""

    __slots__ = ("attachments", "deadline", "packet", "size")

    def __init__(self, packet: socketio.Packet, deadline: float) -> None:
        self.packet = packet
        self.deadline = deadline
        self.attachments: list[bytes] = []
        self.size = 0


_NO_OTHERS: dict[bytes, State] = {}
"""What every connection has whose namespaces are all CONNECTED. Never written to."""


class SocketConnection(EngineConnection):
    """A client's connection as `application.Peer`: sessions by namespace, and packets to the application.

    INVARIANT: `_sessions` holds exactly the namespaces that are CONNECTED, so that an event finds its session in
    one look-up; `_others` has the state of those that are neither that nor ABSENT. Both are keyed by the bytes on
    the wire.
    """

    __slots__ = ("_application", "_assembly", "_lonely_until", "_others", "_sessions", "memo")

    def __init__(
        self,
        host: Host,
        sid: str,
        handshake: Handshake,
        options: ConnectionOptions,
        application: Application,
    ) -> None:
        super().__init__(host, sid, handshake, options)
        self._application = application
        self._sessions: dict[bytes, Any] = {}
        self._others = _NO_OTHERS
        self.memo: Any = None
        self._assembly: _Assembly | None = None
        self._lonely_until = self._deadline = host.now() + options.connect_timeout

    @property
    def sessions(self) -> tuple[Any, ...]:
        """What the application gave for each namespace that is connected."""
        return tuple(self._sessions.values())

    # In

    def _message(self, packet: bytes) -> None:
        if self._assembly is not None:
            raise WireError("a text packet while attachments are awaited")
        parsed = parse(packet)
        kind, namespace, ack, payload, attachments = parsed
        if kind == EVENT:
            # Only this way is hot. It is the entry (CONNECTED, EVENT) of the table; all others go through it.
            session = self._sessions.get(namespace)
            if session is None:
                self._step(namespace, Step.EVENT)
                self._host.counters.dropped += 1
            else:
                self._application.event(session, ack, payload, _NOTHING)
        elif attachments:
            self._begin(parsed)
        else:
            self._complete(parsed, _NOTHING)

    def _begin(self, packet: socketio.Packet) -> None:
        """Await a packet's attachments, if its namespace may send it at all."""
        self._step(packet[1], Step.EVENT if packet[0] == socketio.BINARY_EVENT else Step.ACK)
        self._assembly = _Assembly(packet, self._host.now() + _ASSEMBLY_TIMEOUT)
        self._rearm()

    def _binary(self, data: bytes) -> None:
        assembly = self._assembly
        if assembly is None:
            raise WireError("a binary packet that no packet announced")
        assembly.size += len(data)
        if assembly.size > self.options.max_payload:
            raise WireError("the attachments of a packet are longer than the limit", 1009)
        assembly.attachments.append(data)
        if len(assembly.attachments) == assembly.packet[4]:
            self._assembly = None
            self._complete(assembly.packet, assembly.attachments)

    def _complete(self, packet: socketio.Packet, attachments: Sequence[bytes]) -> None:
        kind, namespace, ack, payload, _ = packet
        if kind == socketio.CONNECT:
            self._connect(namespace, payload)
        elif kind == socketio.DISCONNECT:
            self._disconnect(namespace)
        elif kind == socketio.BINARY_EVENT:
            if self._reaches(namespace, Step.EVENT):
                self._application.event(self._sessions[namespace], ack, payload, attachments)
        elif self._reaches(namespace, Step.ACK):
            # We ask for no acks, so this one is late or unknown, which is no error; nonsense still is.
            socketio.decode_ack(payload, attachments)

    def _connect(self, namespace: bytes, payload: bytes) -> None:
        self._step(namespace, Step.CONNECT)
        if len(self._sessions) + len(self._others) > self.options.namespaces:
            raise WireError("too many namespaces on one connection")
        if payload:
            decode(payload)
        self._application.connect(self, namespace.decode(), payload or None)

    def _disconnect(self, namespace: bytes) -> None:
        if not self._reaches(namespace, Step.DISCONNECT):
            return
        session = self._sessions.pop(namespace)
        self._settle()
        self._application.left(session)

    def _reaches(self, namespace: bytes, step: Step) -> bool:
        """Take a packet's step; return whether it is for a session, and not for one that the server ended."""
        before = self._step(namespace, step)
        if before is State.CONNECTED:
            return True
        self._host.counters.dropped += 1
        return False

    def _step(self, namespace: bytes, step: Step) -> State:
        """Take a step of the table; return the state before it."""
        before = self._state(namespace)
        after = STATES.get((before, step))
        if after is None:
            raise WireError(f"{step.name} for a namespace that is {before.name}")
        self._enter(namespace, after)
        return before

    def _state(self, namespace: bytes) -> State:
        if namespace in self._sessions:
            return State.CONNECTED
        return self._others.get(namespace, State.ABSENT)

    def _enter(self, namespace: bytes, state: State) -> None:
        """Note a namespace's new state; whoever makes it CONNECTED, or ends that, changes `_sessions`."""
        others = self._others
        if state is State.ABSENT or state is State.CONNECTED:
            others.pop(namespace, None)
            if not others:
                self._others = _NO_OTHERS
        elif others is _NO_OTHERS:
            self._others = {namespace: state}
        else:
            others[namespace] = state

    # The application's answers

    def share(self, message: Message, to: Sequence[Peer], *, echo: bool) -> Batch:
        """Queue a message on many connections; see `application.Peer`."""
        return self._host.share(message, to, None if echo else self)  # type: ignore[arg-type]  # all are of one server

    def accept(self, namespace: str, sid: str, session: Any) -> None:
        """Answer a CONNECT with success; `session` comes back with every later packet of the namespace."""
        if self._answer(namespace, Step.ACCEPT):
            self._sessions[namespace.encode()] = session
            self._settle()
            self.send(socketio.connect_message(namespace, sid))

    def refuse(self, namespace: str, message: str, data: Any = None) -> None:
        """Answer a CONNECT with CONNECT_ERROR; `data` is left out where it is `None`."""
        if self._answer(namespace, Step.REFUSE):
            self.send(socketio.connect_error_message(namespace, message, data))

    def end(self, namespace: str) -> None:
        """Send DISCONNECT for the namespace; what the client still sends for it is dropped and counted."""
        if self._answer(namespace, Step.END):
            del self._sessions[namespace.encode()]
            self._settle()
            self.send(socketio.disconnect_message(namespace))

    def _answer(self, namespace: str, step: Step) -> bool:
        """Take a step of the application; return whether there is still a client to tell.

        Answers may come late, after the client left the namespace or the connection ended; they are nobody's
        fault and have no effect.
        """
        key = namespace.encode()
        after = STATES.get((self._state(key), step))
        if self.phase is Phase.CLOSED or after is None:
            return False
        self._enter(key, after)
        return True

    # Time and the end

    def _settle(self) -> None:
        """Note whether the connection has a session; without one it may live for `connect_timeout`."""
        if self._sessions:
            self._lonely_until = inf
        else:
            self._lonely_until = self._host.now() + self.options.connect_timeout
        self._rearm()

    def _rearm(self) -> None:
        awaited = inf if self._assembly is None else self._assembly.deadline
        self._deadline = min(self._lonely_until, awaited)
        if self._deadline != inf:
            self._host.arm(self, self._deadline)

    def _overdue(self, now: float) -> None:
        if self._assembly is not None and now >= self._assembly.deadline:
            self.fail(WireError("attachments did not come"))
        elif now >= self._lonely_until:
            self._host.counters.connect_timeouts += 1
            self.close(FORCED_CLOSE)
        else:
            self._rearm()

    def _left(self, reason: str) -> None:
        sessions = tuple(self._sessions.values())
        self._sessions.clear()
        self._others = _NO_OTHERS
        self._assembly = None
        self._application.closed(self, sessions, reason)
