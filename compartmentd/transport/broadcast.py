"""A message to many connections that is written to their sockets without a place in their queues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from compartmentd.protocol.connection import EngineConnection, Host
from compartmentd.protocol.engineio import Outgoing
from compartmentd.protocol.message import Batch, Message


class DirectWriter(Protocol):
    """A link that can be written to, past its connection's queue, as long as `is_direct`."""

    is_direct: bool

    def write(self, data: bytes, /) -> int:
        """Pass bytes to the kernel, and keep what it does not take; return how many it took."""

    def precede(self, message: Outgoing, /) -> None:
        """Queue a message before everything that was queued in this turn."""

    def abandon(self) -> None:
        """Close the link, since an error of ours left it in an unknown state."""


class Broadcast(Batch):
    """A batch that is the first output of a turn, and for nearly all of its recipients the only one.

    Queueing it on each recipient and flushing each queue takes two calls, a list that grows and one that shrinks:
    half of the time that Python adds to the kernel's part of a delivery, mostly waiting for memory that was not
    used for long. So the batch is flushed as a whole, its bytes written to one socket after the other.

    INVARIANT: everything in a recipient's queue at the time of the flush was queued after this batch. The batch is
    made while nothing waits to be flushed, and a recipient that cannot be written to directly (polling, where any
    request may fetch the queue, or a slow client) has it in the queue at once.

    Messages may be added until a recipient is sent something else, as in every batch. Which recipient it was is not
    checked: anything more to flush closes the batch, except the sender's acks.
    """

    __slots__ = ("_host", "_links", "_sender", "_turn", "_until")

    def __init__(
        self,
        message: Message,
        to: Sequence[EngineConnection],
        besides: EngineConnection | None,
        turn: Sequence[object],
        host: Host,
    ) -> None:
        """Begin with this message; `turn` is the list of what will be flushed, and the broadcast its next item."""
        super().__init__(message)
        self._host = host
        self._sender = besides
        self._turn = turn
        links = [peer.link for peer in to if peer.link.is_direct and peer is not besides]
        self._links: Sequence[DirectWriter] = links  # type: ignore[assignment]  # a link that is direct has these methods
        if len(links) < len(to) - (besides is not None):
            for peer in to:
                if not peer.link.is_direct and peer is not besides:
                    peer.send(self)
        self._until = len(turn) + 1

    @property
    def _is_alone(self) -> bool:
        """Whether no connection but the sender's was sent something since."""
        turn, until = self._turn, self._until
        more = len(turn) - until
        return more == 0 or (more == 1 and self._sender is not None and turn[until] is self._sender.link)

    def add(self, message: Message) -> bool:
        """Add a message if the batch is open; return whether it was added."""
        return self._is_alone and super().add(message)

    def flush(self) -> None:
        """Write the batch to each socket, or put it first in the queue if there is more to send."""
        frames = self.frames
        is_alone = self._is_alone
        taken = 0
        for link in self._links:
            try:
                if is_alone and link.is_direct:
                    taken += link.write(frames)
                else:
                    link.precede(self)
            except Exception as error:  # noqa: BLE001 - all others must have the message
                self._host.report_error("a connection is closed for an error while it was written to", error)
                link.abandon()
        self._host.counters.bytes_out += taken
        self._forget()

    def abandon(self) -> None:
        """Close all links."""
        for link in self._links:
            link.abandon()
        self._forget()

    def _forget(self) -> None:
        """Let go of the turn, in which this batch stands itself, and of the links.

        A cycle would keep every connection that it was sent to, ended ones too, until a full collection, and for
        ever where a reload exempts what exists from collections.
        """
        self.close()
        self._turn = self._links = ()
        self._sender = None
