"""The connections of one server: found by session id, flushed once a loop turn, woken by one timer wheel."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeAlias

from compartmentd.net.lingering import LINGER, Lingerers
from compartmentd.net.poller import Poller
from compartmentd.net.timer_wheel import Timer, Timers
from compartmentd.protocol.application import Handshake
from compartmentd.protocol.connection import EngineConnection, Host
from compartmentd.protocol.counters import WireCounters
from compartmentd.protocol.engineio import HandshakeRefusal, forbid_origin
from compartmentd.protocol.forwarded import TrustedProxies
from compartmentd.protocol.http1 import compile_request_line, list_paths
from compartmentd.protocol.message import Batch, Message
from compartmentd.protocol.options import ConnectionOptions
from compartmentd.protocol.origins import OriginPolicy, PageHeaders
from compartmentd.telemetry.logs import admits, log
from compartmentd.transport.admission import Admission
from compartmentd.transport.broadcast import Broadcast
from compartmentd.transport.counted_networks import CountedNetworks
from compartmentd.transport.full_addresses import FullAddresses
from compartmentd.transport.options import ServerOptions
from compartmentd.transport.socket_table import SocketTable

MakeConnection: TypeAlias = Callable[[Host, str, Handshake, ConnectionOptions], EngineConnection]
"""Makes a connection: Socket.IO's, or another that speaks Engine.IO alone."""


class Flushable(Protocol):
    """A transport with something to send."""

    def flush(self) -> None:
        """Send it."""

    def abandon(self) -> None:
        """Close the transport, since an error of ours left it in an unknown state."""


class SocketHolder(Protocol):
    """A socket that is not, or not yet, an Engine.IO connection: an upgrade probe, or a keep-alive HTTP socket.

    It is registered only so that a shutdown can abort it.
    """

    def abort(self) -> None:
        """Close the socket at once."""


class Connections:
    """All connections, and what they share; the `protocol.connection.Host` of each."""

    def __init__(self, make: MakeConnection, options: ServerOptions) -> None:
        """Begin with none, on the running loop."""
        self.counters = WireCounters()
        self.networks = CountedNetworks(options)
        self.loop = asyncio.get_running_loop()
        note_full = FullAddresses(self.loop.time).note
        self.sockets = SocketTable(self.counters, self.networks, self.loop.time, note_full)
        self.pending = self.sockets.pending
        self.admission = Admission(self.counters, self.networks.find, self.pending, note_full)
        self.poller = Poller(self.loop, self.counters)
        self.backlog = self.poller.backlog
        self.timers = Timers(self.loop)
        # Attributes and no methods: a call more for each would be part of the cost of every connection.
        self.arm: Callable[[Timer, float], None] = self.timers.arm
        self.disarm: Callable[[Timer], None] = self.timers.disarm
        self.lingerers = Lingerers(self.poller, self.timers, LINGER)
        self.make = make
        self.options = options
        self.origins = OriginPolicy(options.origins, cookies=options.token_cookies)
        self.paths = list_paths(options.path)
        self.request_line = compile_request_line(options.path)  # of the requests that `polling_http` serves
        self.holders: set[SocketHolder] = set()
        self._by_sid: dict[str, EngineConnection] = {}
        self.dirty: list[Flushable] = []
        """The transports with something to send at the end of this turn; `schedule` adds to it."""
        self._empty: asyncio.Future[None] | None = None

    def configure(self, options: ServerOptions) -> None:
        """Use other options for new connections and requests; connections keep those that they began with."""
        self.origins = OriginPolicy(options.origins, cookies=options.token_cookies)
        self.networks.configure(options)
        self.options = options

    @property
    def proxies(self) -> TrustedProxies:
        """The proxies that may say whose request they pass on."""
        return self.networks.proxies

    def check_origin(self, page: PageHeaders, peer: str) -> HandshakeRefusal | None:
        """Return the refusal of a page whose origin is not allowed.

        Args:
            page: the header fields that tell the page.
            peer: the address that the connection comes from, empty for a unix socket.
        """
        proxied = bool(page.forwarded_hosts) and self.proxies.trusts(peer)
        if self.origins.allows(page, proxied=proxied):
            return None
        return forbid_origin(self.origins.explain(page, proxied=proxied))

    def count_lost(self) -> None:
        """Count a request to a path that is not ours."""
        self.counters.refusals["path"] += 1

    # The table

    def add(self, connection: EngineConnection) -> None:
        """Register a connection that has its link, and start its heartbeat; its place was taken before."""
        self._by_sid[connection.sid] = connection
        self.counters.opened += 1
        connection.start_heartbeat()

    def find(self, sid: str) -> EngineConnection | None:
        """Return the connection with this session id, unless its time is over by now."""
        connection = self._by_sid.get(sid)
        if connection is None:
            return None
        self.timers.wake_overdue(connection, self.now())
        return self._by_sid.get(sid)

    def forget(self, connection: EngineConnection) -> None:
        """Remove a connection whose transport is gone, and free its place; may be called more than once."""
        if self._by_sid.pop(connection.sid, None) is not None:
            self.counters.closed += 1
            self.timers.disarm(connection)
            self.admission.leave(connection.handshake.address)
            if not self._by_sid and self._empty is not None and not self._empty.done():
                self._empty.set_result(None)

    def __len__(self) -> int:
        return len(self._by_sid)

    def __iter__(self) -> Iterator[EngineConnection]:
        """Iterate over the connections of this moment, even if some end meanwhile."""
        return iter(list(self._by_sid.values()))

    async def wait_until_empty(self, timeout: float) -> None:  # noqa: ASYNC109 - a bound, not an error
        """Wait until the last connection is gone, for `timeout` seconds at most."""
        if self._by_sid:
            self._empty = self.loop.create_future()
            await asyncio.wait([self._empty], timeout=timeout)

    # The turn

    def schedule(self, link: Flushable) -> None:
        """Flush the link once the sockets that are ready now have been read: their answers leave together."""
        if not self.dirty:
            self.loop.call_soon(self._flush)
        self.dirty.append(link)

    def share(
        self, message: Message, to: Sequence[EngineConnection], besides: EngineConnection | None
    ) -> Batch:
        """Queue a message on many connections but `besides`; return the batch, to which messages may be added."""
        dirty = self.dirty
        if not dirty:
            broadcast = Broadcast(message, to, besides, dirty, self)
            self.schedule(broadcast)
            return broadcast
        batch = Batch(message)
        for connection in to:
            if connection is not besides:
                connection.send(batch)
        return batch

    def _flush(self) -> None:
        dirty, self.dirty = self.dirty, []
        for link in dirty:
            try:
                link.flush()
            except Exception as error:  # noqa: BLE001 - all others must have their output
                self.report_error("a connection is closed for an error while it was written to", error)
                link.abandon()

    def note_cut(self, connection: EngineConnection, reason: str, why: str) -> None:
        """Count and log that a connection is cut for what its client did, or did not do."""
        if reason in self.counters.violations:
            self.counters.violations[reason] += 1
        if admits(f"connection cut {reason}"):
            address = connection.handshake.address
            log(logging.INFO, "connection_cut", f"a connection is cut: {why}", reason=reason, address=address)

    def report_error(self, what: str, error: Exception) -> None:
        """Log and count an error of ours or of the application."""
        self.counters.errors += 1
        log(logging.ERROR, "connection_failed", what, exc=error)

    # Time

    def now(self) -> float:
        """Return the loop's monotonic time in seconds."""
        return self.loop.time()

    def stop(self) -> None:
        """Close all connections and other sockets, and stop the timers."""
        for connection in self:
            connection.link.abort()
        for holder in list(self.holders):
            holder.abort()
        self.lingerers.close()
        self.timers.close()
        self.poller.close()
