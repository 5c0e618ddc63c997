"""A message to many connections that leaves for them without standing in their queues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from compartmentd.protocol.connection import EngineConnection, Host
from compartmentd.protocol.engineio import Outgoing
from compartmentd.protocol.message import Batch, Message


class DirectWriter(Protocol):
    """A link that can be written to, past its connection's queue, for as long as it is `plain`."""

    plain: bool

    def write(self, data: bytes, /) -> int:
        """Hand bytes to the kernel, and keep what it does not take; return how many it took."""

    def precede(self, message: Outgoing, /) -> None:
        """Queue a message before everything that was queued in this turn."""

    def broken(self) -> None:
        """Give up: an error of ours left the link in an unknown state."""


class Broadcast(Batch):
    """A batch that is the first output of a turn, and for nearly all of its recipients the only one.

    To queue it on each and to flush each queue is two calls, a list that grows and one that shrinks: half of what
    Python adds to the kernel's part of a delivery, and most of that is waiting for memory that was not used for
    long. So it is flushed as a whole, its bytes written to one socket after the other.

    INVARIANT: what is in a recipient's queue when this is flushed was queued after it. It is made while nothing
    waits to be flushed; who cannot be written to straight (polling, of which any request may fetch the queue; a
    client that is slow) has it in the queue at once.

    Messages may follow until a recipient is sent something else, as in every batch. To whom that was is not
    looked at: anything more to flush is enough, other than the sender's acks.
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
        """Begin with this message; `turn` is what will be flushed, and the broadcast the next in it."""
        super().__init__(message)
        self._host = host
        self._sender = besides
        self._turn = turn
        links = [peer.link for peer in to if peer.link.plain and peer is not besides]
        self._links: Sequence[DirectWriter] = links  # type: ignore[assignment]  # which is what being plain says
        if len(links) < len(to) - (besides is not None):
            for peer in to:
                if not peer.link.plain and peer is not besides:
                    peer.send(self)
        self._until = len(turn) + 1

    @property
    def _is_alone(self) -> bool:
        """Whether nobody but the sender was sent something since."""
        turn, until = self._turn, self._until
        more = len(turn) - until
        return more == 0 or (more == 1 and self._sender is not None and turn[until] is self._sender.link)

    def add(self, message: Message) -> bool:
        """Let a message follow; tell whether it could."""
        return self._is_alone and super().add(message)

    def flush(self) -> None:
        """Write it to everybody's socket, or put it first where there is more to send."""
        frames = self.frames
        is_alone = self._is_alone
        taken = 0
        for link in self._links:
            try:
                if is_alone and link.plain:
                    taken += link.write(frames)
                else:
                    link.precede(self)
            except Exception as error:  # noqa: BLE001 - must not cost all others their message
                self._host.failed("a connection is closed for an error while it was written to", error)
                link.broken()
        self._host.counters.bytes_out += taken

    def broken(self) -> None:
        """Give up all of them."""
        for link in self._links:
            link.broken()
