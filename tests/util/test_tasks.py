from __future__ import annotations

import asyncio
from typing import Any

import pytest

from compartmentd.util.tasks import BackgroundTasks, SingleFlight
from tests.support.timing import eventually


async def test_those_who_ask_during_a_run_share_the_next_one() -> None:
    begun: list[asyncio.Event] = []

    async def work() -> int:
        begun.append(asyncio.Event())
        await begun[-1].wait()
        return len(begun)

    flight: SingleFlight[str, Any] = SingleFlight()
    first = asyncio.create_task(flight.run("work", work))
    await eventually(lambda: begun, "the first run has begun")
    later = [asyncio.create_task(flight.run("work", work)) for _ in range(50)]
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
    flight: SingleFlight[str, bool] = SingleFlight()
    asked = asyncio.create_task(flight.run("work", gate.wait))
    await asyncio.sleep(0)
    asked.cancel()
    other = asyncio.create_task(flight.run("work", gate.wait))
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

    flight: SingleFlight[str, Any] = SingleFlight()
    with pytest.raises(OSError, match="no space"):
        await flight.run("work", work)
    assert await flight.run("work", work) == "saved"


async def test_runs_of_several_keys_wait_for_each_other() -> None:
    running: list[str] = []
    gates = {"all": asyncio.Event(), "keys": asyncio.Event()}

    async def work(key: str) -> str:
        running.append(key)
        await gates[key].wait()
        running.remove(key)
        return key

    flight: SingleFlight[str, str] = SingleFlight()
    asked = [
        asyncio.create_task(flight.run(key, lambda key=key: work(key))) for key in ("all", "keys", "keys")
    ]
    await eventually(lambda: bool(running), "the first run has begun")
    assert running == ["all"]
    gates["keys"].set()
    await asyncio.sleep(0)
    assert running == ["all"]
    gates["all"].set()
    assert await asyncio.gather(*asked) == ["all", "keys", "keys"]


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
