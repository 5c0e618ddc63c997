"""The control plane without listeners: a reloader on a real file, with a hub that nobody is connected to."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

from compartmentd.control.builder import CompileInChild, GenerationBuilder, build_first
from compartmentd.control.development import DevelopmentMode
from compartmentd.control.generation import Generation, Subscriber
from compartmentd.control.reload import Reloader
from compartmentd.keys.remote import RemoteKeys
from compartmentd.sessions.audit import AuditLog, NullAuditLog
from compartmentd.sessions.clock import Clock
from compartmentd.sessions.environment import Environment
from compartmentd.sessions.hub import Hub
from tests.support.world import HandClock


class Recorder(Subscriber):
    """Remembers what it was told to adopt."""

    def __init__(self) -> None:
        self.adopted: list[Generation] = []

    def adopt(self, generation: Generation) -> None:
        self.adopted.append(generation)


class ControlPlane:
    """What a daemon builds around its first generation, as far as reloads need it.

    `seen` subscribes; what it adopted at the start is left out.
    """

    def __init__(
        self,
        path: Path,
        first: Generation,
        remote: RemoteKeys,
        *,
        development: bool = False,
        clock: Clock | None = None,
        audit_log: AuditLog | None = None,
    ) -> None:
        self.path = path
        self.first = first
        self.remote = remote
        self.failures: list[Exception] = []
        self.hub = Hub(
            first.snapshot,
            Environment(
                clock=clock or HandClock(),
                new_sid=map(str, itertools.count()).__next__,
                report_error=self.failures.append,
                audit_log=audit_log or NullAuditLog(),
            ),
        )
        self.builder = GenerationBuilder(
            CompileInChild(str(path), development), remote, DevelopmentMode({}) if development else None
        )
        self.reloader = Reloader(self.builder, first, self.hub)
        self.seen = Recorder()
        self.reloader.subscribe(self.seen)
        self.seen.adopted.clear()

    @classmethod
    def read(
        cls,
        path: Path,
        *,
        development: bool = False,
        clock: Clock | None = None,
        audit_log: AuditLog | None = None,
    ) -> ControlPlane:
        """Read a file, and return what a daemon makes of it; where no loop runs."""
        remote = RemoteKeys()
        first = build(path, remote, development=development)
        return cls(path, first, remote, development=development, clock=clock, audit_log=audit_log)


def build(path: Path, remote: RemoteKeys | None = None, *, development: bool = False) -> Generation:
    """Build the first generation of a file, where no loop runs."""
    mode = DevelopmentMode({}) if development else None
    generation, _ = asyncio.run(build_first(str(path), remote or RemoteKeys(), mode))
    return generation
