"""The work that did not fit into one turn of the loop: all that clients have sent shares a time in each turn.

One POST may have a million packets. If each took its own 2 ms of a turn, a thousand of them would be a turn of two
seconds, in which no session ends and no ping leaves.
"""

from __future__ import annotations

import time
from asyncio import AbstractEventLoop
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

BACKLOG_TIME = 0.002
"""Seconds of each turn for all work that is left, together."""


class Work(Protocol):
    """Work that was begun in an earlier turn, for one connection."""

    def proceed(self) -> bool:
        """Do a small part of it, of some tenths of a millisecond; return whether more is left."""

    def abandon(self) -> None:
        """Close the connection, since an error of ours left it in an unknown state."""


class Backlog:
    """Does a part of each work in turn, round after round, for `BACKLOG_TIME` of each turn of the loop.

    INVARIANT: a work is in it once, so the packets of a connection stay in their order; a call of `_run` is
    scheduled exactly while it is not empty.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        report: Callable[[Exception], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin empty; errors that come out of work are passed to `report`."""
        self._loop = loop
        self._report = report
        self._clock = clock
        self._queue: OrderedDict[Work, None] = OrderedDict()
        self._scheduled = False

    def __len__(self) -> int:
        """Return how many connections have work left."""
        return len(self._queue)

    def add(self, work: Work) -> None:
        """Let work proceed from the next turn on, behind all that waits; it may be there already."""
        self._queue[work] = None
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        """Let the first of the queue proceed, one at least, until the time of this turn is over."""
        queue, clock = self._queue, self._clock
        until = clock() + BACKLOG_TIME
        while queue:
            work, _ = queue.popitem(last=False)
            try:
                if work.proceed():
                    queue[work] = None
            except Exception as error:  # noqa: BLE001 - the work behind it proceeds all the same
                self._report(error)
                work.abandon()
            if clock() >= until:
                break
        self._scheduled = bool(queue)
        if queue:
            self._loop.call_soon(self._run)
