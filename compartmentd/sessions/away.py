"""The peer of a session that has no connection for the time being."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compartmentd.protocol.application import Handshake, Peer
from compartmentd.protocol.message import Batch, Message, Run


class Away:
    """The peer of every parked session: there is no connection, so what is sent is dropped."""

    handshake = Handshake(address="", headers={}, query={})
    memo: Any = None
    is_writable = False

    def count_namespaces(self, besides: str) -> int:
        """Return 0: there is no connection."""
        del besides
        return 0

    def accept(self, namespace: str, sid: str, session: Any) -> None:
        """Do nothing."""

    def refuse(self, namespace: str, message: str, data: Any = None) -> None:
        """Do nothing."""

    def send(self, message: Message | Batch | Run) -> None:
        """Do nothing."""

    def share(self, message: Message, to: Sequence[Peer], *, echo: bool) -> Batch:
        """Send the message to each, with nothing added later."""
        for peer in to:
            if echo or peer is not self:
                peer.send(message)
        batch = Batch(message)
        batch.close()
        return batch

    def discard(self, namespace: str) -> None:
        """Do nothing."""

    def end(self, namespace: str) -> None:
        """Do nothing."""

    def close(self, reason: str) -> None:
        """Do nothing."""

    def hold(self) -> None:
        """Do nothing."""

    def resume(self) -> None:
        """Do nothing."""


AWAY = Away()
"""Stands in for all connections that are gone, so that nothing of them stays in memory."""
