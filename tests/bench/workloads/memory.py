"""Idle memory: how much the server's process grows for each connection that does nothing.

Every server is a new one for it: memory that was given back to the allocator would be counted as never used.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench.bench import Bench
from tests.bench.load import Load, Place
from tests.bench.rows import MEMORY_POLLING, MEMORY_WEBSOCKET, Row
from tests.bench.workloads.rounds import compared

FIRST = 500
"""Connections before the first measurement: what a server allocates once is no part of a connection's memory."""


def _each(bench: Bench, name: str, count: int, *, polling: bool) -> float:
    """Return the KiB of a connection. A polling client has a GET open, and no connection beside it."""
    with bench.fresh(name) as server, Load() as load:
        place = Place(server.host, server.port)

        def connect(clients: int, first: int) -> None:
            load.connect(
                place,
                clients=clients,
                size=1,
                first=first,
                join=False,
                polling=polling,
                keep_post=False,
                tokens=bench.tokens.file,
            )

        connect(FIRST, 0)
        before = server.memory()
        connect(count, FIRST)
        return (server.memory() - before) / count / 1024


def rows(bench: Bench) -> Iterator[Row]:
    """Yield the rows of idle memory."""
    count = bench.scale(10_000, 2_000, 100)
    rounds = bench.scale(bench.rounds, 1, 1)  # nothing else on the machine moves it
    # What python-socketio answers over polling is chunked, which the load does not read.
    peers: dict[str, tuple[str, ...]] = {
        MEMORY_WEBSOCKET: ("node", "python-socketio"),
        MEMORY_POLLING: ("node",),
    }
    for work, wanted in peers.items():
        if not bench.wants(work):
            continue
        names = bench.taking_part(*wanted)
        polling = work == MEMORY_POLLING
        values: dict[str, list[float]] = {name: [] for name in names}
        for name in names * rounds:
            values[name].append(_each(bench, name, count, polling=polling))
        yield from compared(work, "KiB/connection", values)
