"""Fan-out: what a delivery costs, where messages come one at a time, and where there are always more."""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench.bench import Bench
from tests.bench.rows import ROOM_SIZES, SATURATED, SENDER_PER_ROOM, SINGLE, SMALL_ROOMS, Row
from tests.bench.workloads.rounds import Side, compared, cost, in_turns, per_second, sides

CLIENTS = 500
"""At least so many in all rooms together."""

BYTES = 90
"""Of an event as it is published; what is delivered is some 120."""

SLOW = "python-socketio"
"""It takes 0.1 ms a delivery: where a round would last for seconds, it is left out, or given less at a time."""


def _connect(bench: Bench, side: Side, size: int, count: int) -> int:
    """Connect so many rooms of a size, and return the group's number."""
    group: int = side.load.connect(
        side.place, clients=size * count, size=size, tokens=bench.tokens.file, protocol=side.protocol
    )["group"]
    return group


def _rows_of(bench: Bench, size: int) -> Iterator[Row]:
    peers = ["node", "nchan", "c"] if size > CLIENTS else ["node", "python-socketio", "nchan", "c"]
    seconds = bench.scale(1.0, 0.07, 0.01)
    with sides(bench, *peers) as taking_part:
        one = {side.name: _connect(bench, side, size, 1) for side in taking_part}

        def single(side: Side) -> float:
            return cost(
                side.server,
                lambda: side.load.closed(group=one[side.name], bytes=BYTES, seconds=seconds),
                "deliveries",
            )

        yield from compared(SINGLE.format(size), "µs/delivery", in_turns(bench, taking_part, single, single))
        many = one
        if size < CLIENTS:
            for side in taking_part:
                side.load.close_clients()
            many = {side.name: _connect(bench, side, size, CLIENTS // size) for side in taking_part}

        def saturated(side: Side) -> float:
            window = 8 if side.name == SLOW else 16 if size > CLIENTS else 64
            return cost(
                side.server,
                lambda: side.load.closed(
                    group=many[side.name], window=window, batch=window // 4, bytes=BYTES, seconds=seconds
                ),
                "deliveries",
            )

        values = in_turns(bench, taking_part, saturated, saturated)
        yield from compared(SATURATED.format(size), "deliveries/CPU-s", per_second(values))


def _small_rooms(bench: Bench) -> Iterator[Row]:
    """Messages that come one at a time, each to another of many rooms."""
    seconds = bench.scale(1.0, 0.07, 0.01)
    with sides(bench, "node", "nchan", "c") as taking_part:
        for side in taking_part:
            _connect(bench, side, 2, 500)

        def in_turn(side: Side) -> float:
            return cost(
                side.server, lambda: side.load.closed(in_turn=1, bytes=BYTES, seconds=seconds), "deliveries"
            )

        yield from compared(SMALL_ROOMS, "µs/delivery", in_turns(bench, taking_part, in_turn, in_turn))


def _sender_per_room(bench: Bench) -> Iterator[Row]:
    """A message at a time in each of many rooms at once, from as many senders."""
    seconds = bench.scale(1.0, 0.07, 0.01)
    with sides(bench, "node", "nchan", "c") as taking_part:
        for side in taking_part:
            _connect(bench, side, 50, 50)

        def at_once(side: Side) -> float:
            return cost(side.server, lambda: side.load.closed(bytes=BYTES, seconds=seconds), "deliveries")

        values = in_turns(bench, taking_part, at_once, at_once)
        yield from compared(SENDER_PER_ROOM, "deliveries/CPU-s", per_second(values))


def rows(bench: Bench) -> Iterator[Row]:
    """Yield the rows of fan-out."""
    for size in ROOM_SIZES:
        yield from _rows_of(bench, size)
    yield from _small_rooms(bench)
    yield from _sender_per_room(bench)
