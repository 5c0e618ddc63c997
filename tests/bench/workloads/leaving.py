"""The pause that one client sees while ten thousand others leave at once, closed by one process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

from tests.bench import servers, tokens
from tests.bench.bench import OURS, Bench
from tests.bench.load import Load, Place
from tests.bench.rows import LEAVING, Row, row
from tests.bench.servers import Server, configuration
from tests.bench.workloads.probe import Probe
from tests.bench.workloads.rounds import compared

SIZE = 50
AFTER = 0.5
"""Seconds that the daemon has to be done with them, twice as long as it takes."""


def _round(bench: Bench, server: Server, clients: int) -> float:
    """Return the longest pause in ms."""
    place = Place(server.host, server.port)
    token, room = bench.tokens.read()[clients], tokens.room(SIZE, clients // SIZE)
    with Load() as load, closing(Probe(server, token, room)) as probe:
        load.connect(place, clients=clients, size=SIZE, tokens=bench.tokens.file, at_once=50)

        def leave() -> None:
            load.close_clients()
            time.sleep(AFTER)

        leaving = threading.Thread(target=leave)
        leaving.start()
        waits = probe.watch(lambda: not leaving.is_alive())
        leaving.join()
    return waits.cpu


def rows(bench: Bench) -> Iterator[Row]:
    """Yield the longest pause, by the daemon's CPU clock."""
    clients = bench.scale(10_000, 10_000, 200)
    rounds = bench.scale(bench.rounds, 1, 1)  # everyone comes again for each
    values: dict[str, list[float]] = {name: [] for name in bench.trees}
    with ExitStack() as stack:
        daemons = {
            name: stack.enter_context(
                servers.daemon_with(
                    bench.tokens,
                    lambda given, directory, port: configuration(
                        given, directory, [f"{servers.HOST}:{port}"]
                    ),
                    name,
                    tree,
                )
            )
            for name, tree in bench.trees.items()
        }
        for _ in range(rounds):
            for name, server in daemons.items():
                values[name].append(_round(bench, server, clients))
    if bench.is_ab:
        yield from compared(LEAVING, "ms", values)
    else:
        yield row(LEAVING, "ms", values[OURS])
