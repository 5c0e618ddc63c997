"""Follows the files of what is in force, and of newer files that were refused, and reloads what has changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable

import msgspec

from compartmentd.configuration.compiler import Loaded
from compartmentd.configuration.settings import ServerSettings
from compartmentd.control.generation import Generation, Subscriber
from compartmentd.control.reload import Reloader, Scope
from compartmentd.storage.watcher import Watcher
from compartmentd.telemetry.logs import log
from compartmentd.tokens.entry import IssuerEntry

KEY_FILES = frozenset({"jwks_file", "public_key_file", "secret_file"})
"""Kinds of key sources that are files; they are followed even where the configuration is not watched."""


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
    """Watches the files of what is in force, and orders reloads when they change."""

    def __init__(self) -> None:
        """Watch nothing yet; on the running loop."""
        self._changes: asyncio.Queue[Collection[str]] = asyncio.Queue()
        self._watcher = Watcher(self._changes.put_nowait, _warn)
        self._scope: WatchScope | None = None

    def adopt(self, generation: Generation) -> None:
        """Follow the files of what is in force from now on."""
        scope = WatchScope.from_generation(generation)
        self._scope = scope
        self._watcher.watch(scope.files, scope.globs, since=generation.read_at)

    async def run(self, reloader: Reloader) -> None:
        """Reload what has changed, for as long as the daemon runs."""
        while True:
            paths = set(await self._changes.get())
            while not self._changes.empty():
                paths.update(self._changes.get_nowait())
            if self._scope is not None:
                scopes = self._scope.find_scopes(paths)
                await asyncio.gather(*(reloader.reload("watch", scope) for scope in scopes))

    async def close(self) -> None:
        """Stop watching; no thread is left."""
        await self._watcher.stop()


def find_key_files(issuers: Iterable[IssuerEntry]) -> frozenset[str]:
    """Return the files that keys are read from."""
    return frozenset(entry.keys.name for entry in issuers if entry.keys.kind in KEY_FILES)


def find_tls_files(server: ServerSettings | None) -> frozenset[str]:
    """Return the files of the certificate, if there is one."""
    tls = None if server is None else server.tls
    return frozenset() if tls is None else frozenset({tls.cert, tls.key})


def _find_files(loaded: Loaded) -> frozenset[str]:
    """Return all files that a configuration names, as far as it could be compiled."""
    return frozenset(loaded.files) | find_key_files(loaded.issuers) | find_tls_files(loaded.server)


def _warn(why: str) -> None:
    log(logging.WARNING, "watch_degraded", why)
