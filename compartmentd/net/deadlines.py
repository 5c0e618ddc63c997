"""Sockets that are waited for, each as long as all others: the first that came is the first whose time is over."""

from __future__ import annotations

import asyncio

from compartmentd.net.poller import Readiness
from compartmentd.net.sock import Sock


class Waiting:
    """Sockets, and until when each may keep us waiting; then it is closed, and nobody told."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sockets: Readiness, patience: float) -> None:
        """Give each socket `patience` seconds; `sockets` is what watches them."""
        self.patience = patience
        self._loop = loop
        self._sockets = sockets
        self._until: dict[Sock, float] = {}
        self._alarm: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Return how many are waited for."""
        return len(self._until)

    def add(self, sock: Sock) -> None:
        """Wait for a socket, which the caller watches."""
        until = self._until[sock] = self._loop.time() + self.patience
        if self._alarm is None:
            self._alarm = self._loop.call_at(until, self._ring)

    def remove(self, sock: Sock) -> None:
        """Wait for it no more: it is here."""
        del self._until[sock]

    def drop(self, sock: Sock) -> None:
        """Close it."""
        del self._until[sock]
        # Before the socket is closed: its number may be another's at once.
        self._sockets.remove_reader(sock)
        self._sockets.remove_writer(sock)
        sock.close()

    def close(self) -> None:
        """Close all."""
        for sock in list(self._until):
            self.drop(sock)
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _ring(self) -> None:
        """Close those whose time is over."""
        self._alarm = None
        now = self._loop.time()
        while self._until:
            sock, until = next(iter(self._until.items()))
            if until > now:
                self._alarm = self._loop.call_at(until, self._ring)
                return
            self.drop(sock)
