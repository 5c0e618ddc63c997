from __future__ import annotations

import asyncio

import pytest

from compartmentd.util.tasks import BackgroundTasks, SingleFlight
from tests.support.timing import eventually


async def test_those_who_ask_during_a_run_share_the_next_one() -> None:
    begun: list[asyncio.Event] = []

    async def work() -> int:
        begun.append(asyncio.Event())
        await begun[-1].wait()
        return len(begun)

    flight = SingleFlight(work)
    first = asyncio.create_task(flight.run())
    await eventually(lambda: begun, "the first run has begun")
    later = [asyncio.create_task(flight.run()) for _ in range(50)]
    await asyncio.sleep(0)
    assert len(begun) == 1
    begun[0].set()
    assert await first == 1
    await eventually(lambda: len(begun) == 2, "the second run has begun")
    begun[1].set()
    assert set(await asyncio.gather(*later)) == {2}
    await flight.wait()


async def test_a_run_outlives_the_caller_that_asked_for_it() -> None:
    gate = asyncio.Event()
    flight = SingleFlight(gate.wait)
    asked = asyncio.create_task(flight.run())
    await asyncio.sleep(0)
    asked.cancel()
    other = asyncio.create_task(flight.run())
    gate.set()
    assert await other is True
    await flight.wait()
    with pytest.raises(asyncio.CancelledError):
        await asked


async def test_a_failed_run_fails_for_its_callers_alone() -> None:
    results: list[Exception | str] = [OSError("no space"), "saved"]

    async def work() -> str:
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    flight = SingleFlight(work)
    with pytest.raises(OSError, match="no space"):
        await flight.run()
    assert await flight.run() == "saved"


async def test_background_tasks_end_together() -> None:
    tasks = BackgroundTasks()
    waiting = [tasks.start(asyncio.Event().wait()) for _ in range(3)]
    done = tasks.start(asyncio.sleep(0, "result"))
    assert await done == "result"
    await asyncio.sleep(0)
    assert len(tasks) == 3
    await tasks.cancel()
    assert len(tasks) == 0
    assert all(task.cancelled() for task in waiting)


async def test_the_failure_of_a_background_task_is_told_and_its_cancellation_is_not() -> None:
    told: list[BaseException] = []
    tasks = BackgroundTasks(told.append)

    async def fail() -> None:
        raise ValueError("a part failed")

    cancelled = tasks.start(asyncio.sleep(60))
    tasks.start(fail())
    cancelled.cancel()
    await tasks.wait()
    await asyncio.sleep(0)
    assert [str(error) for error in told] == ["a part failed"]
