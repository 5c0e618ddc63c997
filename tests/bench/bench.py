"""The context of one run, shared by its workloads: servers, tokens, and how long to measure."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from types import TracebackType
from typing import Self, TypeVar

from tests.bench import servers
from tests.bench.servers import Server
from tests.bench.tokens import Tokens
from tests.bench.trees import THIS, Tree

T = TypeVar("T", int, float)

ROUNDS = 5
"""How often each work is measured for each server, in turns; an odd number has a median that was measured."""


OURS = "ours"
BASE = "base"
"""The names of the daemons: the one of this tree, and in an A/B run the one of the other revision."""


class Bench:
    """One run. Leaving it stops every server.

    Args:
        given: The tokens of the clients.
        peers: The servers beside ours; a workload measures those of them that it can.
        pace: "full", "quick" (the whole table in two minutes) or "tiny" (a few counts: it shows that everything
            works, and no figure).
        base: The tree that ours is compared with in an A/B run, which has no other peer and makes a Bench a round.
        base_first: Measure the base before ours in this round.
        wanted: The works to measure; by default all of them.
    """

    def __init__(
        self,
        given: Tokens,
        peers: tuple[str, ...] = (),
        pace: str = "full",
        *,
        base: Tree | None = None,
        base_first: bool = False,
        wanted: frozenset[str] | None = None,
    ) -> None:
        self.tokens = given
        self.pace = pace
        self.is_ab = base is not None
        self.rounds = 1 if self.is_ab or pace == "tiny" else ROUNDS
        self.trees = {OURS: THIS} if base is None else {OURS: THIS, BASE: base}
        if base_first:
            self.trees = dict(reversed(self.trees.items()))
        self._peers = () if self.is_ab else peers
        self._wanted = wanted
        self._started: dict[str, Server] = {}

    def scale(self, full: T, quick: T, tiny: T) -> T:
        """Return the one of these that this run's pace wants: a count, or seconds."""
        return {"full": full, "quick": quick, "tiny": tiny}[self.pace]

    def wants(self, *works: str) -> bool:
        """Return whether one of these works is to be measured."""
        return self._wanted is None or any(work in self._wanted for work in works)

    def taking_part(self, *wanted: str) -> list[str]:
        """Return the names of the servers to measure, in order: ours and the wanted peers of this run.

        In an A/B run they are the two trees. The floor takes part as "c", whichever of its modes is wanted.
        """
        return [*self.trees, *(name for name in wanted if name.partition("-joined")[0] in self._peers)]

    def server(self, name: str) -> Server:
        """Return a server that is started once for the whole run."""
        if name not in self._started:
            self._started[name] = servers.start(name, self.tokens, self.trees.get(name, THIS))
        return self._started[name]

    @contextlib.contextmanager
    def fresh(self, name: str) -> Iterator[Server]:
        """Give a new server, which has used no memory for anything else yet."""
        server = servers.start(name, self.tokens, self.trees.get(name, THIS))
        try:
            yield server
        finally:
            server.stop()

    def __enter__(self) -> Self:
        # The servers have a core to themselves: this process runs beside the load.
        if others := os.sched_getaffinity(0) - {servers.CORE}:
            os.sched_setaffinity(0, others)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._started.values():
            server.stop()
