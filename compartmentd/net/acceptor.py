"""Accepting connections, and waiting when the process has no descriptor left for one.

Tornado's own acceptor lets that error out of a callback that the loop calls again at once: a core spent on
logging it, until somebody leaves.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import socket
from collections.abc import Callable, Iterable
from math import inf
from typing import Any

from compartmentd.telemetry.logs import admits, log

_BATCH = 128
"""Connections taken at once before others get their turn."""

_PAUSE = 0.25
"""Seconds without accepting once descriptors or buffers have run out; the kernel keeps the queue meanwhile."""

_EXHAUSTED = frozenset([errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])

RESERVE = 256
"""Descriptors, though at most an eighth of all, that strangers cannot take: administrators need some to come in,
and a reload, a fetch of keys and the state of a logout some to be made."""


def all_but_reserve() -> float:
    """Return the number from which on descriptors are kept from strangers."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return inf if limit == resource.RLIM_INFINITY else limit - min(RESERVE, limit // 8)


class Acceptor:
    """Listening sockets, each connection of which is handed to `accepted` with the peer's address."""

    def __init__(
        self,
        accepted: Callable[[socket.socket, Any], None],
        below: float = inf,
        waits: Callable[[], bool] = lambda: False,
    ) -> None:
        """Accept nothing yet; on the running loop.

        Descriptors are taken only `below` this number. Nobody is accepted while `waits` says so, which is asked in
        each turn of the loop.
        """
        self._accepted = accepted
        self._below = below
        self._waits = waits
        self._loop = asyncio.get_running_loop()
        self._sockets: dict[socket.socket, asyncio.TimerHandle | None] = {}

    def add(self, sockets: Iterable[socket.socket]) -> None:
        """Accept on these, which are listening and non-blocking; they are closed by `close`."""
        for sock in sockets:
            self._sockets[sock] = None
            self._loop.add_reader(sock, self._ready, sock)

    def close(self) -> None:
        """Accept no more, and close the sockets."""
        for sock, pause in self._sockets.items():
            if pause is not None:
                pause.cancel()
            self._loop.remove_reader(sock)
            sock.close()
        self._sockets.clear()

    def _ready(self, sock: socket.socket) -> None:
        for _ in range(0 if self._waits() else _BATCH):
            if sock not in self._sockets:
                return  # closed by what was accepted before
            try:
                connection, address = sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue  # the peer was gone before its turn came
            except OSError as error:
                self._failed(sock, error)
                return
            # The kernel gives the lowest number that is free, so this one tells how many are taken.
            if connection.fileno() >= self._below:
                connection.close()
                self._failed(
                    sock, OSError(errno.EMFILE, "the descriptors that are left are for other things")
                )
                return
            self._accepted(connection, address)

    def _failed(self, sock: socket.socket, error: OSError) -> None:
        """Pause; whatever it was, asking again at once would not help."""
        level = logging.WARNING if error.errno in _EXHAUSTED else logging.ERROR
        if admits("cannot_accept"):
            log(level, "cannot_accept", f"no connection can be accepted for {_PAUSE:g} s: {error}")
        self._loop.remove_reader(sock)
        self._sockets[sock] = self._loop.call_later(_PAUSE, self._resume, sock)

    def _resume(self, sock: socket.socket) -> None:
        self._sockets[sock] = None
        self._loop.add_reader(sock, self._ready, sock)
