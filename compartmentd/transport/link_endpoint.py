"""The endpoint of a WebSocket link as an interface: a connection, or the probe of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from compartmentd.errors import WireError
from compartmentd.protocol.engineio import Outgoing
from compartmentd.protocol.link import Link
from compartmentd.protocol.websocket import Data


class LinkEndpoint(Protocol):
    """Takes the packets that arrive, and queues those that leave."""

    @property
    def takes_place(self) -> bool:
        """Whether it takes one of the server's places."""

    @property
    def out(self) -> list[Outgoing]:
        """The packets to be sent; cleared by each flush."""

    @property
    def is_on_hold(self) -> bool:
        """Whether nothing should be read for now."""

    def receive(self, packets: Sequence[Data], /) -> None:
        """Take packets."""

    def charge_frames(self, frames: int, /) -> None:
        """Take note of frames that were no messages, and close if there are too many."""

    def fail(self, error: WireError) -> None:
        """Close, since the client broke the rules of WebSocket."""

    def note_lost(self, reason: str) -> None:
        """Take note that the transport is gone."""

    def note_released(self, link: Link) -> None:
        """Take note that the link's socket is closed for good; called once."""
