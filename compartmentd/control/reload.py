"""Reload: read, check, compile, compare, swap one reference, judge the live sessions. All of it or nothing.

Any error on the way leaves the old generation in force. From the swap on everything is decided by the new one;
the reload is done, and answered, once every live session has been judged by it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import msgspec

from compartmentd.configuration.compiler import Contents, Loaded
from compartmentd.configuration.settings import Configuration, ServerSettings
from compartmentd.configuration.snapshot import Snapshot, build_snapshot, keyset_of, with_remote
from compartmentd.control.compile_worker import compile_in_child
from compartmentd.control.release import freed, gathered, templates_of
from compartmentd.control.reload_report import Report, TakenIn, Tally, tell
from compartmentd.keys.files import make_missing_secrets, read_material
from compartmentd.keys.remote import RemoteKeys
from compartmentd.names import Digest, EntryName
from compartmentd.problems import Problem, has_errors, span_of_file
from compartmentd.sessions.hub import Hub
from compartmentd.sessions.reevaluate import Evictions
from compartmentd.storage.certificates import Certificate, check_validity, read_certificate
from compartmentd.telemetry.logs import log
from compartmentd.telemetry.tracing import NoTracing, Tracing
from compartmentd.tokens.entry import IssuerEntry
from compartmentd.tokens.keyset import Key, KeySet
from compartmentd.tokens.remote import warn_of_plain_http
from compartmentd.util.cooperative import SLICE, run_in_slices, yield_to_others
from compartmentd.util.gc_tuning import freeze_existing, without_collections

SETTLE = 0.25
"""Seconds after which a file that a watch saw and that does not check is read once more: an editor that writes
in place shows half a file for a moment."""

FETCHING = 5.0
"""Seconds that a reload waits for the keys of entries that it adds or changes: without them their sessions end,
and with a provider that is down they would be waited for in vain."""

NEEDS_RESTART = ("listen", "admin", "path", "state")
"""Keys of `server` that are bound to what exists since the start."""


class LocalKeys(msgspec.Struct, frozen=True):
    """The keys that are read where they lie, with a digest of their bytes, to tell whether one changed.

    The digest is never shown.
    """

    keys: KeySet
    digest: str

    @classmethod
    def of(cls, keys: KeySet, material: Mapping[EntryName, bytes]) -> LocalKeys:
        """Return keys with the digest of the bytes that they were read from."""
        digest = hashlib.sha256()
        for name in sorted(material):
            digest.update(hashlib.sha256(name.encode()).digest() + hashlib.sha256(material[name]).digest())
        return cls(keys, digest.hexdigest())


class InForce(msgspec.Struct, frozen=True):
    """What the daemon runs on: a snapshot, the files it came from, and what tells whether its keys changed.

    `read_at` is the wall time (seconds) before the first of the files was read. `contents` are those of a
    configuration that came into force with this snapshot, and empty where only keys changed. `stale` holds the
    problems of the files on disk, where an earlier configuration had to be taken in their place.
    """

    snapshot: Snapshot
    files: tuple[str, ...]
    globs: tuple[str, ...]
    local: LocalKeys
    remote: str
    read_at: float
    contents: Contents = ()
    stale: tuple[Problem, ...] = ()


def digest_of(remote: Mapping[EntryName, tuple[Key, ...]]) -> str:
    """Return a digest of keys that were fetched, to tell whether one changed."""
    keys = [
        (name, sorted(msgspec.json.encode(key.identity) for key in group))
        for name, group in sorted(remote.items())
    ]
    return hashlib.sha256(msgspec.json.encode(keys)).hexdigest()


def standing_warnings(issuers: tuple[IssuerEntry, ...]) -> tuple[Problem, ...]:
    """Return what is warned of at every start and reload for as long as the configuration allows it."""
    return tuple(warning for entry in issuers if (warning := warn_of_plain_http(entry)) is not None)


class Reloader:
    """Carries out reloads, one at a time; whatever is asked for meanwhile causes exactly one more."""

    def __init__(
        self,
        path: str,
        hub: Hub,
        in_force: InForce,
        *,
        remote: RemoteKeys,
        development: bool,
        took_force: Callable[[InForce], None],
        was_refused: Callable[[Loaded, float], None],
        certificate: Certificate | None = None,
        secure: Callable[[Certificate | None], None] = lambda _: None,
        announced: Callable[[], AbstractContextManager[None]] = nullcontext,
        tracing: Tracing | None = None,
    ) -> None:
        """`announced` is what every reload runs in, whatever comes of it."""
        self._path = path
        self._hub = hub
        self._remote = remote
        self._development = development
        self._took_force = took_force
        self._was_refused = was_refused
        self._secure = secure
        self._announced = announced
        self._tracing = tracing or NoTracing()
        self._read_at = in_force.read_at
        self._turn = asyncio.Lock()
        self._next: dict[Callable[[str], Awaitable[Report]], asyncio.Task[Report]] = {}
        self._contents: Contents = ()
        self._taken_in: TakenIn | None = None
        self.in_force = in_force
        self.certificate = certificate
        self.stale = in_force.stale
        # The last of each kind: that keys are well says nothing about files that were refused before.
        self._ended: dict[Callable[[str], Awaitable[Report]], Report] = {}
        self.tally = Tally()

    async def reload(self, cause: str) -> Report:
        """Reload configuration and keys; returns once it is in force for every session, or refused."""
        return await self._queued(cause, self._everything)

    async def reload_keys(self, cause: str) -> Report:
        """Take in changed keys alone, with the configuration as it is in force."""
        return await self._queued(cause, self._keys)

    async def reload_certificate(self, cause: str) -> Report:
        """Take in a changed certificate alone, with the configuration as it is in force."""
        return await self._queued(cause, self._certificate_alone)

    async def take_remote_keys(self, cause: str) -> Report:
        """Take in keys that were fetched, and nothing else: a broken file must not keep a withdrawn key alive."""
        return await self._queued(cause, self._remote_keys)

    async def _queued(self, cause: str, run: Callable[[str], Awaitable[Report]]) -> Report:
        waiting = self._next.get(run)
        if waiting is None:
            waiting = self._next[run] = asyncio.ensure_future(self._when_free(cause, run))
        # A caller that goes away (a closed connection) does not take the reload with it.
        return await asyncio.shield(waiting)

    async def _when_free(self, cause: str, run: Callable[[str], Awaitable[Report]]) -> Report:
        async with self._turn:
            # Whoever asks from here on may have changed something that this run no longer sees.
            del self._next[run]
            started = time.monotonic()
            self._read_at = time.time()
            with self._announced(), self._tracing.reload(cause) as trace, without_collections():
                before = self.in_force.snapshot.generation
                report = await self._attempted(run, cause)
                trace(ok=report.ok, changed=report.changed, generation=report.generation)
                if report.changed:
                    freeze_existing()
                if report.generation != before and run != self._remote_keys:
                    self._taken_in = TakenIn.by(report, cause)
                elif report.ok and not report.changed:
                    report = msgspec.structs.replace(report, taken_in=self._taken_in)
                self._note(run, report)
            seconds = time.monotonic() - started
            self.tally.add(report, seconds)
            tell(report, cause, seconds)
            return report

    async def _attempted(self, run: Callable[[str], Awaitable[Report]], cause: str) -> Report:
        """Run a reload; one that the system hinders before anything has changed is refused like a bad file."""
        # Not what was in force itself: held in here, the old policy would be freed at once at the end (55 ms).
        generation, certificate = self.in_force.snapshot.generation, self.certificate
        try:
            return await run(cause)
        except OSError as error:
            if self.in_force.snapshot.generation != generation or self.certificate is not certificate:
                raise  # half done: nobody knows what is missing
            return self._refused((_hindered(self._path, error),))

    def _note(self, run: Callable[[str], Awaitable[Report]], report: Report) -> None:
        if report.ok and run == self._everything:
            self._ended.clear()  # it has read all that the others read
        self._ended[run] = report

    @property
    def last(self) -> Report | None:
        """How the last reload ended; while something on disk is refused, how the last that refused it did."""
        refused = [report for report in self._ended.values() if not report.ok]
        return max(refused or self._ended.values(), key=lambda report: report.at, default=None)

    async def _everything(self, cause: str) -> Report:
        loaded = await self._compile()
        if cause == "watch" and has_errors(loaded.problems):
            await asyncio.sleep(SETTLE)
            loaded = await self._compile()
        configuration = self._configuration(loaded)
        report = await self._taken(loaded, configuration, cause)
        if not report.ok:
            self._was_refused(loaded, self._read_at)
        self._mind_staleness(report)
        if not report.ok and configuration is not None:
            templates = list(templates_of(configuration))
            del loaded, configuration
            await run_in_slices(freed(templates))
        return report

    def _mind_staleness(self, report: Report) -> None:
        """Files that were refused at the start are in force now, or are refused for other reasons."""
        if self.stale and report.ok:
            log(logging.WARNING, "last_good_left", "the files on disk are good again, and in force")
        self.stale = () if report.ok or not self.stale else report.problems

    async def _taken(self, loaded: Loaded, configuration: Configuration | None, cause: str) -> Report:
        if configuration is None:
            return self._refused(loaded.problems)
        warnings = dict.fromkeys((*loaded.problems, *standing_warnings(configuration.issuers)))
        problems = (*warnings, *needing_restart(self._server, configuration))
        if has_errors(problems):
            return self._refused(problems)
        certificate = await self._read_certificate(configuration.server, cause)
        if isinstance(certificate, Problem):
            return self._refused((*problems, certificate))
        problems = (*problems, *_untimely(configuration.server, certificate))
        self._contents = loaded.contents
        report = await self._adopt(configuration, loaded.digest, (loaded.files, loaded.globs), problems)
        return self._secured(report, certificate) if report.ok else report

    async def _certificate_alone(self, cause: str) -> Report:
        certificate = await self._read_certificate(self._server, cause)
        if isinstance(certificate, Problem):
            return self._refused((certificate,))
        return self._secured(self._report(_untimely(self._server, certificate)), certificate)

    async def _read_certificate(self, server: ServerSettings, cause: str) -> Certificate | Problem | None:
        """Read the certificate; its two files are replaced one after the other, so a watch may see one of each."""
        if server.tls is None:
            return None
        found = await asyncio.to_thread(read_certificate, server.tls)
        if isinstance(found, Problem) and cause == "watch":
            await asyncio.sleep(SETTLE)
            found = await asyncio.to_thread(read_certificate, server.tls)
        return found

    def _secured(self, report: Report, certificate: Certificate | None) -> Report:
        """Use a certificate for new connections, if it is another; it decides nothing, so it is no generation."""
        if _digest(certificate) == _digest(self.certificate):
            return report
        self.certificate = certificate
        self._secure(certificate)
        return msgspec.structs.replace(report, changed=True)

    async def _compile(self) -> Loaded:
        known = self.in_force.snapshot.digest
        loaded = await compile_in_child(self._path, known, serving=not self._development)
        configuration = self._configuration(loaded)
        if self._development and configuration is not None:
            make_missing_secrets(configuration.issuers)
        return loaded

    def _configuration(self, loaded: Loaded) -> Configuration | None:
        """Return what was loaded: the one in force, where the files are still the same."""
        snapshot = self.in_force.snapshot
        if has_errors(loaded.problems):
            return None
        return snapshot.configuration if loaded.digest == snapshot.digest else loaded.configuration

    async def _keys(self, _cause: str) -> Report:
        now = self.in_force
        snapshot = now.snapshot
        return await self._adopt(snapshot.configuration, snapshot.digest, (now.files, now.globs), ())

    async def _remote_keys(self, _cause: str) -> Report:
        now = self.in_force
        snapshot = now.snapshot
        return await self._replace(
            snapshot.configuration, snapshot.digest, (now.files, now.globs), (), now.local
        )

    async def _adopt(
        self,
        configuration: Configuration,
        digest: Digest,
        files: tuple[tuple[str, ...], tuple[str, ...]],
        problems: tuple[Problem, ...],
    ) -> Report:
        """Read the local keys, have the remote ones, and put both in force with the configuration."""
        material, unreadable = await asyncio.to_thread(
            read_material,
            configuration.issuers,
            development=self._development,
        )
        keys, unusable = keyset_of(configuration.issuers, material)
        problems = (*problems, *unreadable, *unusable)
        if has_errors(problems):
            return self._refused(problems)
        # Last, since it may take its time: whatever is wrong here is known already.
        problems = (*problems, *await self._fetch(configuration.issuers))
        return await self._replace(configuration, digest, files, problems, LocalKeys.of(keys, material))

    async def _replace(
        self,
        configuration: Configuration,
        digest: Digest,
        files: tuple[tuple[str, ...], tuple[str, ...]],
        problems: tuple[Problem, ...],
        local: LocalKeys,
    ) -> Report:
        """Make a snapshot of the configuration and the keys of this moment, and put it in force."""
        remote = self._remote.get_keys(configuration.issuers)
        mark = digest_of(remote)
        old = self.in_force
        if (digest, local.digest, mark) == (old.snapshot.digest, old.local.digest, old.remote):
            return self._report(problems)
        generation = old.snapshot.generation + 1
        keys = with_remote(local.keys, remote)
        if configuration is old.snapshot.configuration:
            snapshot = msgspec.structs.replace(old.snapshot, generation=generation, keys=keys)
        else:
            snapshot = await run_in_slices(build_snapshot(configuration, digest, keys, generation))
        contents = () if digest == old.snapshot.digest else self._contents
        self.in_force = InForce(snapshot, *files, local, mark, self._read_at, contents)
        self._hub.swap(snapshot)
        try:
            self._took_force(self.in_force)
            await yield_to_others()
        finally:
            # Whatever fails there: nobody may keep what the new policy denies, or wait for it for ever.
            judging = True
            while judging:
                judging = not self._hub.judge_some(SLICE)
                await yield_to_others()
        if old.snapshot.rules is not snapshot.rules:
            parts = await run_in_slices(gathered(old.snapshot))
            del old
            await run_in_slices(freed(parts))
        return self._report(problems, changed=True)

    async def _fetch(self, issuers: tuple[IssuerEntry, ...]) -> tuple[Problem, ...]:
        """Have the remote keys of entries that are new; those that cannot be had are worth a warning."""
        spans = {entry.name: entry.keys.span for entry in issuers}
        return tuple(
            Problem(
                "warning",
                "keys_unavailable",
                f"the keys of `{name}` could not be fetched yet",
                spans[name],
                "its tokens are refused until then; the log and `/admin/status` say why",
            )
            for name in await self._remote.prepare(issuers, FETCHING)
        )

    @property
    def _server(self) -> ServerSettings:
        return self.in_force.snapshot.configuration.server

    def _report(self, problems: tuple[Problem, ...], *, changed: bool = False) -> Report:
        snapshot = self.in_force.snapshot
        return Report(
            ok=True,
            changed=changed,
            generation=snapshot.generation,
            digest=snapshot.digest,
            judged=self._hub.judged if changed else 0,
            evicted=self._hub.evicted if changed else Evictions(),
            problems=problems,
            at=time.time(),
        )

    def _refused(self, problems: tuple[Problem, ...]) -> Report:
        snapshot = self.in_force.snapshot
        return Report(
            ok=False,
            generation=snapshot.generation,
            digest=snapshot.digest,
            problems=problems,
            at=time.time(),
        )


def _hindered(path: str, error: OSError) -> Problem:
    what = f"`{error.filename}`: " if isinstance(error.filename, str) else ""
    return Problem(
        "error",
        "reload_failed",
        f"the reload failed: {what}{(error.strerror or 'unknown error').lower()}",
        span_of_file(path),
        "nothing was changed; run `compartmentd reload` when that is mended",
    )


def _digest(certificate: Certificate | None) -> str | None:
    return None if certificate is None else certificate.digest


def _untimely(server: ServerSettings, certificate: Certificate | None) -> tuple[Problem, ...]:
    if server.tls is None or certificate is None:
        return ()
    return check_validity(server.tls, certificate, time.time())


def needing_restart(old: ServerSettings, new: Configuration) -> tuple[Problem, ...]:
    """Return an error for every changed key that only a restart can bring into force."""
    return tuple(
        Problem(
            "error",
            "needs_restart",
            f"`server.{key}` has changed, which needs a restart",
            new.server_spans.get(key) or span_of_file(""),
            f"restart the daemon, or put `{key}` back to reload the rest",
        )
        for key in NEEDS_RESTART
        if getattr(old, key) != getattr(new.server, key)
    )
