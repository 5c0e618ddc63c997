"""Socket.IO on an Engine.IO connection: several namespaces, each with a session of its own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from math import inf
from typing import Any

from compartmentd.errors import PayloadRefused, WireError
from compartmentd.protocol import socketio
from compartmentd.protocol.application import Application, Handshake, Peer
from compartmentd.protocol.connection import FORCED_CLOSE, EngineConnection, Host
from compartmentd.protocol.discard import discard_queued
from compartmentd.protocol.lifecycle import STATES, Phase, State, Step
from compartmentd.protocol.message import Batch, Message
from compartmentd.protocol.options import ConnectionOptions
from compartmentd.protocol.payload_json import decode
from compartmentd.protocol.socketio import EVENT, parse

_NOTHING: tuple[bytes, ...] = ()

_ASSEMBLY_TIMEOUT = 10.0
"""Seconds within which the attachments of a packet must follow it; clients send them at once."""


class _IncompletePacket:
    """A binary packet of which attachments are still to come."""

    __slots__ = ("attachments", "deadline", "packet", "size")

    def __init__(self, packet: socketio.Packet, deadline: float) -> None:
        self.packet = packet
        self.deadline = deadline
        self.attachments: list[bytes] = []
        self.size = 0


_NO_OTHERS: dict[bytes, State] = {}
"""The `_others` of every connection whose namespaces are all CONNECTED. Never written to."""


class SocketConnection(EngineConnection):
    """A client's connection as `application.Peer`: sessions by namespace, and packets for the application.

    INVARIANT: `_sessions` holds exactly the namespaces that are CONNECTED, so that an event finds its session in
    one look-up; `_others` holds the state of those that are neither CONNECTED nor ABSENT. Both are keyed by the
    bytes on the wire.
    """

    __slots__ = ("_application", "_idle_until", "_incomplete", "_others", "_sessions", "memo")

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
        self._incomplete: _IncompletePacket | None = None
        self._idle_until = self._deadline = host.now() + options.connect_timeout

    @property
    def has_sessions(self) -> bool:
        """Whether a namespace is connected."""
        return bool(self._sessions)

    @property
    def sessions(self) -> tuple[Any, ...]:
        """The application's session of each connected namespace."""
        return tuple(self._sessions.values())

    def count_namespaces(self, besides: str) -> int:
        """Return how many namespaces the connection has; see `application.Peer`."""
        known = self._get_state(besides.encode()) is not State.ABSENT
        return len(self._sessions) + len(self._others) - known

    # In

    def _take_message(self, packet: bytes) -> None:
        if self._incomplete is not None:
            raise WireError("a text packet while attachments are awaited", reason="attachments")
        parsed = parse(packet)
        kind, namespace, ack, payload, attachments = parsed
        if kind == EVENT:
            # The hot path: the entry (CONNECTED, EVENT) of the table. All other steps go through the table.
            session = self._sessions.get(namespace)
            if session is None:
                self._take_step(namespace, Step.EVENT)
                self._host.counters.dropped += 1
                self.charge()
            else:
                self._application.handle_event(session, ack, payload, _NOTHING)
        elif attachments:
            self._begin(parsed)
        else:
            self._complete(parsed, _NOTHING)

    def _begin(self, packet: socketio.Packet) -> None:
        """Await a packet's attachments, if the packet is allowed in the state of its namespace."""
        self._take_step(packet[1], Step.EVENT if packet[0] == socketio.BINARY_EVENT else Step.ACK)
        self._incomplete = _IncompletePacket(packet, self._host.now() + _ASSEMBLY_TIMEOUT)
        self._rearm()

    def _take_binary(self, data: bytes) -> None:
        incomplete = self._incomplete
        if incomplete is None:
            raise WireError("a binary packet that no packet announced", reason="attachments")
        incomplete.size += len(data)
        if incomplete.size > self.options.max_payload:
            raise WireError("the attachments of a packet are longer than the limit", 1009, "message_size")
        incomplete.attachments.append(data)
        if len(incomplete.attachments) == incomplete.packet[4]:
            self._incomplete = None
            self._complete(incomplete.packet, incomplete.attachments)

    def _complete(self, packet: socketio.Packet, attachments: Sequence[bytes]) -> None:
        kind, namespace, ack, payload, _ = packet
        if kind == socketio.CONNECT:
            self._connect(namespace, payload)
        elif kind == socketio.DISCONNECT:
            self._disconnect(namespace)
        elif kind == socketio.BINARY_EVENT:
            if self._has_session(namespace, Step.EVENT):
                self._application.handle_event(self._sessions[namespace], ack, payload, attachments)
        elif self._has_session(namespace, Step.ACK):
            # We ask for no acks, so this one is late or unknown, which is no error; a malformed one is.
            socketio.decode_ack(payload, attachments)
            self.charge()

    def _connect(self, namespace: bytes, payload: bytes) -> None:
        self._take_step(namespace, Step.CONNECT)
        if len(self._sessions) + len(self._others) > self.options.namespaces:
            raise WireError("too many namespaces on one connection", reason="namespaces")
        if payload:
            # What is JSON, and only more than the application takes elsewhere, is its own to answer.
            with suppress(PayloadRefused):
                decode(payload)
        self._application.connect(self, namespace.decode(), payload or None)

    def _disconnect(self, namespace: bytes) -> None:
        if not self._has_session(namespace, Step.DISCONNECT):
            return
        session = self._sessions.pop(namespace)
        self._set_idle_timeout()
        self._application.handle_leave(session)

    def _has_session(self, namespace: bytes, step: Step) -> bool:
        """Take a packet's step; return whether its session exists, or was ended by the server meanwhile."""
        before = self._take_step(namespace, step)
        if before is State.CONNECTED:
            return True
        self._host.counters.dropped += 1
        self.charge()
        return False

    def _take_step(self, namespace: bytes, step: Step) -> State:
        """Take a step of the table; return the state before it."""
        before = self._get_state(namespace)
        after = STATES.get((before, step))
        if after is None:
            raise WireError(f"{step.name} for a namespace that is {before.name}", reason="state")
        self._enter(namespace, after)
        return before

    def _get_state(self, namespace: bytes) -> State:
        if namespace in self._sessions:
            return State.CONNECTED
        return self._others.get(namespace, State.ABSENT)

    def _enter(self, namespace: bytes, state: State) -> None:
        """Note a namespace's new state; the caller changes `_sessions` if it becomes CONNECTED or no longer is."""
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
            self._set_idle_timeout()
            self.send(socketio.build_connect(namespace, sid))

    def refuse(self, namespace: str, message: str, data: Any = None) -> None:
        """Answer a CONNECT with CONNECT_ERROR; `data` is left out where it is `None`."""
        if self._answer(namespace, Step.REFUSE):
            self.send(socketio.build_connect_error(namespace, message, data))

    def discard(self, namespace: str) -> None:
        """Drop the events and acks of the namespace that are queued and have not left."""
        key = namespace.encode()
        self.out[:] = discard_queued(self.out, key)
        self.link.discard(key)

    def end(self, namespace: str) -> None:
        """Send DISCONNECT for the namespace; what the client still sends for it is dropped and counted."""
        if self._answer(namespace, Step.END):
            del self._sessions[namespace.encode()]
            self._set_idle_timeout()
            self.send(socketio.build_disconnect(namespace))

    def _answer(self, namespace: str, step: Step) -> bool:
        """Take a step of the application; return whether the client is still to be told.

        An answer may come late, after the client left the namespace or the connection ended: it has no effect, and
        is no error.
        """
        key = namespace.encode()
        after = STATES.get((self._get_state(key), step))
        if self.phase is Phase.CLOSED or after is None:
            return False
        self._enter(key, after)
        return True

    # Time and the end

    def _set_idle_timeout(self) -> None:
        """Note whether the connection has a session; without one it may last for `connect_timeout`."""
        has_sessions = bool(self._sessions)
        if has_sessions != (self._idle_until == inf):
            self.link.note_sessions(has=has_sessions)
        self._idle_until = inf if has_sessions else self._host.now() + self.options.connect_timeout
        self._rearm()

    def _rearm(self) -> None:
        awaited = inf if self._incomplete is None else self._incomplete.deadline
        self._deadline = min(self._idle_until, awaited)
        if self._deadline != inf:
            self._host.arm(self, self._deadline)

    def _meet_deadline(self, now: float) -> None:
        if self._incomplete is not None and now >= self._incomplete.deadline:
            self.fail(WireError("attachments did not come", reason="attachments"))
        elif now >= self._idle_until:
            self._host.counters.connect_timeouts += 1
            self._host.note_cut(self, "connect_timeout", "it had no session in time")
            self.close(FORCED_CLOSE)
        else:
            self._rearm()

    def _take_end(self, reason: str) -> None:
        sessions = tuple(self._sessions.values())
        self._sessions.clear()
        self._others = _NO_OTHERS
        self._incomplete = None
        self._application.handle_close(self, sessions, reason)
