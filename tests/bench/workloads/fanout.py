"""Fan-out: the cost of a delivery, of single messages and of a saturated server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.bench.bench import Bench
from tests.bench.rows import ROOM_SIZES, SATURATED, SENDER_PER_ROOM, SINGLE, SMALL_ROOMS, Row
from tests.bench.workloads.rounds import Side, compared, cost, in_turns, per_second, sides

CLIENTS = 500
"""So many in all rooms of a size together, or one room that has more."""

BYTES = 90
"""Of an event as it is published; what is delivered is some 120."""

SLOW = "python-socketio"
"""This peer takes 0.1 ms a delivery, so the window of the other servers would take it seconds."""


class Work(NamedTuple):
    """A row's name, how the rooms are used, and whether it says what is done in a second of CPU, or the cost."""

    name: str
    settings: dict[str, int]
    rate: bool


def _works(size: int) -> Iterator[Work]:
    """Yield what is measured in rooms of a size."""
    yield Work(SINGLE.format(size), {"rooms": 1}, rate=False)
    if size == 2:
        yield Work(SMALL_ROOMS, {"in_turn": 1}, rate=False)
    if size == 50:
        yield Work(SENDER_PER_ROOM, {}, rate=True)
    window = {"window": 8, "batch": 4} if size > CLIENTS else {"window": 64, "batch": 16}
    yield Work(SATURATED.format(size), window, rate=True)


def _measure(work: Work, seconds: float) -> Callable[[Side], float]:
    def measure(side: Side) -> float:
        settings = dict(work.settings)
        if side.name == SLOW and "window" in settings:
            settings |= {"window": 4, "batch": 2}
        return cost(
            side.server, lambda: side.load.closed(**settings, bytes=BYTES, seconds=seconds), "deliveries"
        )

    return measure


def _rows_of(bench: Bench, size: int) -> Iterator[Row]:
    works = [work for work in _works(size) if bench.wants(work.name)]
    if not works:
        return
    peers = ["node", "nchan", "c"] if size > CLIENTS else ["node", SLOW, "nchan", "c"]
    with sides(bench, *peers) as taking_part:
        for side in taking_part:
            side.load.connect(
                side.place,
                clients=max(CLIENTS, size),
                size=size,
                tokens=bench.tokens.file,
                protocol=side.protocol,
                at_once=50,
            )
        for work in works:
            measure = _measure(work, bench.scale(0.7, 0.06, 0.01))
            values = in_turns(bench, taking_part, measure, measure)
            if work.rate:
                yield from compared(work.name, "deliveries/CPU-s", per_second(values))
            else:
                yield from compared(work.name, "µs/delivery", values)


def rows(bench: Bench) -> Iterator[Row]:
    """Yield the rows of fan-out."""
    for size in ROOM_SIZES:
        yield from _rows_of(bench, size)
