"""The two state machines of a connection, as tables; a key that is missing is not allowed to a client.

**The connection** (Engine.IO v4) begins on one transport. One that began on polling may be probed by a
WebSocket, and either moves there or stays as it was:

    POLLING ──probe──▶ PROBING ──upgrade──▶ WEBSOCKET
       ▲                  │
       └────probe lost────┘         every state ──end──▶ CLOSED

Until the upgrade is done everything queued goes out by polling, after it by the WebSocket: a packet is in one
queue, which the transports hand over, so it can be neither lost nor sent twice.

**Each namespace** on it (Socket.IO v5) is absent until the client asks for it:

    ABSENT ──CONNECT──▶ CONNECTING ──accept──▶ CONNECTED ──end──▶ ENDED ──CONNECT──▶ CONNECTING
       ▲                    │                      │
       ├──────refuse────────┘                      │
       └────────────────DISCONNECT─────────────────┘

While CONNECTING nothing may be sent yet: the client has not been told that it is connected. ENDED differs
from ABSENT in one thing: the client may not know yet, so what it still sends is dropped and is no error.
A namespace that was refused or left is absent again: its client knows, and has no reason to send.
"""

from __future__ import annotations

from enum import Enum, auto


class _Member(Enum):
    """Members that are found in the tables by their identity.

    Enum's own hash is computed from the name, by a call in Python; a connection's begin takes six of them.
    """

    __hash__ = object.__hash__


class Phase(_Member):
    """The phase of a connection."""

    POLLING = auto()
    PROBING = auto()
    WEBSOCKET = auto()
    CLOSED = auto()


class Move(_Member):
    """A step of a connection as a whole."""

    PROBE = auto()
    UPGRADE = auto()
    PROBE_LOST = auto()
    END = auto()


PHASES: dict[tuple[Phase, Move], Phase] = {
    (Phase.POLLING, Move.PROBE): Phase.PROBING,
    (Phase.PROBING, Move.UPGRADE): Phase.WEBSOCKET,
    (Phase.PROBING, Move.PROBE_LOST): Phase.POLLING,
    (Phase.POLLING, Move.END): Phase.CLOSED,
    (Phase.PROBING, Move.END): Phase.CLOSED,
    (Phase.WEBSOCKET, Move.END): Phase.CLOSED,
}


class State(_Member):
    """The state of a namespace on a connection."""

    ABSENT = auto()
    CONNECTING = auto()
    CONNECTED = auto()
    ENDED = auto()


class Step(_Member):
    """A step of a namespace: a packet of the client, or an answer of the application."""

    CONNECT = auto()
    EVENT = auto()
    ACK = auto()
    DISCONNECT = auto()
    ACCEPT = auto()
    REFUSE = auto()
    END = auto()


STATES: dict[tuple[State, Step], State] = {
    (State.ABSENT, Step.CONNECT): State.CONNECTING,
    (State.CONNECTING, Step.ACCEPT): State.CONNECTED,
    (State.CONNECTING, Step.REFUSE): State.ABSENT,
    (State.CONNECTED, Step.EVENT): State.CONNECTED,
    (State.CONNECTED, Step.ACK): State.CONNECTED,
    (State.CONNECTED, Step.DISCONNECT): State.ABSENT,
    (State.CONNECTED, Step.END): State.ENDED,
    (State.ENDED, Step.CONNECT): State.CONNECTING,
    (State.ENDED, Step.EVENT): State.ENDED,
    (State.ENDED, Step.ACK): State.ENDED,
    (State.ENDED, Step.DISCONNECT): State.ENDED,
}
