"""Which sockets may be read or written, asked of the kernel in parts: no turn gets long, and who leaves waits.

A loop hands out whatever is ready before it does anything else: libuv up to 49,152 sockets. Where 10,000 clients
left at once, that was a turn of 110 ms, and one as long after it to close what they left; and whoever said
something then was served behind all of them. So the sockets are in an epoll of their own, which the loop watches as
one descriptor. In a turn those are served that have something to say, for some milliseconds, and whoever is not
reached is the first in the next. Whose client has gone is put aside by a look of a microsecond, and is served in
the time that is set apart for that: an end costs some 15.

It is also cheaper than a handle of the loop's for each: to watch a socket, or no more, is a system call and an
entry in a dict.
"""

from __future__ import annotations

import logging
import time
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable, Iterator
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP, epoll
from typing import Protocol, TypeAlias

from compartmentd.protocol.counters import Counters
from compartmentd.telemetry.logs import log

TURN = 0.004
"""Seconds for which sockets are served until the loop goes on, what is to be sent first."""

PARTING = 0.002
"""Seconds of each turn, beside those, for who has left: 10,000 are out within a quarter of a second."""

_AT_ONCE = 256
"""Sockets asked for by one call; where fewer are ready there is no second one."""

_READING = EPOLLIN | EPOLLRDHUP
_ENDS = EPOLLRDHUP | EPOLLHUP | EPOLLERR

Callback: TypeAlias = Callable[[], None]
Callbacks: TypeAlias = dict[int, Callback]
"""By descriptor."""


class HasDescriptor(Protocol):
    """What can be watched."""

    def fileno(self) -> int:
        """Return the descriptor."""


class Readiness:
    """Calls back when sockets are ready, level-triggered; its methods mean what a loop's of these names do.

    INVARIANT: a descriptor with a reader or a writer is either in the epoll, for what these want, or in `_parting`.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        counters: Counters,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to watch, on this loop."""
        self._loop = loop
        self._counters = counters
        self._clock = clock
        self._epoll = epoll()
        self._readers: Callbacks = {}
        self._writers: Callbacks = {}
        self._coming: Iterator[tuple[int, int]] = iter(())  # what the last turn did not reach
        # Whose client has closed, or is gone: in their order, and those of them that are still watched.
        self._queue: deque[int] = deque()
        self._parting: set[int] = set()
        loop.add_reader(self._epoll.fileno(), self.turn)

    @property
    def parting(self) -> bool:
        """Whether some have left and wait to be served: nobody new should be let in before they are out."""
        return bool(self._parting)

    def add_reader(self, sock: HasDescriptor, callback: Callback) -> None:
        """Call back whenever there is something to read, an end or an error, too; in place of who was before."""
        self._add(self._readers, self._writers, sock.fileno(), callback)

    def remove_reader(self, sock: HasDescriptor) -> None:
        """Call back no more, from this moment on; to be said before the socket is closed."""
        self._remove(self._readers, sock.fileno())

    def add_writer(self, sock: HasDescriptor, callback: Callback) -> None:
        """Call back whenever the kernel takes more, or never will again; in place of who was before."""
        self._add(self._writers, self._readers, sock.fileno(), callback)

    def remove_writer(self, sock: HasDescriptor) -> None:
        """Call back no more, from this moment on; to be said before the socket is closed."""
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
        """Let the kernel watch for what is wanted now; `watched` is whether it watched for anything before."""
        wanted = _READING if descriptor in self._readers else 0
        if descriptor in self._writers:
            wanted |= EPOLLOUT
        if descriptor in self._parting:
            if not wanted:
                self._parting.remove(descriptor)
        elif not watched:
            self._epoll.register(descriptor, wanted)
        elif wanted:
            self._epoll.modify(descriptor, wanted)
        else:
            self._epoll.unregister(descriptor)  # not for nothing: ends and errors would be told all the same

    # The turn

    def turn(self) -> None:
        """Serve those that are ready, until nobody is or the time is over; who has left is put aside."""
        until = self._clock() + TURN
        served = False
        while not served:
            try:
                served = self._serve(until)
            except Exception as error:  # noqa: BLE001 - those behind it are served all the same
                self._failed(error)

    def _serve(self, until: float) -> bool:
        """Go on with serving, as far as an error that a callback lets out; tell whether the turn is done."""
        clock, readers = self._clock, self._readers
        last = False
        while True:
            # A descriptor that is watched no more has no callback; one that has another owner by now is woken for
            # nothing, at worst.
            for descriptor, event in self._coming:
                if event == EPOLLIN:
                    if (reader := readers.get(descriptor)) is not None:
                        reader()
                elif event & _ENDS:
                    self._put_aside(descriptor)
                else:
                    self._call(descriptor, event)
                if clock() >= until:
                    return True
            if last:
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
        if descriptor in self._parting or not (descriptor in self._readers or descriptor in self._writers):
            return
        self._epoll.unregister(descriptor)  # it would be told of at every look
        self._parting.add(descriptor)
        if not self._queue:
            self._loop.call_soon(self._part)
        self._queue.append(descriptor)

    def _part(self) -> None:
        """Serve those that have left, at least one, until their time is over; what they sent before, too."""
        until = self._clock() + PARTING
        while self._queue:
            descriptor = self._queue.popleft()
            if descriptor in self._parting:
                try:
                    self._call(descriptor, EPOLLIN | EPOLLOUT)
                except Exception as error:  # noqa: BLE001 - those behind it are served all the same
                    self._failed(error)
                if descriptor in self._parting:
                    self._watch_again(descriptor)
            if self._queue and self._clock() >= until:
                # In the turn after the next, so that who is read in the next is answered before it.
                self._loop.call_soon(self._loop.call_soon, self._part)
                return

    def _watch_again(self, descriptor: int) -> None:
        """Watch one that sent more than one read takes, or still takes what is queued for it."""
        self._parting.remove(descriptor)
        try:
            self._watch(descriptor, watched=False)
        except OSError as error:
            # It was closed without a word. Whoever gets its number must not be taken for one that is watched.
            self._readers.pop(descriptor, None)
            self._writers.pop(descriptor, None)
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self._counters.errors += 1
        log(logging.ERROR, "connection_failed", "an error came out of serving a socket", exc=error)

    def close(self) -> None:
        """Watch nothing any more; once or more often."""
        if self._epoll.closed:
            return
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
