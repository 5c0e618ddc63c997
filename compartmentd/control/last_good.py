"""The daemon's use of its history: it keeps what comes into force, and can start on it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from typing import Protocol

import msgspec

from compartmentd.configuration.compiler import Contents, FileAccess
from compartmentd.control.reload import InForce
from compartmentd.errors import ConfigInvalid
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


class Start(Protocol):
    """Loads everything for the first generation, or raises `ConfigInvalid`."""

    def __call__(self, *, files: FileAccess | None = None) -> tuple[InForce, tuple[Problem, ...]]:
        """Load from the disk, or from other files."""


def start_on_last_good(
    path: str, start: Start, environ: Mapping[str, str]
) -> tuple[InForce, tuple[Problem, ...]]:
    """Start on the files on disk, or else on the newest kept configuration that still checks.

    Raises:
        ConfigInvalid: neither do the files on disk check, nor anything that was kept.
    """
    try:
        return start()
    except ConfigInvalid as error:
        problems = error.problems
    for entry, contents in _kept(path, environ):
        try:
            in_force, warnings = start(files=KeptFiles(path, contents, Disk()))
        except ConfigInvalid as refused:
            _say(f"the configuration {entry.digest} that was kept does not check any more", refused.problems)
            continue
        _say("the files on disk are refused; the last good configuration is served in their place", problems)
        return msgspec.structs.replace(in_force, contents=(), stale=problems), warnings
    raise ConfigInvalid(problems)


def _kept(path: str, environ: Mapping[str, str]) -> Iterator[tuple[StoredGeneration, Contents]]:
    """Yield the configurations that were in force, the newest first, with a word about those that are damaged."""
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


def _say(what: str, problems: tuple[Problem, ...]) -> None:
    log(logging.ERROR, "last_good", what)
    for problem in problems:
        if problem.severity == "error":
            log(logging.ERROR, "problem", str(problem), code=problem.code, help=problem.help)


class GenerationKeeper:
    """Keeps what comes into force, one after the other and beside the loop."""

    def __init__(self, history: GenerationStore) -> None:
        self._history = history
        self._turn = asyncio.Lock()

    async def keep(self, contents: Contents, at: float) -> None:
        """Keep a configuration as of a wall time (seconds); what cannot be kept is served all the same."""
        async with self._turn:
            try:
                await asyncio.to_thread(self._history.keep, contents, at, accepted=True)
            except OSError as error:
                why = (error.strerror or "unknown error").lower()
                log(logging.ERROR, "history_not_kept", f"`{self._history.directory}`: {why}")
