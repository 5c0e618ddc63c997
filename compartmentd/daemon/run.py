"""The composition root: builds everything, starts it, and ends it in order."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import logging
import os
import resource
import secrets
import signal
import socket
import time
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack
from functools import partial

import uvloop

from compartmentd import __version__
from compartmentd.configuration.compiler import Loaded
from compartmentd.control.admin import DaemonAdministration
from compartmentd.control.first_generation import certificate_of, start_up
from compartmentd.control.last_good import GenerationKeeper, Start, start_on_last_good
from compartmentd.control.reload import InForce, Reloader
from compartmentd.control.revocation import Logouts, Revoker
from compartmentd.control.watch_scope import Change, Followed, followed, what_changed
from compartmentd.daemon.listeners import bind_admin, bind_all, page_origins, server_options, url_of
from compartmentd.daemon.systemd import Notifier
from compartmentd.daemon.watchdog import Heartbeat, look
from compartmentd.errors import ConfigInvalid
from compartmentd.http.admin import AdminServer
from compartmentd.http.admin.development import DaemonDevelopment
from compartmentd.http.logout import backchannel
from compartmentd.http.metrics import Metrics, Sources
from compartmentd.keys.remote import RemoteKeys
from compartmentd.names import EntryName
from compartmentd.net.bind import Passed, passed_sockets, unlink
from compartmentd.problems import Problem
from compartmentd.protocol.connection import EngineConnection
from compartmentd.protocol.multiplex import SocketConnection
from compartmentd.sessions.hub import Hub
from compartmentd.storage.certificates import Certificate
from compartmentd.storage.generations import GenerationStore
from compartmentd.storage.revocations import RevocationStore, open_configured_state
from compartmentd.storage.watcher import Watcher
from compartmentd.telemetry.decision_feed import DecisionFeed
from compartmentd.telemetry.decision_log import DecisionLog
from compartmentd.telemetry.logs import Stamp, log, log_left_out, set_up_logging
from compartmentd.telemetry.loop_lag import LoopLag
from compartmentd.telemetry.tracing import create_tracing
from compartmentd.transport.draining import Draining
from compartmentd.transport.server import SocketServer
from compartmentd.util.cooperative import SLICE, yield_to_others
from compartmentd.util.gc_tuning import collect_rarely, freeze_existing
from compartmentd.util.humanize import format_count
from compartmentd.util.tasks import BackgroundTasks

DEVELOPMENT_SESSION = 86400.0
"""Seconds for which the printed playground address is good: a working day and the night after it."""

TICK = 0.1
"""Seconds between looks at what time brings: a session ends at most so much after its token."""

FIRST_KEYS = 10.0
"""Seconds that the start waits for the keys of remote entries; whoever lacks them then is reported."""


HANDING_OVER = 1.0
"""Seconds in which those who were accepted right before the end still have their request answered, where systemd
holds the listeners: who comes later waits there for the next process, so that nobody is refused."""

ENDING = 15.0
"""Seconds that the service manager is asked for to end in: what clients take at the end, and room to spare."""


class SystemClock:
    """The machine's clocks."""

    wall = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


def serve(path: str, *, development: bool, environ: Mapping[str, str], last_good: bool = False) -> bool:
    """Run the daemon until it is told to stop; tell whether it stopped because a part of it failed.

    With `last_good` it starts on the newest configuration that was in force before and still checks, where the
    files on disk do not.

    Raises:
        ConfigInvalid: the configuration has errors.
        UsageError: something that it asks for cannot be had (an address, a socket).
    """
    stamp = set_up_logging()
    passed = passed_sockets(os.environ, os.getpid())
    notifier = Notifier.of(os.environ, os.getpid())
    # A watchdog ends a process that hangs by SIGABRT: the log then has where it hung.
    faulthandler.enable()
    _take_descriptors()
    start: Start = partial(start_up, path, development=development, passed=passed)
    in_force, problems = start_on_last_good(path, start, environ) if last_good else start()
    configuration = in_force.snapshot.configuration
    certificate, warnings = certificate_of(configuration.server)
    state = open_configured_state(configuration)
    if isinstance(state, Problem):
        raise ConfigInvalid((state,))
    for problem in (*problems, *warnings):
        if problem.severity == "warning":
            log(logging.WARNING, "problem", str(problem), code=problem.code, help=problem.help)

    async def run() -> bool:
        daemon = Daemon(
            path, in_force, stamp, state, notifier, certificate=certificate, development=development
        )
        await daemon.run(passed, environ)
        return daemon.failed

    gc.collect()
    freeze_existing()
    collect_rarely()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


class Daemon:
    """A running daemon, from its first generation on; made and run once, on a running loop."""

    def __init__(
        self,
        path: str,
        in_force: InForce,
        stamp: Stamp,
        state: RevocationStore | None,
        notifier: Notifier,
        *,
        certificate: Certificate | None,
        development: bool,
    ) -> None:
        self._path = path
        self._stamp = stamp
        self._development = development
        self._stop = asyncio.Event()
        self._draining: Draining | None = None
        self._public: set[socket.socket] = set()
        self._handed_over = False
        self._page_origins: tuple[str, ...] = ()
        self._tasks = BackgroundTasks(self._fail)
        self.failed = False
        self._feed = DecisionFeed()
        self._tracing = create_tracing(os.environ)
        self._decisions = DecisionLog(self._feed, tracing=self._tracing)
        self._lag = LoopLag()
        self._notifier = notifier
        self._ticked = time.monotonic()
        self._remote = RemoteKeys(self._keys_changed)
        self._hub = Hub(
            in_force.snapshot,
            clock=SystemClock(),
            new_sid=_new_sid,
            failed=_judging_failed,
            journal=self._decisions,
            keys=self._remote,
        )
        self._reloader = Reloader(
            path,
            self._hub,
            in_force,
            remote=self._remote,
            development=development,
            took_force=self._took_force,
            was_refused=self._was_refused,
            announced=lambda: notifier.reloading(self._status),
            certificate=certificate,
            secure=self._secure,
            tracing=self._tracing,
        )
        self._state = state
        state_path = in_force.snapshot.configuration.server.state
        self._history = None if state_path is None else GenerationKeeper(GenerationStore(state_path))
        if state is not None:
            self._hub.restore(state.loaded.revocations, state.loaded.max_age)
        self._revoker = Revoker(self._hub, state)
        self._server = SocketServer(
            self._hub,
            server_options(in_force.snapshot.configuration),
            handlers=[backchannel(Logouts(self._hub, self._revoker, self._remote))],
        )
        self._securable: tuple[SocketServer | AdminServer, ...] = ()
        self._watcher = Watcher(self._changed, _cannot_watch)
        self._administration = DaemonAdministration(
            self._hub,
            self._reloader,
            self._feed,
            lambda: self._server.connections,
            remote=self._remote,
            revoker=self._revoker,
            metrics=Metrics(Sources(self._hub, self._server, self._reloader, self._remote, self._lag)).text,
        )

    async def run(self, passed: Passed, environ: Mapping[str, str]) -> None:
        """Serve until TERM or INT.

        Raises:
            UsageError: an address or the admin socket cannot be had.
        """
        settings = self._hub.snapshot.configuration.server
        async with AsyncExitStack() as stack:
            stack.callback(self._tracing.close)
            public = bind_all(settings.listen, passed)
            admin = bind_admin(settings, passed, environ)
            if self._development:
                self._page_origins = tuple(page_origins((*public, *admin), self._scheme))
            if self._state is not None:
                stack.callback(self._state.close)
            stack.push_async_callback(self._revoker.close)
            admin_server = AdminServer(self._administration, self._make_development(public), self._tracing)
            self._securable = (self._server, admin_server)
            self._secure(self._reloader.certificate)
            stack.push_async_callback(admin_server.close)
            stack.push_async_callback(self._server.close)
            stack.push_async_callback(self._tasks.cancel)
            stack.push_async_callback(self._remote.close)
            stack.push_async_callback(self._watcher.stop)
            # Pushed last, so done first: a closed socket no longer knows its file. Systemd keeps those it passed.
            theirs = {sock for sockets in passed.values() for sock in sockets}
            for sock in {*public, *admin} - theirs:
                stack.callback(unlink, sock)
            self._public = set(public) - theirs
            self._handed_over = not theirs.isdisjoint(public)
            self._took_force(self._reloader.in_force)
            if self._reloader.stale and settings.watch:
                # They are followed from here on, all of them: whichever is mended is noticed.
                self._tasks.start(self._reloader.reload("start"))
            admin_server.add_sockets(admin)
            self._mind_signals()
            await self._wait_for_keys()
            if not self._stop.is_set():
                self._server.add_sockets(public)
                self._ticked = time.monotonic()
                self._tasks.start(self._ticks())
                self._say_ready(public, admin)
                self._notifier.ready(self._status())
                self._tasks.start(Heartbeat(self._notifier, self._status, self._wrong).run())
            await self._stop.wait()
            await self._drain()
        log_left_out(all_of_them=True)
        log(logging.INFO, "stopped", "stopped")

    async def _drain(self) -> None:
        """Let nobody in any more, and close the connections little by little."""
        seconds = self._hub.snapshot.configuration.server.drain
        if self._development or self.failed:
            # Nobody comes back elsewhere, or something that the sessions rest on is missing.
            seconds = 0.0
        self._administration.stopping = True
        self._administration.drained_at = time.time() + seconds
        self._notifier.stopping(
            f"draining: {format_count(self._server.connections, 'connection')}", seconds + ENDING
        )
        log(logging.INFO, "stopping", "stopping", connections=self._server.connections, seconds=seconds)
        for sock in self._public:
            unlink(sock)
        # It may be hurried from now on, also before it runs.
        draining = self._draining = self._server.draining(seconds, self._part)
        if self._handed_over and seconds:
            self._server.stop_accepting()
            await asyncio.sleep(HANDING_OVER)
        self._server.stop()
        self._hub.leave()
        await draining.run()

    def _part(self, connection: EngineConnection) -> None:
        if isinstance(connection, SocketConnection):
            self._hub.say_goodbye(connection.sessions)

    # --- listeners ---------------------------------------------------------------------------------------------

    def _make_development(self, public: Collection[socket.socket]) -> DaemonDevelopment | None:
        if not self._development:
            return None
        url = next((url_of(sock, self._scheme) for sock in public if sock.family != socket.AF_UNIX), "")
        return DaemonDevelopment(self._path, self._hub, self._reloader, url)

    def _say_ready(self, public: Collection[socket.socket], admin: Collection[socket.socket]) -> None:
        log(
            logging.INFO,
            "ready",
            f"compartmentd {__version__} is ready",
            listen=[url_of(sock, self._scheme) for sock in public],
            admin=[url_of(sock, self._scheme) for sock in admin],
        )
        page = next((url_of(sock, self._scheme) for sock in admin if sock.family != socket.AF_UNIX), None)
        if self._development and page is not None:
            token, _ = self._administration.tokens.issue(DEVELOPMENT_SESSION)
            # To standard output and not to the log: the fragment is a key, and this is its one way to the user.
            print(f"\nPlayground: {page}/playground#token={token}\n", flush=True)  # noqa: T201

    @property
    def _scheme(self) -> str:
        return "http" if self._reloader.certificate is None else "https"

    def _secure(self, certificate: Certificate | None) -> None:
        """Use a certificate on all listeners, for the connections from now on."""
        for server in self._securable:
            server.secure(None if certificate is None else certificate.context)

    # --- what comes from outside -------------------------------------------------------------------------------

    def _mind_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._tasks.start(self._reloader.reload("SIGHUP")))

    def _end(self) -> None:
        """End by draining; asked once more, end at once."""
        if self._draining is not None:
            self._draining.hurry()
        self._stop.set()

    def _changed(self, paths: Collection[str]) -> None:
        """Take in files that changed on disk."""
        change = what_changed(self._reloader.in_force.snapshot.configuration, paths)
        if Change.EVERYTHING in change:
            self._tasks.start(self._reloader.reload("watch"))
        if Change.KEYS in change:
            self._tasks.start(self._reloader.reload_keys("watch"))
        if Change.CERTIFICATE in change:
            self._tasks.start(self._reloader.reload_certificate("watch"))

    def _took_force(self, in_force: InForce) -> None:
        """Follow a new generation: options of the server, files to watch, the logs' stamp."""
        snapshot = in_force.snapshot
        self._stamp.generation = snapshot.generation
        self._stamp.digest = snapshot.digest
        self._decisions.settings = snapshot.configuration.log
        self._server.configure(server_options(snapshot.configuration, self._page_origins))
        self._follow(followed(in_force), in_force.read_at)
        self._remote.follow(snapshot.configuration.issuers)
        if self._history is not None and in_force.contents:
            self._tasks.start(self._history.keep(in_force.contents, time.time()))

    def _was_refused(self, loaded: Loaded, read_at: float) -> None:
        """Follow what refused files name, too."""
        self._follow(followed(self._reloader.in_force, loaded), read_at)

    def _follow(self, what: Followed, read_at: float) -> None:
        self._watcher.watch(what.files, what.globs, since=read_at)

    # --- what the service manager sees -------------------------------------------------------------------------

    def _status(self) -> str:
        """Return the line that `systemctl status` shows: what is in force, how much, and what was refused last."""
        now, registry, last = self._hub.snapshot, self._hub.registry, self._reloader.last
        rooms = sum(len(namespace.rooms) for namespace in registry.namespaces.values())
        line = (
            f"generation {now.generation} ({now.digest[:12]}): "
            f"{format_count(self._server.connections, 'connection')}, "
            f"{format_count(registry.sessions, 'session')}, {format_count(rooms, 'room')}"
        )
        if last is None or last.ok:
            return line
        # First, since the line may be cut off.
        first = next((problem for problem in last.problems if problem.severity == "error"), "see the log")
        return f"reload refused: {first}; still {line}"

    def _wrong(self) -> str | None:
        return look(time.monotonic() - self._ticked, self._hub.snapshot.rules, time.time())

    # --- remote keys -------------------------------------------------------------------------------------------

    async def _wait_for_keys(self) -> None:
        """Let nobody in before the keys are there, or it has been waited for long enough, or the daemon stops."""
        self._notifier.extend(FIRST_KEYS + ENDING)
        self._notifier.tell("fetching the keys of remote issuers")
        first = asyncio.ensure_future(self._remote.wait_for_keys(FIRST_KEYS))
        stop = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({first, stop}, return_when=asyncio.FIRST_COMPLETED)
        for task in (first, stop):
            task.cancel()
        self._administration.starting = False

    async def _keys_changed(self, entry: EntryName) -> None:
        """Take in keys that were fetched; a failure stops the daemon, like that of any other part."""
        await asyncio.wait({self._tasks.start(self._reloader.take_remote_keys(f"keys of {entry}"))})

    # --- time --------------------------------------------------------------------------------------------------

    async def _ticks(self) -> None:
        while True:
            self._ticked = time.monotonic()
            more = self._hub.tick(SLICE)
            wait = 0.0 if more else TICK
            due = time.monotonic() + wait
            await asyncio.sleep(wait)
            self._lag.note(time.monotonic() - due)
            if more:
                await yield_to_others()
            log_left_out()

    def _fail(self, error: BaseException) -> None:
        """Stop after the failure of a part: what it did would be missing silently."""
        log(logging.CRITICAL, "part_failed", "a part of the daemon failed", exc=error)
        self.failed = True
        self._end()


def _cannot_watch(why: str) -> None:
    log(logging.WARNING, "watch_degraded", why)


def _take_descriptors() -> None:
    """Use as many descriptors as the system lets us: shells start programs with far fewer than connections want."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _new_sid() -> str:
    return secrets.token_urlsafe(15)


def _judging_failed(error: Exception) -> None:
    log(logging.ERROR, "session_not_judged", "a session could not be judged and was ended", exc=error)
