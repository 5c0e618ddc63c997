"""Set-up: the cost of a client until it has its session, with a new token and with a known one.

A round connects clients with new tokens, 20 at a time, disconnects them, and connects the same clients again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from tests.bench.bench import Bench
from tests.bench.rows import SETUP_DISTINCT, SETUP_KNOWN, Row
from tests.bench.workloads.rounds import Side, compared, cost, in_turns, settle, sides

FIRST = 10_000
"""The first token that no other workload uses."""


def rows(bench: Bench) -> Iterator[Row]:
    """Yield the rows of set-up."""
    count = bench.scale(1000, 200, 10)
    with sides(bench, "node", "python-socketio") as taking_part:
        numbers = {side.name: itertools.count(FIRST, count) for side in taking_part}
        known: dict[str, list[float]] = {side.name: [] for side in taking_part}

        def connect(side: Side, first: int) -> float:
            used = cost(
                side.server,
                lambda: side.load.connect(
                    side.place, clients=count, size=1, first=first, join=False, tokens=bench.tokens.file
                ),
                "clients",
            )
            side.load.close_clients()
            settle(side.server)  # so that the next round does not pay for this one's disconnects
            return used

        def measure(side: Side) -> float:
            first = next(numbers[side.name])
            used = connect(side, first)
            known[side.name].append(connect(side, first))
            return used

        distinct = in_turns(bench, taking_part, measure, measure)
        yield from compared(SETUP_KNOWN, "µs/set-up", {name: each[1:] for name, each in known.items()})
        yield from compared(SETUP_DISTINCT, "µs/set-up", distinct)
