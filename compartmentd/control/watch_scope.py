"""Follows the files of what is in force, and of newer files that were refused, and reloads what has changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping
from functools import partial

import msgspec

from compartmentd.configuration.compiler import Loaded
from compartmentd.configuration.settings import ServerSettings
from compartmentd.control.generation import Generation, Subscriber
from compartmentd.control.reload import Reloader, Scope, StillWrittenError
from compartmentd.storage.watcher import FileMark, Watcher, Writing, was_written
from compartmentd.telemetry.logs import log
from compartmentd.tokens.entry import IssuerEntry

KEY_FILES = frozenset({"jwks_file", "public_key_file", "secret_file"})
"""Kinds of key sources that are files; they are followed even where the configuration is not watched."""

ASK_EVERY = 0.2
"""Seconds between two looks at whether files are still open for writing."""

TELL_AFTER = 1.0
"""Seconds after which the log says that a reload waits for a writer."""


class WatchScope(msgspec.Struct, frozen=True):
    """The files that are followed, and what a change of each means.

    Attributes:
        files: everything that is followed, with key files and certificates.
        globs: patterns of `include`, which new files may match.
        keys: key files of the configuration in force.
        certificate: the files of the certificate in force.
        refused: files of a configuration that was refused. Mending any of them may make it good, its key files too.
        watch: whether a change of the configuration reloads it (`server.watch`).
    """

    files: frozenset[str]
    globs: tuple[str, ...]
    keys: frozenset[str]
    certificate: frozenset[str]
    refused: frozenset[str]
    watch: bool

    @classmethod
    def from_generation(cls, generation: Generation) -> WatchScope:
        """Return what to follow for what is in force."""
        loaded, configuration = generation.loaded, generation.configuration
        keys, certificate = find_key_files(configuration.issuers), find_tls_files(configuration.server)
        refused = frozenset[str]() if generation.refused is None else _find_files(generation.refused)
        return cls(
            files=frozenset(loaded.files) | keys | certificate | refused,
            globs=(*loaded.globs, *(() if generation.refused is None else generation.refused.globs)),
            keys=keys,
            certificate=certificate,
            refused=refused,
            watch=configuration.server.watch,
        )

    def find_scopes(self, paths: Collection[str]) -> tuple[Scope, ...]:
        """Return what to read again where these paths have changed.

        Keys and certificates are followed even where the configuration is not watched, and alone they do not bring
        other changes along. With other changes they are read besides: those may be refused, and a key that was
        withdrawn at the same moment must not stay in force for it.
        """
        changed = frozenset(paths)
        mended = bool(changed & self.refused)
        scopes = []
        if self.watch and (mended or not changed <= self.keys | self.certificate):
            scopes.append(Scope.ALL)
        if changed & self.keys:
            scopes.append(Scope.KEYS)
        if changed & self.certificate:
            scopes.append(Scope.CERTIFICATE)
        return tuple(scopes)


class FileFollower(Subscriber):
    """Watches the files of what is in force; orders reloads once they have changed and nobody writes them."""

    def __init__(self) -> None:
        """Watch nothing yet; on the running loop."""
        self._changes: asyncio.Queue[Collection[str]] = asyncio.Queue()
        self._watcher = Watcher(self._changes.put_nowait, _warn)
        self._scope: WatchScope | None = None
        self._ordered: set[Scope] = set()

    def adopt(self, generation: Generation) -> None:
        """Follow the files of what is in force from now on."""
        scope = WatchScope.from_generation(generation)
        self._scope = scope
        self._watcher.watch(scope.files, scope.globs, since=generation.read_at, known=generation.made)

    async def run(self, reloader: Reloader) -> None:
        """Reload what has changed, for as long as the daemon runs."""
        async with asyncio.TaskGroup() as reloads:
            while True:
                paths = set(await self._changes.get())
                while not self._changes.empty():
                    paths.update(self._changes.get_nowait())
                if self._scope is None:
                    continue
                for scope in self._scope.find_scopes(paths):
                    # One that waits for writers reads later than this change.
                    if scope not in self._ordered:
                        self._ordered.add(scope)
                        reloads.create_task(self._reload(reloader, scope))

    async def close(self) -> None:
        """Stop watching; no thread is left."""
        await self._watcher.stop()

    async def _reload(self, reloader: Reloader, scope: Scope) -> None:
        """Reload once no file of a scope is open for writing: half a file could evict people whom the whole allows.

        A file may be opened again while it is read, so that is asked again before anything is put in force.
        """
        while True:
            before = await self._wait_for_writers(scope)
            self._ordered.discard(scope)
            try:
                await reloader.reload("watch", scope, partial(self._is_at_rest, scope, before))
            except StillWrittenError:
                if scope in self._ordered:
                    return  # a later change has been ordered, and waits already
                self._ordered.add(scope)
            else:
                return

    async def _wait_for_writers(self, scope: Scope) -> dict[str, FileMark]:
        """Return the marks of the files once none is open for writing."""
        waited = 0.0
        while (writing := await self._look_for_writers(scope)).opened:
            if waited <= TELL_AFTER < waited + ASK_EVERY:
                text = (
                    "a changed file is open for writing: it is read when that ends, or after 10 s of silence"
                )
                log(logging.INFO, "reload_waits", text, files=sorted(writing.opened))
            await asyncio.sleep(ASK_EVERY)
            waited += ASK_EVERY
        return writing.marks

    async def _is_at_rest(self, scope: Scope, before: Mapping[str, FileMark]) -> bool:
        writing = await self._look_for_writers(scope)
        return not writing.opened and not was_written(before, writing.marks)

    async def _look_for_writers(self, scope: Scope) -> Writing:
        watched = self._scope
        if watched is None:
            return Writing([], {})
        match scope:
            case Scope.KEYS:
                return await self._watcher.look_for_writers(watched.keys)
            case Scope.CERTIFICATE:
                return await self._watcher.look_for_writers(watched.certificate)
            case _:
                return await self._watcher.look_for_writers(watched.files, watched.globs)


def find_key_files(issuers: Iterable[IssuerEntry]) -> frozenset[str]:
    """Return the files that keys are read from."""
    return frozenset(source.name for entry in issuers for source in entry.sources if source.kind in KEY_FILES)


def find_tls_files(server: ServerSettings | None) -> frozenset[str]:
    """Return the files of the certificate, if there is one."""
    tls = None if server is None else server.tls
    return frozenset() if tls is None else frozenset({tls.cert, tls.key})


def _find_files(loaded: Loaded) -> frozenset[str]:
    """Return all files that a configuration names, as far as it could be compiled."""
    return frozenset(loaded.files) | find_key_files(loaded.issuers) | find_tls_files(loaded.server)


def _warn(why: str) -> None:
    log(logging.WARNING, "watch_degraded", why)
