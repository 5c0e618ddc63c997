"""The daemon's use of its history: it keeps every configuration that comes into force, and can start on one."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping

import msgspec

from compartmentd.configuration.compiler import Contents
from compartmentd.control.builder import build_first
from compartmentd.control.development import DevelopmentMode
from compartmentd.control.generation import Generation, Subscriber
from compartmentd.errors import ConfigInvalid
from compartmentd.keys.remote import RemoteKeys
from compartmentd.problems import Problem
from compartmentd.storage.files import Disk
from compartmentd.storage.generations import (
    DamagedGeneration,
    GenerationStore,
    KeptFiles,
    StoredGeneration,
    find_state_directory,
)
from compartmentd.telemetry.logs import log


async def build_first_or_last_good(
    path: str, remote: RemoteKeys, development: DevelopmentMode | None, environ: Mapping[str, str]
) -> tuple[Generation, tuple[Problem, ...]]:
    """Build the first generation from the files on disk, or else from the newest kept configuration that checks.

    With it return its warnings and notes.

    Raises:
        ConfigInvalid: neither do the files on disk check, nor anything that was kept.
        UsageError: development mode would be reachable from elsewhere.
        OSError: the system refused something that is no fault of the files.
    """
    try:
        return await build_first(path, remote, development)
    except ConfigInvalid as error:
        problems = error.problems
    for entry, contents in _read_kept(path, environ):
        try:
            kept = KeptFiles(path, contents, Disk())
            generation, warnings = await build_first(path, remote, development, kept)
        except ConfigInvalid as error:
            _log_refused(f"the kept configuration {entry.digest} does not check any more", error.problems)
            continue
        _log_refused("the files on disk are refused; the last good configuration is served instead", problems)
        # It is kept already.
        loaded = msgspec.structs.replace(generation.loaded, contents=())
        return msgspec.structs.replace(generation, loaded=loaded, stale=problems), warnings
    raise ConfigInvalid(problems)


def _read_kept(path: str, environ: Mapping[str, str]) -> Iterator[tuple[StoredGeneration, Contents]]:
    """Yield the configurations that were in force, the newest first; log those that are damaged."""
    state = find_state_directory(path, Disk(), environ)
    if state is None:
        log(logging.ERROR, "last_good_missing", "no state directory is known, so there is no last good")
        return
    history = GenerationStore(state)
    try:
        entries = history.list_entries()
    except OSError as error:
        why = (error.strerror or "unknown error").lower()
        log(logging.ERROR, "last_good_missing", f"`{history.directory}` cannot be read: {why}")
        return
    for entry in entries:
        if not entry.accepted:
            continue
        try:
            yield entry, history.read(entry)
        except DamagedGeneration as damage:
            log(logging.WARNING, "history_damaged", f"`{history.directory / entry.file}`: {damage}")


def _log_refused(what: str, problems: tuple[Problem, ...]) -> None:
    log(logging.ERROR, "last_good", what)
    for problem in problems:
        if problem.severity == "error":
            log(logging.ERROR, "problem", str(problem), code=problem.code, help=problem.help)


class GenerationKeeper(Subscriber):
    """Writes every configuration that comes into force to the history, one after the other and beside the loop."""

    def __init__(self, history: GenerationStore) -> None:
        self._history = history
        self._waiting: asyncio.Queue[tuple[Contents, float]] = asyncio.Queue()

    def adopt(self, generation: Generation) -> None:
        """Queue the configuration to be kept, if it is new."""
        if generation.loaded.contents:
            self._waiting.put_nowait((generation.loaded.contents, time.time()))

    async def run(self) -> None:
        """Keep what is queued, for as long as the daemon runs; what cannot be kept is served all the same."""
        while True:
            contents, at = await self._waiting.get()
            try:
                await asyncio.to_thread(self._history.store, contents, at, accepted=True)
            except OSError as error:
                why = (error.strerror or "unknown error").lower()
                log(logging.ERROR, "history_not_kept", f"`{self._history.directory}`: {why}")
