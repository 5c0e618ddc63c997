"""Latency at a fixed rate, and the effect of a flooding sender on the latency of others.

Both servers are given what half saturates Node: what Node delivers in a second of CPU, measured first. Latency is
counted from when a message was due, so that a server that falls behind is seen to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.bench.bench import OURS, Bench
from tests.bench.rows import FAIRNESS, LATENCY, PERCENTILES, Row, row
from tests.bench.workloads.rounds import Side, compared, cost, sides

SIZE, ROOMS = 50, 10
BYTES = 90

OTHERS, OTHERS_RATE = 50, 1000
"""Clients in rooms of 2 beside the flooding one, and how many messages a second they send in all."""

FLOOD = {"flood": 1, "window": 2048, "batch": 256}
"""The flooding sender always has this much under way; its receiver's send buffer has room for three times that."""

Values = Mapping[str, Sequence[Mapping[str, Any]]]


def _alternating(bench: Bench, taking_part: list[Side], **paced: object) -> Values:
    """Run a paced round on each side in turns, and return their answers by name."""
    answers: dict[str, list[Mapping[str, Any]]] = {side.name: [] for side in taking_part}
    for number in range(-1, bench.rounds):  # the first one warms them up
        for side in taking_part:
            answer = side.load.paced(bytes=BYTES, **paced)
            if number >= 0:
                answers[side.name].append(answer)
    return answers


def _of(values: Values, name: str) -> dict[str, list[float]]:
    """Return one percentile of each side's rounds."""
    return {side: [float(answer[name]) for answer in answers] for side, answers in values.items()}


def _half_of_saturation(bench: Bench, side: Side) -> float:
    """Return messages a second that make half of the deliveries which a second of a server's CPU is enough for."""
    seconds = bench.scale(1.0, 0.3, 0.02)

    def saturated() -> Mapping[str, Any]:
        return side.load.closed(window=16, batch=4, bytes=BYTES, seconds=seconds)

    saturated()  # it warms up
    return 1e6 / cost(side.server, saturated, "deliveries") / (SIZE - 1) / 2


def _at_half(bench: Bench, taking_part: list[Side]) -> Iterator[Row]:
    for side in taking_part:
        side.load.connect(side.place, clients=SIZE * ROOMS, size=SIZE, tokens=bench.tokens.file)
    rate = _half_of_saturation(bench, taking_part[-1])
    values = _alternating(bench, taking_part, rate=rate, seconds=bench.scale(3.0, 0.8, 0.05))
    for name in PERCENTILES:
        yield from compared(LATENCY.format(name), "µs", _of(values, name))


def _beside_a_flood(bench: Bench, taking_part: list[Side]) -> Iterator[Row]:
    """The others' p99 with a flooding sender beside them: to Node's, and to ours without one."""
    for side in taking_part:
        side.load.close_clients()
        side.load.connect(side.place, clients=OTHERS, size=2, tokens=bench.tokens.file)
        side.load.connect(side.place, clients=2, size=2, first=OTHERS, tokens=bench.tokens.file)
    seconds = bench.scale(2.0, 0.3, 0.05)
    with_one = _of(_alternating(bench, taking_part, rate=OTHERS_RATE, seconds=seconds, **FLOOD), "p99")
    yield from compared(FAIRNESS, "µs", with_one)
    if bench.is_ab:
        return
    alone = _of(_alternating(bench, taking_part[:1], rate=OTHERS_RATE, seconds=seconds), "p99")
    yield row(FAIRNESS, "µs", with_one[OURS], "without it", alone[OURS])


def rows(bench: Bench) -> Iterator[Row]:
    """Yield the rows of latency if Node takes part, to say what half of its saturation is.

    In an A/B run the tree that is measured second says it, and its half is what both are given.
    """
    if len(bench.taking_part("node")) == 1:
        return
    with sides(bench, "node") as taking_part:
        if bench.wants(*(LATENCY.format(name) for name in PERCENTILES)):
            yield from _at_half(bench, taking_part)
        if bench.wants(FAIRNESS):
            yield from _beside_a_flood(bench, taking_part)
