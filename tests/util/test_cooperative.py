from __future__ import annotations

import asyncio
from collections.abc import Generator

import pytest

from compartmentd.util import cooperative
from compartmentd.util.cooperative import Slicer, run_in_slices


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
