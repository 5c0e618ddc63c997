"""Polls the sockets of all connections in bounded turns, and serves those that end after those that send.

An event loop serves everything that is ready before it does anything else: libuv up to 49,152 sockets. When 10,000
clients left at once, that was a turn of 110 ms, and another as long to close the sockets; a client that sent
something meanwhile was served after all of them. So the sockets are in an epoll of their own, which the loop
watches as one descriptor. Each turn serves sockets that have sent something, for a few milliseconds; those that are
not reached come first in the next turn. A socket whose client has gone is put aside, which takes a microsecond, and
is closed in time that is set apart for it: closing takes some 15 µs.

It is also cheaper than a handle of the loop for each socket: to watch a socket is a system call and an entry in a
dict.
"""

from __future__ import annotations

import logging
import time
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable, Iterator
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP, epoll
from typing import Protocol, TypeAlias

from compartmentd.net.backlog import BACKLOG_TIME, Backlog
from compartmentd.protocol.counters import WireCounters
from compartmentd.telemetry.logs import log

SERVING_TIME = 0.004
"""Seconds for which sockets are served until the loop goes on, first with what is to be sent.

While there is a backlog, its time is a part of this, so that what clients send has the same share of the loop.
"""

CLOSING_TIME = 0.002
"""Seconds of each turn, in addition, for sockets that end: 10,000 are closed within a quarter of a second."""

LONG_READ, SHORT_READ = 1 << 14, 1 << 11
"""Bytes of one read while all sockets that are ready are served in a turn, and while they are not. Refused messages
take 5 ms in 16 KiB, so all others would wait for seconds behind 500 connections that flood."""

_AT_ONCE = 256
"""Sockets asked for by one call of epoll; if fewer are ready there is no second call."""

_READING = EPOLLIN | EPOLLRDHUP
_ENDS = EPOLLRDHUP | EPOLLHUP | EPOLLERR

Callback: TypeAlias = Callable[[], None]
Callbacks: TypeAlias = dict[int, Callback]
"""By descriptor."""


class HasDescriptor(Protocol):
    """An object with a descriptor that can be watched."""

    def fileno(self) -> int:
        """Return the descriptor."""


class Poller:
    """Calls back when sockets are ready, level-triggered; methods mean the same as an event loop's of these names.

    INVARIANT: a descriptor with a reader or a writer is either in the epoll, for what these want, or in `_ending`.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        counters: WireCounters,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to watch on this loop; errors of callbacks are counted in `counters`."""
        self._loop = loop
        self._counters = counters
        self._clock = clock
        self.most = LONG_READ
        """The bytes that a reader of messages should take at most, for the others' sake."""
        self.backlog = Backlog(loop, self._report, clock)
        self._epoll = epoll()
        self._readers: Callbacks = {}
        self._writers: Callbacks = {}
        self._coming: Iterator[tuple[int, int]] = iter(())  # what the last turn did not reach
        # Sockets whose client has closed or is gone: in their order, and those of them that are still watched.
        self._queue: deque[int] = deque()
        self._ending: set[int] = set()
        loop.add_reader(self._epoll.fileno(), self.turn)

    @property
    def has_ended_sockets(self) -> bool:
        """Whether sockets wait to be closed: no new ones should be accepted before."""
        return bool(self._ending)

    def add_reader(self, sock: HasDescriptor, callback: Callback) -> None:
        """Call back whenever there is something to read, an end or an error; replaces an earlier callback."""
        self._add(self._readers, self._writers, sock.fileno(), callback)

    def remove_reader(self, sock: HasDescriptor) -> None:
        """Call back no more, from this moment on; call this before the socket is closed."""
        self._remove(self._readers, sock.fileno())

    def add_writer(self, sock: HasDescriptor, callback: Callback) -> None:
        """Call back whenever the kernel takes more, or never will again; replaces an earlier callback."""
        self._add(self._writers, self._readers, sock.fileno(), callback)

    def remove_writer(self, sock: HasDescriptor) -> None:
        """Call back no more, from this moment on; call this before the socket is closed."""
        self._remove(self._writers, sock.fileno())

    def _add(self, callbacks: Callbacks, others: Callbacks, descriptor: int, callback: Callback) -> None:
        known = descriptor in callbacks
        callbacks[descriptor] = callback
        if not known:
            self._watch(descriptor, watched=descriptor in others)

    def _remove(self, callbacks: Callbacks, descriptor: int) -> None:
        if callbacks.pop(descriptor, None) is not None:
            self._watch(descriptor, watched=True)

    def _watch(self, descriptor: int, *, watched: bool) -> None:
        """Tell the kernel which events are wanted now; `watched` is whether it watched for any before."""
        wanted = _READING if descriptor in self._readers else 0
        if descriptor in self._writers:
            wanted |= EPOLLOUT
        if descriptor in self._ending:
            if not wanted:
                self._ending.remove(descriptor)
        elif not watched:
            self._epoll.register(descriptor, wanted)
        elif wanted:
            self._epoll.modify(descriptor, wanted)
        else:
            self._epoll.unregister(descriptor)  # or ends and errors would still be reported

    # The turn

    def turn(self) -> None:
        """Serve sockets that are ready until none is or the time is over, and put aside those that have ended."""
        until = self._clock() + SERVING_TIME - (BACKLOG_TIME if self.backlog else 0.0)
        served = False
        while not served:
            try:
                served = self._serve(until)
            except Exception as error:  # noqa: BLE001 - the sockets behind it are served all the same
                self._report(error)

    def _serve(self, until: float) -> bool:
        """Serve until a callback raises; return whether the turn is over."""
        clock, readers = self._clock, self._readers
        last = False
        while True:
            # A descriptor that is no longer watched has no callback; one that belongs to another socket by now is
            # woken in vain, at worst.
            for descriptor, event in self._coming:
                if event == EPOLLIN:
                    if (reader := readers.get(descriptor)) is not None:
                        reader()
                elif event & _ENDS:
                    self._put_aside(descriptor)
                else:
                    self._call(descriptor, event)
                if clock() >= until:
                    self.most = SHORT_READ
                    return True
            if last:
                self.most = LONG_READ
                return True
            found = self._epoll.poll(0, _AT_ONCE)
            last = len(found) < _AT_ONCE
            self._coming = iter(found)

    def _call(self, descriptor: int, event: int) -> None:
        if event & EPOLLOUT and (writer := self._writers.get(descriptor)) is not None:
            writer()
        if event & EPOLLIN and (reader := self._readers.get(descriptor)) is not None:
            reader()

    def _put_aside(self, descriptor: int) -> None:
        if descriptor in self._ending or not (descriptor in self._readers or descriptor in self._writers):
            return
        self._epoll.unregister(descriptor)  # epoll would report it again at every call
        self._ending.add(descriptor)
        if not self._queue:
            self._loop.call_soon(self._close_ended)
        self._queue.append(descriptor)

    def _close_ended(self) -> None:
        """Serve ended sockets, at least one, until their time is over; first what they sent before the end."""
        until = self._clock() + CLOSING_TIME
        while self._queue:
            descriptor = self._queue.popleft()
            if descriptor in self._ending:
                try:
                    self._call(descriptor, EPOLLIN | EPOLLOUT)
                except Exception as error:  # noqa: BLE001 - the sockets behind it are served all the same
                    self._report(error)
                if descriptor in self._ending:
                    self._watch_again(descriptor)
            if self._queue and self._clock() >= until:
                # In the turn after the next, so that the clients who are read in the next are answered before.
                self._loop.call_soon(self._loop.call_soon, self._close_ended)
                return

    def _watch_again(self, descriptor: int) -> None:
        """Watch a socket again that sent more than one read takes, or that still takes what is queued for it."""
        self._ending.remove(descriptor)
        try:
            self._watch(descriptor, watched=False)
        except OSError as error:
            # It was closed without `remove_…`. Another socket with its number must not be taken for a watched one.
            self._readers.pop(descriptor, None)
            self._writers.pop(descriptor, None)
            self._report(error)

    def _report(self, error: Exception) -> None:
        self._counters.errors += 1
        log(logging.ERROR, "connection_failed", "an error came out of serving a socket", exc=error)

    def close(self) -> None:
        """Watch nothing any more; may be called more than once."""
        if self._epoll.closed:
            return
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
