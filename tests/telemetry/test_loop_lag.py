from __future__ import annotations

import pytest

from compartmentd.telemetry.loop_lag import BOUNDS, LoopLag


@pytest.mark.parametrize(
    ("seconds", "bound"),
    [
        (-0.1, 0.001),
        (0.0, 0.001),
        (0.001, 0.001),
        (0.0011, 0.0025),
        (0.3, 0.5),
        (1.0, 1.0),
        (7.0, float("inf")),
    ],
)
def test_a_delay_counts_in_the_first_bucket_that_holds_it(seconds: float, bound: float) -> None:
    lag = LoopLag()
    lag.note(seconds)
    assert [BOUNDS[place] for place, count in enumerate(lag.counts) if count] == [bound]
    assert lag.total == max(0.0, seconds)
