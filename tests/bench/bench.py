"""What the workloads of one run share: the servers, the tokens, and how long to measure."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from types import TracebackType
from typing import Self, TypeVar

from tests.bench import servers
from tests.bench.servers import Server
from tests.bench.tokens import Tokens

T = TypeVar("T", int, float)

ROUNDS = 5
"""How often each work is measured for each server, in turns; an odd number has a median that was measured."""


class Bench:
    """One run. Leaving it stops every server.

    `peers` are the servers beside ours; a workload measures those of them that it can. `pace` is "full", "quick"
    (the whole table in two minutes) or "tiny" (a few counts: it shows that everything works, and no figure).
    """

    def __init__(self, given: Tokens, peers: tuple[str, ...], pace: str = "full") -> None:
        self.tokens = given
        self.peers = peers
        self.pace = pace
        self.rounds = 1 if pace == "tiny" else ROUNDS
        self._started: dict[str, Server] = {}

    def scale(self, full: T, quick: T, tiny: T) -> T:
        """Return the one of these that this run's pace wants: a count, or seconds."""
        return {"full": full, "quick": quick, "tiny": tiny}[self.pace]

    def server(self, name: str) -> Server:
        """Return a server that is started once for the whole run."""
        if name not in self._started:
            self._started[name] = servers.start(name, self.tokens)
        return self._started[name]

    def servers(self, *wanted: str) -> list[Server]:
        """Return ours and those of the wanted peers that take part, ours first."""
        return [self.server("ours"), *(self.server(name) for name in wanted if name in self.peers)]

    @contextlib.contextmanager
    def fresh(self, name: str) -> Iterator[Server]:
        """Give a server of one's own, which has used no memory for anything else yet."""
        server = servers.start(name, self.tokens)
        try:
            yield server
        finally:
            server.stop()

    def __enter__(self) -> Self:
        # The servers' core is theirs: what this process does itself is done beside the load.
        if others := os.sched_getaffinity(0) - {servers.CORE}:
            os.sched_setaffinity(0, others)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._started.values():
            server.stop()
