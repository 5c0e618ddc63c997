"""When memory is given back, by tables of what a look finds."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from compartmentd.daemon.memory_return import Due, ReturnPolicy, return_memory
from tests.support.timing import eventually

MIB = 1 << 20

NOTHING, LATER, NOW = Due


def look(policy: ReturnPolicy, resident: int, used: int, late: float = 0.0) -> Due | None:
    """Take one look, in MiB; `None` where the allocator is not asked."""
    if not policy.is_large(resident * MIB):
        return None
    due = policy.decide(resident * MIB, used * MIB, late)
    if due is NOW:
        policy.note_returned(resident * MIB, used * MIB)
    return due


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        pytest.param([(60, 10), (70, 15), (75, 20)], [None] * 3, id="a small process is not asked"),
        pytest.param([(200, 150)], [NOW], id="a peak between two looks"),
        pytest.param([(200, 150)] * 3, [NOW, NOTHING, NOTHING], id="what is in use is left alone"),
        pytest.param([(1000, 900), (1000, 100), (160, 100)], [NOW, NOW, NOTHING], id="much is freed later"),
        pytest.param([(500, 400), (500, 390), (500, 386)], [NOW, NOTHING, NOTHING], id="little is freed"),
        pytest.param([(500, 400), (510, 405), (517, 410)], [NOW, NOTHING, NOW], id="it grows"),
        pytest.param(
            [(500, 400), (70, 10), (170, 100)], [NOW, None, NOW], id="it shrinks by itself and grows"
        ),
    ],
)
def test_memory_is_given_back(looks: list[tuple[int, int]], expected: list[Due | None]) -> None:
    policy = ReturnPolicy(60 * MIB)
    assert [look(policy, *each) for each in looks] == expected


def test_a_busy_loop_is_spared_for_a_while() -> None:
    policy = ReturnPolicy(60 * MIB)
    assert [look(policy, 500, 400, late=1.0) for _ in range(8)] == [LATER] * 6 + [NOW, NOTHING]


class Heap:
    """An allocator that holds a peak until it is asked to return it."""

    resident, used = 60 * MIB, 20 * MIB

    def measure_resident(self) -> int:
        return self.resident

    def measure_used(self) -> int:
        return self.used

    def return_unused(self) -> None:
        self.resident = self.used + 40 * MIB


async def test_a_peak_is_given_back_while_the_daemon_runs() -> None:
    heap = Heap()
    task = asyncio.create_task(return_memory(heap, heap.measure_resident, period=0.01))
    await asyncio.sleep(0.05)
    heap.resident = 900 * MIB
    await eventually(lambda: heap.resident == 60 * MIB, "the peak is given back")
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
