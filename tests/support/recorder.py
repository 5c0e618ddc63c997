"""An application that notes what it is told, and does what a test tells it to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from compartmentd.protocol.application import Peer
from compartmentd.protocol.socketio import decode_event


class Recorder:
    """Accepts every namespace but `/no`; each session is `(peer, namespace)`.

    `on_event` is called for each event after it was noted; `accepting` set to false leaves CONNECTs open.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.peers: list[Peer] = []
        self.accepting = True
        self.on_event: Callable[[Peer, str, list[Any]], None] | None = None

    def connect(self, peer: Peer, namespace: str, auth: bytes | None) -> None:
        self.calls.append(("connect", namespace, auth))
        self.peers.append(peer)
        if namespace == "/no":
            peer.refuse(namespace, "No", {"code": "no"})
        elif self.accepting:
            peer.accept(namespace, f"public{len(self.peers)}", (peer, namespace))

    def handle_event(
        self, session: Any, ack: bytes | None, payload: bytes, attachments: Sequence[bytes]
    ) -> None:
        peer, namespace = session
        event = decode_event(payload, attachments)
        self.calls.append(("event", namespace, None if ack is None else int(ack), event))
        if self.on_event is not None:
            self.on_event(peer, namespace, event)

    def handle_leave(self, session: Any) -> None:
        self.calls.append(("left", session[1]))

    def handle_close(self, peer: Peer, sessions: Sequence[Any], reason: str) -> None:
        assert all(session[0] is peer for session in sessions)
        self.calls.append(("closed", sorted(namespace for _, namespace in sessions), reason))

    def named(self, name: str) -> list[tuple[Any, ...]]:
        """Return the calls of one kind."""
        return [call for call in self.calls if call[0] == name]
