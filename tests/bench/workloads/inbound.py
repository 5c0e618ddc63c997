"""Inbound events: 100 clients in 50 rooms of 2, everyone publishes; an event is an ack and a delivery."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.bench.bench import Bench
from tests.bench.load import Place
from tests.bench.rows import INBOUND_MANY, INBOUND_ONE, INBOUND_TLS, Row
from tests.bench.workloads.rounds import Side, compared, cost, in_turns, per_second, sides

CLIENTS = 100
BYTES = 90
"""Of an event."""


def _measure(window: int, seconds: float) -> Callable[[Side], float]:
    """Return how a side is measured: so many events leave each client in one write, the next when all are acked."""

    def measure(side: Side) -> float:
        return cost(
            side.server,
            lambda: side.load.closed(senders=2, window=window, batch=window, bytes=BYTES, seconds=seconds),
            "events",
        )

    return measure


def _plain(bench: Bench, seconds: float) -> Iterator[Row]:
    with sides(bench, "node", "python-socketio", "c-joined") as taking_part:
        for side in taking_part:
            side.load.connect(side.place, clients=CLIENTS, size=2, tokens=bench.tokens.file)
        for work, window in ((INBOUND_ONE, 1), (INBOUND_MANY, 32)):
            if not bench.wants(work):
                continue
            measure = _measure(window, seconds)
            yield from compared(
                work, "events/CPU-s", per_second(in_turns(bench, taking_part, measure, measure))
            )


def _over_tls(bench: Bench, seconds: float) -> Iterator[Row]:
    with sides(bench, "node") as taking_part:
        for side in taking_part:
            assert side.server.tls_port is not None
            place = Place(side.server.host, side.server.tls_port, tls=True)
            side.load.connect(place, clients=CLIENTS, size=2, tokens=bench.tokens.file)
        measure = _measure(1, seconds)
        yield from compared(
            INBOUND_TLS, "events/CPU-s", per_second(in_turns(bench, taking_part, measure, measure))
        )


def rows(bench: Bench) -> Iterator[Row]:
    """Yield the rows of inbound events."""
    seconds = bench.scale(1.0, 0.1, 0.01)
    if bench.wants(INBOUND_ONE, INBOUND_MANY):
        yield from _plain(bench, seconds)
    if bench.wants(INBOUND_TLS):
        yield from _over_tls(bench, seconds)
