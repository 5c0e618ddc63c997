"""Builds every generation, the first and the later ones: read, check and compile, then make a snapshot.

Nothing here changes what is in force.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

import msgspec

from compartmentd.configuration.compiler import FileAccess, Loaded, load
from compartmentd.configuration.settings import Configuration, ServerSettings
from compartmentd.configuration.snapshot import add_fetched_keys, build_snapshot, read_local_keys
from compartmentd.control.compile_worker import compile_in_child
from compartmentd.control.development import DevelopmentMode
from compartmentd.control.generation import Candidate, FetchedKeys, Generation, LocalKeys
from compartmentd.errors import ConfigInvalid
from compartmentd.keys.files import read_material
from compartmentd.keys.remote import RemoteKeys
from compartmentd.names import Digest
from compartmentd.problems import Problem, has_errors, span_of_file
from compartmentd.storage.certificates import check_validity, read_certificate
from compartmentd.storage.files import Disk
from compartmentd.tokens.entry import IssuerEntry
from compartmentd.tokens.remote import warn_of_plain_http
from compartmentd.util.cooperative import run_in_slices

SETTLE = 0.25
"""Seconds after which files that a watch saw and that do not check are read once more: an editor that writes in
place shows half a file for a moment, and the two files of a certificate are replaced one after the other."""

FETCHING = 5.0
"""Seconds that a reload waits for the keys of entries that it adds or changes: without them their sessions end,
and a provider that is down would be waited for in vain."""

NEEDS_RESTART = ("listen", "admin", "path", "state")
"""Keys of `server` that are bound to what exists since the start."""


class Compiler(Protocol):
    """Reads and compiles the configuration at `path`."""

    @property
    def path(self) -> str:
        """The main file."""

    async def compile(self, known: Digest) -> Loaded:
        """Return what came of the files; of those with the `known` digest the configuration may be left out."""


class CompileInChild(msgspec.Struct, frozen=True):
    """Compiles in a child process, while clients are served."""

    path: str
    development: bool = False

    async def compile(self, known: Digest) -> Loaded:
        """Compile beside the loop."""
        return await compile_in_child(self.path, known, development=self.development)


class CompileHere(msgspec.Struct, frozen=True):
    """Compiles in this process, before anybody is served; `files` are those of the disk, or kept ones."""

    path: str
    files: FileAccess
    development: bool = False

    async def compile(self, known: Digest) -> Loaded:
        """Compile at once, holding the loop."""
        del known
        return load(self.path, self.files, serving=True, development=self.development)


class GenerationBuilder:
    """Makes candidates from what is on disk and at the providers, and generations from candidates.

    Each `read_…` method returns a candidate, refused or complete. `current` is the generation in force, `None` at
    the start.
    """

    def __init__(
        self, compiler: Compiler, remote: RemoteKeys, development: DevelopmentMode | None = None
    ) -> None:
        self._compiler = compiler
        self._remote = remote
        self._development = development

    @property
    def path(self) -> str:
        """The main file of the configuration."""
        return self._compiler.path

    async def read_all(self, cause: str, current: Generation | None) -> Candidate:
        """Read configuration, certificate and keys.

        Raises:
            OSError: the system refused something that is no fault of the files.
            UsageError: development mode would be reachable from elsewhere.
        """
        candidate = await self._compile(cause, current)
        if cause == "watch" and candidate.refused:
            await asyncio.sleep(SETTLE)
            candidate = await self._compile(cause, current)
        if candidate.refused:
            return candidate
        candidate = candidate.add_problems(*_list_standing_warnings(candidate.configuration.issuers))
        if current is not None:
            candidate = candidate.add_problems(
                *find_restart_keys(current.configuration.server, candidate.configuration)
            )
        if candidate.refused:
            return candidate
        if self._development is not None:
            made = self._development.prepare(candidate.configuration)
            candidate = msgspec.structs.replace(candidate, made=made)
        candidate = await self._read_certificate(candidate)
        if candidate.refused:
            return candidate
        return await self._add_keys(candidate, wait=current is not None)

    async def read_keys(self, cause: str, current: Generation) -> Candidate:
        """Read local keys again, for the configuration in force.

        Raises:
            OSError: the system refused something that is no fault of the files.
        """
        return await self._add_keys(_make_candidate(cause, current), wait=True)

    async def read_certificate(self, cause: str, current: Generation) -> Candidate:
        """Read the certificate again, for the configuration in force.

        Raises:
            OSError: the system refused something that is no fault of the files.
        """
        return await self._read_certificate(_make_candidate(cause, current))

    def take_fetched_keys(self, cause: str, current: Generation) -> Candidate:
        """Take the keys that were fetched, and read nothing: broken files must not keep a withdrawn key alive."""
        return self._add_fetched_keys(_make_candidate(cause, current))

    async def build(self, candidate: Candidate, current: Generation | None) -> Generation:
        """Return the generation of a complete candidate; `current` itself if nothing has changed."""
        loaded, configuration, local, fetched = _unpack_complete(candidate)
        if current is None:
            number, before = 1, None
        else:
            number, before = current.number + 1, current.snapshot
            if _has_same_decisions(candidate, current):
                return _renew_certificate(candidate, current)
        keys = add_fetched_keys(local.keys, fetched.keys)
        if before is not None and configuration is before.configuration:
            snapshot = msgspec.structs.replace(before, generation=number, keys=keys)
        else:
            snapshot = await run_in_slices(build_snapshot(configuration, loaded.digest, keys, number))
        return Generation(
            snapshot=snapshot,
            loaded=loaded,
            read_at=candidate.read_at,
            local=local,
            fetched=fetched,
            certificate=candidate.certificate,
            made=candidate.made,
        )

    async def _compile(self, cause: str, current: Generation | None) -> Candidate:
        read_at = time.time()
        loaded = await self._compiler.compile(Digest("") if current is None else current.digest)
        if current is not None and loaded.digest == current.digest and not has_errors(loaded.problems):
            # The same object, so that nothing is built again.
            loaded = msgspec.structs.replace(loaded, configuration=current.configuration, contents=())
        return Candidate(cause=cause, read_at=read_at, loaded=loaded, problems=loaded.problems)

    async def _read_certificate(self, candidate: Candidate) -> Candidate:
        tls = candidate.configuration.server.tls
        if tls is None:
            return candidate
        found = await asyncio.to_thread(read_certificate, tls)
        if isinstance(found, Problem) and candidate.cause == "watch":
            await asyncio.sleep(SETTLE)
            found = await asyncio.to_thread(read_certificate, tls)
        if isinstance(found, Problem):
            return candidate.add_problems(found)
        candidate = candidate.add_problems(*check_validity(tls, found, time.time()))
        return msgspec.structs.replace(candidate, certificate=found)

    async def _add_keys(self, candidate: Candidate, *, wait: bool) -> Candidate:
        issuers = candidate.configuration.issuers
        material, unreadable = await asyncio.to_thread(
            read_material, issuers, development=self._development is not None
        )
        keys, unusable = read_local_keys(issuers, material)
        candidate = candidate.add_problems(*unreadable, *unusable)
        if candidate.refused:
            return candidate
        candidate = msgspec.structs.replace(candidate, local=LocalKeys.from_material(keys, material))
        if wait:
            # Last, since it may take long: all problems of the files are known by now.
            candidate = candidate.add_problems(*await self._fetch_new(issuers))
        return self._add_fetched_keys(candidate)

    async def _fetch_new(self, issuers: tuple[IssuerEntry, ...]) -> tuple[Problem, ...]:
        """Fetch the keys of entries that are new; return a warning for each that has none then."""
        spans = {entry.name: entry.sources[0].span for entry in issuers}
        return tuple(
            Problem(
                "warning",
                "key.unavailable",
                f"the keys of `{name}` could not be fetched yet",
                spans[name],
                "its tokens are refused until then; the log and `/admin/status` say why",
            )
            for name in await self._remote.prepare(issuers, FETCHING)
        )

    def _add_fetched_keys(self, candidate: Candidate) -> Candidate:
        keys = self._remote.get_keys(candidate.configuration.issuers)
        return msgspec.structs.replace(candidate, fetched=FetchedKeys.from_keys(keys))


async def build_first(
    path: str,
    remote: RemoteKeys,
    development: DevelopmentMode | None = None,
    files: FileAccess | None = None,
) -> tuple[Generation, tuple[Problem, ...]]:
    """Build the first generation, before anybody is served; with it return its warnings and notes.

    Args:
        path: the main file.
        remote: where fetched keys come from; they are not waited for.
        development: what `serve --dev` adds.
        files: the files to read instead of those on disk.

    Raises:
        ConfigInvalid: there are errors.
        UsageError: development mode would be reachable from elsewhere.
        OSError: the system refused something that is no fault of the files.
    """
    compiler = CompileHere(path, files or Disk(), development is not None)
    builder = GenerationBuilder(compiler, remote, development)
    candidate = await builder.read_all("start", None)
    if candidate.refused:
        raise ConfigInvalid(candidate.problems)
    return await builder.build(candidate, None), candidate.problems


def _make_candidate(cause: str, current: Generation) -> Candidate:
    """Return a candidate that is like the generation in force."""
    return Candidate(
        cause=cause,
        read_at=time.time(),
        loaded=current.loaded,
        local=current.local,
        fetched=current.fetched,
        certificate=current.certificate,
    )


def _unpack_complete(candidate: Candidate) -> tuple[Loaded, Configuration, LocalKeys, FetchedKeys]:
    if candidate.refused or candidate.local is None or candidate.fetched is None:
        raise AssertionError("only a complete candidate makes a generation")
    return candidate.loaded, candidate.configuration, candidate.local, candidate.fetched


def _has_same_decisions(candidate: Candidate, current: Generation) -> bool:
    """Return whether everything would be decided as it is now."""
    _, _, local, fetched = _unpack_complete(candidate)
    return (candidate.loaded.digest, local.digest, fetched.digest) == (
        current.digest,
        current.local.digest,
        current.fetched.digest,
    )


def _renew_certificate(candidate: Candidate, current: Generation) -> Generation:
    """Return the generation with another certificate; itself if the certificate is the same."""
    new, old = candidate.certificate, current.certificate
    if (None if new is None else new.digest) == (None if old is None else old.digest):
        return current
    return msgspec.structs.replace(current, certificate=new)


def _list_standing_warnings(issuers: tuple[IssuerEntry, ...]) -> tuple[Problem, ...]:
    """Return what is warned of at every start and reload for as long as the configuration allows it."""
    return tuple(warning for entry in issuers if (warning := warn_of_plain_http(entry)) is not None)


def find_restart_keys(old: ServerSettings, new: Configuration) -> tuple[Problem, ...]:
    """Return an error for every changed key that only a restart can bring into force."""
    return tuple(
        Problem(
            "error",
            "reload.needs-restart",
            f"`server.{key}` has changed, which needs a restart",
            new.server_spans.get(key) or span_of_file(""),
            f"restart the daemon, or put `{key}` back to reload the rest",
        )
        for key in NEEDS_RESTART
        if getattr(old, key) != getattr(new.server, key)
    )
