from __future__ import annotations

import asyncio
from collections.abc import Generator

import pytest

from compartmentd.util import cooperative
from compartmentd.util.cooperative import (
    LONGEST_SLICE,
    MOST_SHARE,
    SLICE,
    GrowingSlice,
    Slicer,
    run_in_slices,
)


@pytest.fixture(name="clock")
def _clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time that the module sees, which a test moves."""
    now = [0.0]
    monkeypatch.setattr(cooperative.time, "monotonic", lambda: now[0])
    return now


async def _count_turns(turns: list[int]) -> None:
    while True:
        turns[0] += 1
        await asyncio.sleep(0)


async def test_others_run_after_each_slice_and_at_the_end(clock: list[float]) -> None:
    seen: list[int] = []
    turns = [0]

    def steps() -> Generator[None, None, str]:
        for _ in range(6):
            clock[0] += 0.001
            seen.append(turns[0])
            yield
        return "built"

    other = asyncio.ensure_future(_count_turns(turns))
    assert await run_in_slices(steps(), 0.0025) == "built"
    other.cancel()
    assert seen == [0, 0, 0, 3, 3, 3]
    assert turns == [9]


async def test_an_error_of_the_work_comes_out(clock: list[float]) -> None:
    def steps() -> Generator[None, None, None]:
        yield
        raise ValueError("cannot be built")

    with pytest.raises(ValueError, match="cannot be built"):
        await run_in_slices(steps())
    assert clock == [0.0]


async def test_a_slice_begins_after_the_pause_not_before_it(clock: list[float]) -> None:
    slicer = Slicer(0.002)
    clock[0] = 0.001
    assert not slicer.is_over()
    clock[0] = 0.003
    assert slicer.is_over()
    await slicer.pause()
    assert not slicer.is_over()
    clock[0] = 0.0051
    assert slicer.is_over()


@pytest.mark.parametrize("others", [0.0, 0.001, 0.02, 0.1, 0.15])
@pytest.mark.parametrize("work", [0.001, 0.05, 0.15])
def test_work_that_is_behind_is_done_within_a_second_however_long_the_others_take(
    others: float, work: float
) -> None:
    now = 100.0
    growing = GrowingSlice(lambda: now)
    slices = []
    while work > 0.0:
        slices.append(min(growing.compute(), work))
        now += slices[-1]
        work -= slices[-1]
        growing.note_end(is_behind=work > 0.0)
        now += others
    assert now - 100.0 < 1.0
    assert max(slices) <= LONGEST_SLICE
    assert slices[0] <= SLICE, "work that is not behind takes no more than before"
    assert growing.compute() == SLICE, "nor does it when it has caught up"


def test_the_share_grows_with_the_time_behind() -> None:
    now = 0.0
    growing = GrowingSlice(lambda: now)
    shares = []
    for _ in range(40):
        growing.note_end(is_behind=True)
        now += 0.01
        length = growing.compute()
        shares.append(length / (length + 0.01))
        now += length
    assert shares == sorted(shares)
    assert shares[0] < 0.2
    assert shares[-1] == pytest.approx(MOST_SHARE)
