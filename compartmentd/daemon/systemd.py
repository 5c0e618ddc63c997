"""What the daemon tells the service manager that started it: the datagrams of sd_notify(3).

Without a manager (`$NOTIFY_SOCKET` is not set) every call does nothing, so nobody has to ask.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import MutableMapping
from enum import Enum

from compartmentd.telemetry.logs import log

PATIENCE = 1.0
"""Seconds that a change of state may wait for room in the manager's queue: lost, it would never be told again.
What is repeated anyhow (status, watchdog) does not wait at all."""

_LONGEST_STATUS = 1000
"""Characters; the manager shows one line of it."""

_MICROSECONDS = 1_000_000


class _Phase(Enum):
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


class Notifier:
    """Tells the service manager how the daemon does.

    `watchdog` is the number of seconds within which the manager must hear `alive`, or `None` where it does not
    wait for that.
    """

    def __init__(self, address: str | None, watchdog: float | None = None) -> None:
        self.watchdog = watchdog
        self._socket = None if address is None else _towards(address)
        self._phase = _Phase.STARTING
        self._status = ""
        self._failing = False
        self._reloading = False

    @classmethod
    def of(cls, environ: MutableMapping[str, str], pid: int) -> Notifier:
        """Return the notifier that the environment asks for (sd_notify(3), sd_watchdog_enabled(3)).

        The variables are removed, so that no child speaks to the manager in our name.
        """
        address = environ.pop("NOTIFY_SOCKET", "")
        interval = environ.pop("WATCHDOG_USEC", "")
        meant_for = environ.pop("WATCHDOG_PID", str(pid))
        watched = interval.isdecimal() and int(interval) > 0 and meant_for == str(pid)
        # systemd also has vsock addresses, for virtual machines as a whole; a service is given none.
        known = address[:1] in {"/", "@"}
        if address and not known:
            log(logging.WARNING, "notify_failed", "NOTIFY_SOCKET is of no kind that is known here")
        return cls(address if known else None, int(interval) / _MICROSECONDS if watched else None)

    def ready(self, status: str) -> None:
        """Say that clients are served from now on; before it the manager holds back whatever waits for us."""
        self._phase = _Phase.READY
        self._say("READY=1", self._status_line(status), patience=PATIENCE)

    def begin_reload(self) -> None:
        """Say that a reload has begun, unless the daemon is not ready yet, or is stopping."""
        if self._phase is _Phase.READY:
            # The manager takes only what is newer than its own request for a reload, hence the time.
            now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            self._reloading = True
            self._say("RELOADING=1", f"MONOTONIC_USEC={now}", patience=PATIENCE)

    def end_reload(self, status: str) -> None:
        """Say that the reload has ended, if it was said that it began; a stopping daemon says nothing.

        The end of a reload reads as `READY=1`, which would be wrong at any other time.
        """
        if self._reloading and self._phase is _Phase.READY:
            self._say("READY=1", self._status_line(status), patience=PATIENCE)
        self._reloading = False

    def stopping(self, status: str, longest: float) -> None:
        """Say that the daemon is about to end, which may take `longest` seconds from now."""
        self._phase = _Phase.STOPPING
        self._say("STOPPING=1", self._status_line(status), _extension(longest), patience=PATIENCE)

    def extend(self, longest: float) -> None:
        """Ask for so many seconds from now before the manager takes starting or stopping for hung."""
        self._say(_extension(longest), patience=PATIENCE)

    def alive(self) -> None:
        """Say that all is well; without this for `watchdog` seconds the manager ends the process."""
        if self.watchdog is not None:
            self._say("WATCHDOG=1")

    def tell(self, status: str) -> None:
        """Show a status, unless it is shown already."""
        shown = self._status
        if self._status_line(status) != shown:
            self._say(self._status)

    def close(self) -> None:
        """Say nothing more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _status_line(self, status: str) -> str:
        # One datagram holds one assignment a line: a status of several lines would make assignments of its own.
        self._status = "STATUS=" + " ".join(status.split())[:_LONGEST_STATUS]
        return self._status

    def _say(self, *lines: str, patience: float = 0.0) -> None:
        if self._socket is None:
            return
        self._socket.settimeout(patience)
        try:
            self._socket.send("\n".join(lines).encode("utf-8", "replace"))
            self._failing = False
        except OSError as error:
            # The daemon serves on: whoever watches it notices the silence.
            if not self._failing:
                log(logging.WARNING, "notify_failed", f"the service manager was not told: {error}")
            self._failing = True


def _extension(seconds: float) -> str:
    return f"EXTEND_TIMEOUT_USEC={int(seconds * _MICROSECONDS)}"


def _towards(address: str) -> socket.socket | None:
    """Return a socket connected to the manager's; `@` stands for the zero byte of an abstract address."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        sock.connect("\0" + address[1:] if address.startswith("@") else address)
    except OSError as error:
        sock.close()
        log(logging.WARNING, "notify_failed", f"the service manager cannot be told anything: {error}")
        return None
    return sock
