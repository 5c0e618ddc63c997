"""Fan-out over polling: the receivers poll, the sender has a WebSocket, so that a figure is of deliveries alone.

One message at a time is the row with a target, since there each delivery is a request; where there are more, a
request brings many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.bench.bench import Bench
from tests.bench.rows import POLLING, POLLING_SATURATED, Row
from tests.bench.workloads.rounds import Side, compared, cost, in_turns, per_second, sides

SIZE = 500
BYTES = 90


def _measure(window: int, seconds: float) -> Callable[[Side], float]:
    def measure(side: Side) -> float:
        return cost(
            side.server,
            lambda: side.load.closed(window=window, batch=max(1, window // 4), bytes=BYTES, seconds=seconds),
            "deliveries",
        )

    return measure


def rows(bench: Bench) -> Iterator[Row]:
    """Yield the rows of polling."""
    seconds = bench.scale(1.0, 0.1, 0.01)
    with sides(bench, "node") as taking_part:
        for side in taking_part:
            side.load.connect(
                side.place,
                clients=SIZE,
                size=SIZE,
                tokens=bench.tokens.file,
                polling=True,
                websocket_senders=1,
            )
        for work, window in ((POLLING, 1), (POLLING_SATURATED, 64)):
            if not bench.wants(work):
                continue
            measure = _measure(window, seconds)
            values = in_turns(bench, taking_part, measure, measure)
            yield from compared(work, "deliveries/CPU-s", per_second(values))
