"""Shared by the workloads on sockets: a load for each server, and rounds in turns."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from tests.bench.bench import OURS, Bench
from tests.bench.load import Load, Place
from tests.bench.rows import Row, row
from tests.bench.servers import Server

IDLE = 400_000
"""A server that uses less CPU than this, in ns, within 20 ms is busy with its timers alone."""


class Side(NamedTuple):
    """A server, and the load that is connected to it alone."""

    server: Server
    load: Load

    @property
    def name(self) -> str:
        return self.server.name

    @property
    def place(self) -> Place:
        """Where its clients connect."""
        return Place(self.server.host, self.server.port)

    @property
    def protocol(self) -> str:
        """The protocol of its clients."""
        return "nchan" if self.name == "nchan" else "socketio"


@contextlib.contextmanager
def sides(bench: Bench, *wanted: str) -> Iterator[list[Side]]:
    """Give a side for ours, and one for each of the wanted servers that takes part."""
    with contextlib.ExitStack() as stack:
        yield [Side(bench.server(name), stack.enter_context(Load())) for name in bench.taking_part(*wanted)]


def settle(server: Server) -> None:
    """Wait, for two seconds at most, until a server has done what comes after its clients have left."""
    for _ in range(100):
        before = server.cpu()
        time.sleep(0.02)
        if server.cpu() - before < IDLE:
            return


def cost(server: Server, work: Callable[[], Mapping[str, Any]], unit: str) -> float:
    """Return what some work costs a server, in µs of CPU for each of what the load counted."""
    before = server.cpu()
    counted = work()[unit]
    return (server.cpu() - before) / float(counted) / 1000


def in_turns(
    bench: Bench,
    taking_part: Iterable[Side],
    measure: Callable[[Side], float],
    warm: Callable[[Side], object],
) -> dict[str, list[float]]:
    """Measure all sides round by round, and return each one's values by its name.

    Each is warmed up once before. Each round begins with another side than the last, so that no side always
    follows the same one.
    """
    order = list(taking_part)
    values: dict[str, list[float]] = {side.name: [] for side in order}
    for side in order:
        warm(side)
    for _ in range(bench.rounds):
        for side in order:
            values[side.name].append(measure(side))
        order.append(order.pop(0))
    return values


def compared(work: str, unit: str, values: Mapping[str, list[float]]) -> Iterator[Row]:
    """Yield the row of each peer."""
    for peer, theirs in values.items():
        if peer != OURS:
            yield row(work, unit, values[OURS], peer, theirs)


def per_second(values: Mapping[str, list[float]]) -> dict[str, list[float]]:
    """Return what is done in a second of CPU, of costs in µs."""
    return {name: [1e6 / each for each in costs] for name, costs in values.items()}
