"""The parts of the daemon that adopt a new generation, other than those that can do so by themselves."""

from __future__ import annotations

from compartmentd.control.generation import Generation, Subscriber
from compartmentd.control.status import DaemonStatus
from compartmentd.daemon.listeners import build_server_options
from compartmentd.daemon.systemd import Notifier
from compartmentd.http.admin import AdminServer
from compartmentd.keys.remote import RemoteKeys
from compartmentd.telemetry.decision_log import DecisionLog
from compartmentd.telemetry.logs import Stamp
from compartmentd.transport.server import SocketServer


class LogStamper(Subscriber):
    """Writes the generation and its digest into every log line."""

    def __init__(self, stamp: Stamp) -> None:
        self._stamp = stamp

    def adopt(self, generation: Generation) -> None:
        """Use the number and digest from now on."""
        self._stamp.generation = generation.number
        self._stamp.digest = generation.digest


class DecisionLogConfigurer(Subscriber):
    """Logs decisions as `log` says."""

    def __init__(self, decisions: DecisionLog) -> None:
        self._decisions = decisions

    def adopt(self, generation: Generation) -> None:
        """Use the settings from the next decision on."""
        self._decisions.settings = generation.configuration.log


class ServerConfigurer(Subscriber):
    """Serves connections as `server` says; `page_origins` are allowed besides (the playground's)."""

    def __init__(self, server: SocketServer, page_origins: tuple[str, ...]) -> None:
        self._server = server
        self._page_origins = page_origins

    def adopt(self, generation: Generation) -> None:
        """Use the options for new connections and requests."""
        self._server.configure(build_server_options(generation.configuration, self._page_origins))


class CertificateInstaller(Subscriber):
    """Speaks TLS with the certificate in force, on all listeners."""

    def __init__(self, *servers: SocketServer | AdminServer) -> None:
        self._servers = servers

    def adopt(self, generation: Generation) -> None:
        """Use the certificate for new connections; those that exist keep theirs."""
        certificate = generation.certificate
        for server in self._servers:
            server.secure(None if certificate is None else certificate.context)


class KeyFollower(Subscriber):
    """Fetches the keys of the entries in force, and of no others."""

    def __init__(self, remote: RemoteKeys) -> None:
        self._remote = remote

    def adopt(self, generation: Generation) -> None:
        """Follow the entries that are in force now."""
        self._remote.follow(generation.configuration.issuers)


class ReloadNotifier(Subscriber):
    """Tells the service manager when a reload begins and ends."""

    def __init__(self, notifier: Notifier, status: DaemonStatus) -> None:
        self._notifier = notifier
        self._status = status

    def begin(self) -> None:
        """Say that a reload has begun."""
        self._notifier.begin_reload()

    def end(self) -> None:
        """Say that it has ended, with the status then."""
        self._notifier.end_reload(self._status.as_line())
