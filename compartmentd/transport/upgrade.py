"""The upgrade of a polling connection to a WebSocket (Engine.IO v4, "Upgrade"), on the side of the WebSocket."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from compartmentd.errors import WireError
from compartmentd.protocol.connection import EngineConnection
from compartmentd.protocol.engineio import PROBE, PROBE_ANSWER, UPGRADE, ControlPacket, Outgoing
from compartmentd.protocol.lifecycle import Move, Phase
from compartmentd.protocol.link import Link
from compartmentd.protocol.websocket import NORMAL, Data
from compartmentd.transport.connections import Connections
from compartmentd.transport.polling_link import PollingLink
from compartmentd.transport.websocket_link import WebSocketLink

_ANSWER = ControlPacket(PROBE_ANSWER)


class UpgradeProbe:
    """The endpoint of a WebSocket until it takes over a connection, or gives up and leaves it as it was."""

    __slots__ = ("_connection", "_connections", "_link", "_polling", "answered", "due", "is_on_hold", "out")

    takes_place = False

    def __init__(
        self, connections: Connections, connection: EngineConnection, polling: PollingLink | None
    ) -> None:
        """Probe a connection; `polling` is its link, `None` if it has a WebSocket already."""
        self.answered = False
        self.due = inf
        self.is_on_hold = False
        self.out: list[Outgoing] = []
        self._connections = connections
        self._connection = connection
        self._polling = polling
        self._link: WebSocketLink | None = None

    def begin(self, link: WebSocketLink) -> None:
        """Begin with this WebSocket, which has `upgrade_timeout` to take over; one that came too late is closed."""
        self._link = link
        self._connections.holders.add(self)
        polling = self._polling
        if polling is None or polling.probe is not None or self._connection.phase is not Phase.POLLING:
            link.fail(NORMAL)
            return
        polling.probe = self
        self._connections.arm(self, self._connections.now() + self._connections.options.upgrade_timeout)

    def receive(self, packets: Iterable[Data], /) -> None:
        """Take `2probe`, then `5`; the packets that follow belong to the connection."""
        polling, link = self._polling, self._link
        if polling is None or link is None or polling.probe is not self:
            return  # given up: what still arrives is dropped
        coming = iter(packets)
        for _, data in coming:
            if data == PROBE and self._connection.move(Move.PROBE):
                self.out.append(_ANSWER)
                self.answered = True
                link.wake()
                polling.release_poll()
            elif data == UPGRADE and self._connection.move(Move.UPGRADE):
                self._take_over(polling, link)
                self._connection.receive(coming)
                return
            elif data == UPGRADE and self.answered and polling.is_leaving:
                self._send_last(polling, link)
                return
            else:
                self._give_up()
                return

    def charge_frames(self, frames: int, /) -> None:
        """Charge the connection, which has little patience left."""
        self._connection.charge_frames(frames)

    def fail(self, error: WireError) -> None:
        """Close the WebSocket; the connection stays on polling."""
        del error
        self._give_up()

    def note_lost(self, reason: str) -> None:
        """Take note that the WebSocket is gone; the connection stays on polling."""
        del reason
        self._return_to_polling()

    def note_released(self, link: Link) -> None:
        """Forget the WebSocket, which is closed."""
        del link
        self._connections.holders.discard(self)
        self._link = None

    def cancel(self) -> None:
        """Close the WebSocket, since the connection has ended meanwhile."""
        if self._link is not None:
            self._link.finish()

    def abort(self) -> None:
        """Close the WebSocket at once."""
        if self._link is not None:
            self._link.abort()

    def tick(self, now: float) -> float | None:
        """Give up: the client did not finish the upgrade in time."""
        del now
        if self._polling is not None and self._polling.probe is self:
            self._give_up()
        return None

    def _give_up(self) -> None:
        self._return_to_polling()
        if self._link is not None:
            self._link.fail(NORMAL)

    def _return_to_polling(self) -> None:
        if self._polling is not None and self._polling.probe is self:
            self._polling.probe = None
            self._connection.move(Move.PROBE_LOST)

    def _send_last(self, polling: PollingLink, link: WebSocketLink) -> None:
        """Send the last packets of a connection that was closed after `3probe`: its client polls no more."""
        self.out += polling.hand_over_last()
        link.finish()

    def _take_over(self, polling: PollingLink, link: WebSocketLink) -> None:
        """Move the connection to the WebSocket, with everything that no poll has fetched, in order."""
        connection = self._connection
        polling.probe = None
        connection.out[:0] = [*self.out, *polling.take_queue()]
        self.out.clear()
        connection.link = link
        link.owner = connection
        link.note_sessions(has=connection.has_sessions)
        self._connections.holders.discard(self)
        self._link = None
        polling.retire()
        link.resume()  # or stay paused, if the connection is on hold
        if connection.out:
            link.wake()
        self._connections.counters.upgraded += 1
