"""The state of the daemon, for administrators, load balancers and the service manager."""

from __future__ import annotations

import time
from typing import Protocol

from compartmentd import __version__
from compartmentd.control.reload import Reloader
from compartmentd.control.requests import JsonObject
from compartmentd.keys.remote import RemoteKeys
from compartmentd.sessions.hub import Hub
from compartmentd.util.humanize import format_count


class Readiness:
    """Whether clients should be sent here. The daemon sets it when it starts, serves and stops.

    Attributes:
        starting: the first keys are waited for.
        stopping: no more clients are let in.
        drained_at: wall time in seconds at which the last connection is closed; `None` before the drain.
    """

    def __init__(self) -> None:
        self.starting = True
        self.stopping = False
        self.drained_at: float | None = None

    def find_obstacle(self) -> str | None:
        """Return why no clients should be sent here, or `None`."""
        if self.stopping:
            return "the daemon is stopping"
        return "the keys of remote issuers are being fetched" if self.starting else None


class ConnectionCount(Protocol):
    """The server of the connections."""

    @property
    def connections(self) -> int:
        """How many connections there are."""


class DaemonStatus:
    """Describes the configuration in force, how much of it is used, and how the last reload ended."""

    def __init__(
        self,
        hub: Hub,
        reloader: Reloader,
        remote: RemoteKeys,
        server: ConnectionCount,
        readiness: Readiness,
    ) -> None:
        self._hub = hub
        self._reloader = reloader
        self._remote = remote
        self._server = server
        self._readiness = readiness
        self._started = time.time()

    @property
    def lacking_keys(self) -> tuple[str, ...]:
        """The entries whose tokens are refused because their keys cannot be had."""
        return self._remote.entries_without_keys

    def find_obstacle(self) -> str | None:
        """Return why no clients should be sent here, or `None`."""
        return self._readiness.find_obstacle()

    def as_json(self) -> JsonObject:
        """Return the status, as the admin API documents it."""
        generation, last = self._reloader.generation, self._reloader.last
        certificate, drained_at = generation.certificate, self._readiness.drained_at
        live = self._hub.registry.namespaces
        return {
            "version": __version__,
            "generation": generation.number,
            "digest": generation.digest,
            "started": _to_milliseconds(self._started),
            "last_reload": None
            if last is None
            else {
                "ok": last.ok,
                "at": _to_milliseconds(last.at),
                "problems": [problem.as_json() for problem in last.problems],
            },
            "last_good": [problem.as_json() for problem in generation.stale] or None,
            "draining": None if drained_at is None else {"until": _to_milliseconds(drained_at)},
            "tls": None if certificate is None else {"expires": _to_milliseconds(certificate.expires_at)},
            "connections": self._server.connections,
            "sessions": self._hub.registry.sessions,
            "rooms": self._count_rooms(),
            "namespaces": {
                name: {
                    "sessions": len(live[name].sessions) if name in live else 0,
                    "rooms": len(live[name].rooms) if name in live else 0,
                }
                for name in generation.configuration.policy.namespaces
            },
            "keys": self._remote.build_status(),
        }

    def as_line(self) -> str:
        """Return the line that `systemctl status` shows."""
        generation, last = self._reloader.generation, self._reloader.last
        line = (
            f"generation {generation.number} ({generation.digest[:12]}): "
            f"{format_count(self._server.connections, 'connection')}, "
            f"{format_count(self._hub.registry.sessions, 'session')}, {format_count(self._count_rooms(), 'room')}"
        )
        if last is None or last.ok:
            return line
        # First, since the line may be cut off.
        first = next((problem for problem in last.problems if problem.severity == "error"), "see the log")
        return f"reload refused: {first}; still {line}"

    def _count_rooms(self) -> int:
        return sum(len(namespace.rooms) for namespace in self._hub.registry.namespaces.values())


def _to_milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
