"""Accepts connections, and pauses when the process has no descriptor left for one.

Tornado's own acceptor lets that error out of a callback that the loop calls again at once: a core spent on logging
it, until a client leaves.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import resource
import socket
from collections.abc import Iterable
from math import inf
from typing import Any, Generic, Protocol, TypeVar

from compartmentd.telemetry.logs import admits, log

_BATCH = 128
"""Connections accepted at once before other work has its turn."""

_PAUSE = 0.25
"""Seconds without accepting once descriptors or buffers have run out; the kernel keeps the queue meanwhile."""

_EXHAUSTED = frozenset([errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])

RESERVE = 256
"""Descriptors, though at most an eighth of all, that clients cannot take: administrators need some to connect, and
a reload, a fetch of keys and the writing of revocations need some, too."""


Accepted_contra = TypeVar("Accepted_contra", bound=socket.socket, contravariant=True)


class AcceptedSockets(Protocol[Accepted_contra]):
    """Takes the sockets that are accepted."""

    @property
    def is_busy(self) -> bool:
        """Whether no socket should be accepted in this turn of the loop."""

    def take(self, sock: Accepted_contra, address: Any, /) -> None:
        """Serve a socket; `address` is its peer's, as `accept` returned it."""


def compute_client_descriptors() -> float:
    """Return the number from which on descriptors are reserved, see `RESERVE`."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return inf if limit == resource.RLIM_INFINITY else limit - min(RESERVE, limit // 8)


class Acceptor(Generic[Accepted_contra]):
    """Accepts connections on listening sockets, for the running loop."""

    def __init__(
        self, accepted: AcceptedSockets[Accepted_contra], kind: type[Accepted_contra], below: float = inf
    ) -> None:
        """Accept nothing yet.

        Args:
            accepted: Takes what is accepted.
            kind: The class of the sockets that are made.
            below: A connection whose descriptor is not below this number is closed at once.
        """
        self._accepted = accepted
        self._kind = kind
        self._below = below
        self._loop = asyncio.get_running_loop()
        self._sockets: dict[socket.socket, asyncio.TimerHandle | None] = {}

    def add(self, sockets: Iterable[socket.socket]) -> None:
        """Accept on these sockets, which are listening; `close` closes them."""
        for sock in sockets:
            sock.setblocking(False)
            self._listen(sock)

    def close(self) -> None:
        """Accept no more, and close the listening sockets."""
        for sock, pause in self._sockets.items():
            if pause is not None:
                pause.cancel()
            self._loop.remove_reader(sock)
            sock.close()
        self._sockets.clear()

    def _listen(self, sock: socket.socket) -> None:
        self._sockets[sock] = None
        family = (int(sock.family), int(sock.type), sock.proto)
        self._loop.add_reader(sock, self._accept, sock, family)

    def _accept(self, sock: socket.socket, family: tuple[int, int, int]) -> None:
        for _ in range(0 if self._accepted.is_busy else _BATCH):
            if sock not in self._sockets:
                return  # closed by what was accepted before
            try:
                # The public `accept` makes a plain socket, after it has looked up three enumerations. To make
                # one of another class of it takes a second object and four system calls.
                descriptor, address = sock._accept()  # type: ignore[attr-defined]  # noqa: SLF001 - see above
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue  # the peer was gone before its turn came
            except OSError as error:
                self._pause(sock, error)
                return
            # The kernel gives the lowest free number, so this one tells how many are taken.
            if descriptor >= self._below:
                os.close(descriptor)
                self._pause(sock, OSError(errno.EMFILE, "the descriptors that are left are for other things"))
                return
            self._accepted.take(self._kind(*family, fileno=descriptor), address)

    def _pause(self, sock: socket.socket, error: OSError) -> None:
        """Stop accepting for a while; no error goes away by trying again at once."""
        level = logging.WARNING if error.errno in _EXHAUSTED else logging.ERROR
        if admits("cannot_accept"):
            log(level, "cannot_accept", f"no connection can be accepted for {_PAUSE:g} s: {error}")
        self._loop.remove_reader(sock)
        self._sockets[sock] = self._loop.call_later(_PAUSE, self._resume, sock)

    def _resume(self, sock: socket.socket) -> None:
        self._listen(sock)
