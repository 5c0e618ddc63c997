"""A connection as the application sees it, without a server: it records what it is told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from compartmentd.protocol.application import Handshake, Peer
from compartmentd.protocol.message import SEPARATOR, Batch, Message, Run


class RecordingPeer:
    """Records what the application sends to one connection, decoded, in order."""

    def __init__(self, address: str = "192.0.2.1", **headers: str) -> None:
        self.handshake = Handshake(
            address=address,
            headers={name.replace("_", "-"): (value,) for name, value in headers.items()},
            query={},
        )
        self.memo: Any = None
        self.sessions: dict[str, Any] = {}
        self.sent: list[Any] = []
        self.closed_for: str | None = None
        self.discarded: list[tuple[str, int]] = []  # namespaces, and how much had been sent before
        self.is_writable = True

    # --- what the application calls ----------------------------------------------------------------------------

    def count_namespaces(self, besides: str) -> int:
        return len(self.sessions.keys() - {besides})

    def accept(self, namespace: str, sid: str, session: Any) -> None:
        self.sessions[namespace] = session
        self.sent.append(("connected", namespace, sid))

    def refuse(self, namespace: str, message: str, data: Any = None) -> None:
        self.sent.append(("refused", namespace, message, data))

    def send(self, message: Message | Batch | Run) -> None:
        if isinstance(message, Batch):
            self.sent += map(decoded, message.close())
        elif isinstance(message, Run):
            self.sent += [decoded(Message.from_packet(packet)) for packet in message.payload.split(SEPARATOR)]
        else:
            self.sent.append(decoded(message))

    def share(self, message: Message, to: Sequence[Peer], *, echo: bool) -> Batch:
        for peer in to:
            if echo or peer is not self:
                peer.send(message)
        closed = Batch(message)
        closed.close()
        return closed

    def discard(self, namespace: str) -> None:
        """Note it; what was sent has arrived."""
        self.discarded.append((namespace, len(self.sent)))

    def end(self, namespace: str) -> None:
        del self.sessions[namespace]
        self.sent.append(("disconnected", namespace))

    def close(self, reason: str) -> None:
        self.closed_for = reason

    def hold(self) -> None:
        raise AssertionError("nothing asks for this yet")

    def resume(self) -> None:
        raise AssertionError("nothing asks for this yet")

    # --- what tests read ----------------------------------------------------------------------------------------

    def take(self) -> list[Any]:
        """Return what was sent since the last call."""
        sent, self.sent = self.sent, []
        return sent


def decoded(message: Message) -> Any:
    """Return `("event", namespace, [name, …])` or `("ack", namespace, id, value)`; attachments come last."""
    text = message.packet.decode()
    assert text[0] == "4", text
    kind, rest = text[1], text[2:]
    if kind in "56":
        count, _, rest = rest.partition("-")
        assert int(count) == len(message.attachments)
    namespace = "/"
    if rest.startswith("/"):
        namespace, _, rest = rest.partition(",")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    body = json.loads(rest[len(digits) :])
    tail = (list(message.attachments),) if message.attachments else ()
    if kind in "25":
        assert not digits
        return ("event", namespace, body, *tail)
    assert kind in "36", text
    assert len(body) == 1, text
    return ("ack", namespace, int(digits), body[0], *tail)
