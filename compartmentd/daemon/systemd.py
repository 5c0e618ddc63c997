"""Reports the state of the daemon to the service manager that started it, by the datagrams of sd_notify(3).

Without a manager (`$NOTIFY_SOCKET` is not set) every call does nothing.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import MutableMapping
from enum import Enum

from compartmentd.telemetry.logs import log

SEND_TIMEOUT = 1.0
"""Seconds that a change of state may wait for room in the manager's queue, since it is sent only once. Status and
watchdog are sent again anyway, and do not wait."""

_LONGEST_STATUS = 1000
"""Characters; the manager shows one line of it."""

_MICROSECONDS = 1_000_000


class _Phase(Enum):
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


class Notifier:
    """Sends the state of the daemon to the service manager.

    `watchdog` is the number of seconds within which the manager must hear `alive`; `None` if it need not.
    """

    def __init__(self, address: str | None, watchdog: float | None = None) -> None:
        self.watchdog = watchdog
        self._socket = None if address is None else _connect(address)
        self._phase = _Phase.STARTING
        self._status = ""
        self._failing = False
        self._reloading = False

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str], pid: int) -> Notifier:
        """Return the notifier that the environment asks for (sd_notify(3), sd_watchdog_enabled(3)).

        The variables are removed, so that no child process speaks to the manager in our name.
        """
        address = environ.pop("NOTIFY_SOCKET", "")
        interval = environ.pop("WATCHDOG_USEC", "")
        meant_for = environ.pop("WATCHDOG_PID", str(pid))
        watched = interval.isdecimal() and int(interval) > 0 and meant_for == str(pid)
        # systemd also has vsock addresses, for virtual machines as a whole; a service is given none.
        known = address[:1] in {"/", "@"}
        if address and not known:
            log(
                logging.WARNING,
                "notify_failed",
                "NOTIFY_SOCKET is neither a path nor an abstract address, so the service manager is told nothing",
            )
        return cls(address if known else None, int(interval) / _MICROSECONDS if watched else None)

    def report_ready(self, status: str) -> None:
        """Say that clients are served from now on; until then the manager holds back units that wait for us."""
        self._phase = _Phase.READY
        self._send("READY=1", self._set_status(status), timeout=SEND_TIMEOUT)

    def begin_reload(self) -> None:
        """Say that a reload has begun, unless the daemon is not ready yet, or is stopping."""
        if self._phase is _Phase.READY:
            # The manager takes only what is newer than its own request for a reload, hence the time.
            now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            self._reloading = True
            self._send("RELOADING=1", f"MONOTONIC_USEC={now}", timeout=SEND_TIMEOUT)

    def end_reload(self, status: str) -> None:
        """Say that the reload has ended, if it was said that it began; a stopping daemon says nothing.

        The end of a reload reads as `READY=1`, which would be wrong at any other time.
        """
        if self._reloading and self._phase is _Phase.READY:
            self._send("READY=1", self._set_status(status), timeout=SEND_TIMEOUT)
        self._reloading = False

    def report_stopping(self, status: str, longest: float) -> None:
        """Say that the daemon is about to end, which may take `longest` seconds from now."""
        self._phase = _Phase.STOPPING
        self._send("STOPPING=1", self._set_status(status), _format_extension(longest), timeout=SEND_TIMEOUT)

    def extend(self, longest: float) -> None:
        """Ask the manager to wait so many seconds from now before it takes a start or a stop for hung."""
        self._send(_format_extension(longest), timeout=SEND_TIMEOUT)

    def report_alive(self) -> None:
        """Say that all is well; if that is missing for `watchdog` seconds, the manager ends the process."""
        if self.watchdog is not None:
            self._send("WATCHDOG=1")

    def tell(self, status: str) -> None:
        """Show a status, unless it is shown already."""
        shown = self._status
        if self._set_status(status) != shown:
            self._send(self._status)

    def close(self) -> None:
        """Say nothing more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _set_status(self, status: str) -> str:
        # A datagram holds one assignment on each line: a status of several lines would make more assignments.
        self._status = "STATUS=" + " ".join(status.split())[:_LONGEST_STATUS]
        return self._status

    def _send(self, *lines: str, timeout: float = 0.0) -> None:
        if self._socket is None:
            return
        self._socket.settimeout(timeout)
        try:
            self._socket.send("\n".join(lines).encode("utf-8", "replace"))
            self._failing = False
        except OSError as error:
            # The daemon goes on serving: a manager that watches it notices the silence.
            if not self._failing:
                log(logging.WARNING, "notify_failed", f"the service manager was not told: {error}")
            self._failing = True


def _format_extension(seconds: float) -> str:
    return f"EXTEND_TIMEOUT_USEC={int(seconds * _MICROSECONDS)}"


def _connect(address: str) -> socket.socket | None:
    """Return a socket connected to the manager's; `@` stands for the zero byte of an abstract address."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        sock.connect("\0" + address[1:] if address.startswith("@") else address)
    except OSError as error:
        sock.close()
        log(logging.WARNING, "notify_failed", f"the service manager cannot be told anything: {error}")
        return None
    return sock
