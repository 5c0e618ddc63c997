"""The composition root: builds all parts, starts them, and ends them in order."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import logging
import os
import resource
import secrets
import signal
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack

import uvloop

from compartmentd import __version__
from compartmentd.configuration.settings import ServerSettings
from compartmentd.control.admin import AdminService
from compartmentd.control.admin_access import AdminAccess
from compartmentd.control.builder import CompileInChild, GenerationBuilder
from compartmentd.control.generation import Generation, Subscriber
from compartmentd.control.last_good import GenerationKeeper
from compartmentd.control.reload import Reloader, take_in_fetched_keys
from compartmentd.control.revocation import Logouts, Revoker
from compartmentd.control.status import DaemonStatus, Readiness
from compartmentd.control.watch_scope import FileFollower
from compartmentd.daemon.drain import drain
from compartmentd.daemon.listeners import Listeners, build_server_options, format_url
from compartmentd.daemon.memory_dumps import forbid_memory_dumps
from compartmentd.daemon.memory_return import return_memory
from compartmentd.daemon.start import Options, Start, read_start
from compartmentd.daemon.stop import Stop
from compartmentd.daemon.subscribers import (
    CertificateInstaller,
    DecisionLogConfigurer,
    KeyFollower,
    LogStamper,
    ReloadNotifier,
    ServerConfigurer,
)
from compartmentd.daemon.systemd import Notifier
from compartmentd.daemon.ticker import Ticker
from compartmentd.daemon.watchdog import Heartbeat, SelfCheck
from compartmentd.http.admin import AdminServer
from compartmentd.http.admin.development import DaemonDevelopment
from compartmentd.http.client_files import make_client_route
from compartmentd.http.health import make_health_route
from compartmentd.http.logout import make_backchannel_route
from compartmentd.http.metrics import Metrics, Sources
from compartmentd.names import NamespaceName, Subject
from compartmentd.net.addresses import find_network
from compartmentd.net.bind import take_passed_sockets
from compartmentd.sessions.environment import Environment
from compartmentd.sessions.hub import Hub
from compartmentd.storage.generations import GenerationStore
from compartmentd.storage.kept_tokens import KeptTokens
from compartmentd.telemetry.decision_feed import DecisionFeed
from compartmentd.telemetry.decision_log import DecisionLog
from compartmentd.telemetry.logs import Stamp, admits, log, log_left_out, set_up_logging
from compartmentd.telemetry.loop_lag import LoopLag
from compartmentd.telemetry.terminal import Pretty, wants_colours
from compartmentd.telemetry.tracing import create_tracing
from compartmentd.transport.server import SocketServer
from compartmentd.util.allocator import find_allocator, measure_resident
from compartmentd.util.gc_tuning import collect_rarely, freeze_existing
from compartmentd.util.humanize import format_count
from compartmentd.util.tasks import BackgroundTasks

DEVELOPMENT_SESSION = 86400.0
"""Seconds for which the printed playground address is good: a working day and the night after it."""

FIRST_KEYS = 10.0
"""Seconds that the start waits for the keys of remote entries; those that are missing then are reported."""

ENDING = 15.0
"""Seconds that the service manager is asked for to end in: what clients take at the end, and room to spare."""


class SystemClock:
    """The machine's clocks."""

    wall = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


def serve(path: str, *, development: bool, environ: Mapping[str, str], last_good: bool = False) -> bool:
    """Run the daemon until it is asked to stop; return whether it stopped because a part of it failed.

    Args:
        path: the main file of the configuration.
        development: whether to serve the playground and mint tokens.
        environ: the environment.
        last_good: whether to start on the newest kept configuration that checks, where the files on disk do not.

    Raises:
        ConfigInvalid: the configuration has errors.
        UsageError: an address or a socket cannot be had.
    """
    stamp = set_up_logging(terminal=Pretty(colours=wants_colours(environ)) if development else None)
    options = Options(
        path=path,
        development=development,
        last_good=last_good,
        environ=environ,
        passed=take_passed_sockets(os.environ, os.getpid()),
    )
    notifier = Notifier.from_environment(os.environ, os.getpid())
    # A watchdog ends a process that hangs by SIGABRT: the log then has where it hung.
    faulthandler.enable()
    if not development:
        forbid_memory_dumps()
    _raise_descriptor_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(options, stamp, notifier))


async def _run(options: Options, stamp: Stamp, notifier: Notifier) -> bool:
    # Made in a call of its own: a frame that stays must not hold the first generation.
    daemon = await _build(options, stamp, notifier)
    gc.collect()
    freeze_existing()
    collect_rarely()
    await daemon.run()
    return daemon.failed


async def _build(options: Options, stamp: Stamp, notifier: Notifier) -> Daemon:
    return Daemon(*await read_start(options, stamp, notifier))


class Daemon:
    """A running daemon, from its first generation on; made and run once, on a running loop."""

    def __init__(self, start: Start, first: Generation) -> None:
        self._start = start
        self._stop = Stop()
        self._tasks = BackgroundTasks(self._stop.fail)
        self._tracing = create_tracing(os.environ)
        feed = DecisionFeed(with_values=start.options.development)
        self._decisions = DecisionLog(feed, tracing=self._tracing)
        self._hub = Hub(
            first.snapshot,
            Environment(
                clock=SystemClock(),
                new_sid=_make_sid,
                report_error=_log_failed_judgement,
                audit_log=self._decisions,
                keys=start.remote,
                find_network=find_network,
                report_observed=_log_observed,
            ),
        )
        if start.state is not None:
            self._hub.restore(start.state.loaded.revocations, start.state.loaded.max_age)
        compiler = CompileInChild(start.options.path, start.options.development)
        builder = GenerationBuilder(compiler, start.remote, start.development_mode)
        self._reloader = Reloader(builder, first, self._hub, self._tracing)
        self._files = FileFollower()
        state_path = first.configuration.server.state
        self._keeper = None if state_path is None else GenerationKeeper(GenerationStore(state_path))
        self._revoker = Revoker(self._hub, start.state)
        logouts = Logouts(self._hub, self._revoker, start.remote)
        self._server = SocketServer(
            self._hub,
            build_server_options(first.configuration),
            handlers=[
                make_backchannel_route(logouts),
                make_client_route(first.configuration.server.path, lambda: self._settings.client),
                make_health_route(lambda: self._settings.health, lambda: self._readiness.stopping),
            ],
        )
        self._readiness = Readiness()
        self._status = DaemonStatus(
            self._hub, self._reloader, start.remote, server=self._server, readiness=self._readiness
        )
        self._access = AdminAccess(self._hub, start.remote)
        self._administration = AdminService(
            hub=self._hub,
            access=self._access,
            status=self._status,
            reloader=self._reloader,
            revoker=self._revoker,
            feed=feed,
        )
        lag = LoopLag()
        self._ticker = Ticker(self._hub, lag)
        self._metrics = Metrics(Sources(self._hub, self._server, self._reloader, start.remote, lag))

    @property
    def _settings(self) -> ServerSettings:
        return self._reloader.generation.configuration.server

    @property
    def failed(self) -> bool:
        """Whether a part has failed."""
        return self._stop.failed

    async def run(self) -> None:
        """Serve until TERM or INT.

        Raises:
            UsageError: an address or the admin socket cannot be had.
        """
        options, settings = self._start.options, self._reloader.generation.configuration.server
        async with AsyncExitStack() as stack:
            stack.callback(self._tracing.close)
            listeners = Listeners.bind(
                settings, options.passed, options.environ, with_page=options.development
            )
            if self._start.state is not None:
                stack.callback(self._start.state.close)
            stack.push_async_callback(self._revoker.close)
            admin_server = AdminServer(
                self._administration, self._metrics, self._make_development(listeners), self._tracing
            )
            stack.push_async_callback(admin_server.close)
            stack.push_async_callback(self._server.close)
            stack.push_async_callback(self._tasks.cancel)
            stack.push_async_callback(self._start.remote.close)
            stack.push_async_callback(self._files.close)
            # Pushed last, so done first: a closed socket no longer knows its file.
            stack.callback(listeners.unlink_all)
            self._reloader.subscribe(*self._list_subscribers(listeners, admin_server))
            self._start_background()
            admin_server.add_sockets(listeners.admin)
            self._handle_signals()
            await self._wait_for_keys()
            if not self._stop.requested.is_set():
                self._server.add_sockets(listeners.public)
                self._start_serving(listeners)
            await self._stop.requested.wait()
            await self._drain(listeners)
        log_left_out(all_of_them=True)
        log(logging.INFO, "stopped", "stopped")

    # --- the parts ----------------------------------------------------------------------------------------------

    def _list_subscribers(self, listeners: Listeners, admin_server: AdminServer) -> list[Subscriber]:
        """Return every part that adopts a generation, in order.

        The hub decides by it already. What is written about it comes first, then what new connections meet, then
        what is followed because of it.
        """
        page_origins = listeners.list_page_origins(self._scheme) if self._start.options.development else ()
        return [
            LogStamper(self._start.stamp),
            DecisionLogConfigurer(self._decisions),
            ServerConfigurer(self._server, page_origins),
            CertificateInstaller(self._server, admin_server),
            self._files,
            KeyFollower(self._start.remote),
            *([] if self._keeper is None else [self._keeper]),
            ReloadNotifier(self._start.notifier, self._status),
        ]

    def _start_background(self) -> None:
        """Start what runs from the first generation on; clients are not served yet."""
        self._tasks.start(self._files.run(self._reloader))
        self._tasks.start(take_in_fetched_keys(self._start.remote, self._reloader))
        if self._keeper is not None:
            self._tasks.start(self._keeper.run())
        generation = self._reloader.generation
        if generation.stale and generation.configuration.server.watch:
            # A reload of the files on disk makes all of them followed: mending any of them is noticed.
            self._tasks.start(self._reloader.reload("start"))

    def _start_serving(self, listeners: Listeners) -> None:
        """Start what runs while clients are served, and say so."""
        notifier = self._start.notifier
        self._tasks.start(self._ticker.run())
        self._return_memory()
        self._log_ready(listeners)
        notifier.report_ready(self._status.as_line())
        check = SelfCheck(self._hub, self._ticker)
        self._tasks.start(Heartbeat(notifier, self._status.as_line, check.find_fault).run())

    def _return_memory(self) -> None:
        """Give memory back to the system after each peak, where the C library has a way to."""
        allocator = find_allocator()
        if allocator is None:
            log(
                logging.INFO,
                "memory_is_kept",
                "memory that a peak took stays with the process: only glibc 2.33 and later give it back",
            )
            return
        allocator.keep_large_buffers_apart()
        self._tasks.start(return_memory(allocator, measure_resident))

    def _make_development(self, listeners: Listeners) -> DaemonDevelopment | None:
        if not self._start.options.development:
            return None
        url = listeners.find_tcp_url(listeners.public, self._scheme) or ""
        return DaemonDevelopment(self._start.options.path, self._reloader, url)

    @property
    def _scheme(self) -> str:
        return "http" if self._reloader.generation.certificate is None else "https"

    def _log_ready(self, listeners: Listeners) -> None:
        log(
            logging.INFO,
            "ready",
            f"compartmentd {__version__} is ready",
            listen=[format_url(sock, self._scheme) for sock in listeners.public],
            admin=[format_url(sock, self._scheme) for sock in listeners.admin],
        )
        page = listeners.find_tcp_url(listeners.admin, self._scheme)
        if self._start.options.development and page is not None:
            token = self._issue_development_token(listeners)
            # To standard output and not to the log: the fragment is a key, and this is its one way to the user.
            print(f"\nPlayground: {page}/playground#token={token}\n", flush=True)  # noqa: T201

    def _issue_development_token(self, listeners: Listeners) -> str:
        """Return the admin token of this start; the page that is open keeps the one of an earlier start."""
        tokens, file = self._access.tokens, KeptTokens(listeners.admin_path)
        tokens.restore(file.read())
        token, _ = tokens.issue(DEVELOPMENT_SESSION)
        file.write(tokens.list_longest())
        return token

    # --- the start and the end ----------------------------------------------------------------------------------

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.request)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._tasks.start(self._reloader.reload("SIGHUP")))

    async def _wait_for_keys(self) -> None:
        """Let nobody in before the keys are there, or `FIRST_KEYS` seconds have passed, or the daemon stops."""
        self._start.notifier.extend(FIRST_KEYS + ENDING)
        self._start.notifier.tell("fetching the keys of remote issuers")
        first = asyncio.ensure_future(self._start.remote.wait_for_keys(FIRST_KEYS))
        stop = asyncio.ensure_future(self._stop.requested.wait())
        await asyncio.wait({first, stop}, return_when=asyncio.FIRST_COMPLETED)
        for task in (first, stop):
            task.cancel()
        self._readiness.starting = False

    async def _drain(self, listeners: Listeners) -> None:
        """Let nobody in any more, and close the connections little by little."""
        seconds = self._reloader.generation.configuration.server.drain
        if self._start.options.development or self.failed:
            # Nobody comes back elsewhere, or something that the sessions rest on is missing.
            seconds = 0.0
        self._readiness.stopping = True
        self._readiness.drained_at = time.time() + seconds
        connections = self._server.connections
        self._start.notifier.report_stopping(
            f"draining: {format_count(connections, 'connection')}", seconds + ENDING
        )
        how = f": connections are closed over {seconds:g} s, or at once at a second signal"
        text = f"stopping{how if connections and seconds else ''}"
        log(logging.INFO, "stopping", text, connections=connections, seconds=seconds)
        listeners.unlink_public()
        await drain(self._server, self._hub, seconds, self._stop, linger=listeners.handed_over)


def _raise_descriptor_limit() -> None:
    """Use as many descriptors as the system allows: shells start programs with far fewer than connections need."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _make_sid() -> str:
    return secrets.token_urlsafe(15)


def _log_failed_judgement(error: Exception) -> None:
    log(logging.ERROR, "session_not_judged", "a session could not be judged and was ended", exc=error)


_LONGEST_SUBJECT = 256
"""Characters of a subject in a log line."""


def _log_observed(namespace: NamespaceName, limit: str, user: Subject | None) -> None:
    if admits("limit_observed"):
        log(
            logging.INFO,
            "limit_observed",
            "a limit would have refused a request; `limits.mode` is `observe`",
            namespace=namespace,
            limit=limit,
            subject=None if user is None else f"{user.entry}:{user.sub}"[:_LONGEST_SUBJECT],
        )
