"""Gives memory back to the system after a peak: a burst of long queues must not make the process large for good.

The allocator keeps what is freed among things that stay. To give that back takes milliseconds for each 10 MiB, and
nothing else can be allocated meanwhile. So it is done in a thread, when much was freed, and at a quiet moment.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol

PERIOD = 5.0
"""Seconds between two looks. One costs 20 µs while the process is small, else some milliseconds in a thread."""

_WORTH = 16 << 20
"""Bytes that must have been freed, or come in addition, for it to be worth the time: 7 ms on a busy machine."""

_LATE = 0.02
"""Seconds by which a timer is late in a loop that is busy; then the next look is soon enough."""

_PATIENCE = 6
"""Looks for which a busy loop is spared."""


class ReturnsMemory(Protocol):
    """The allocator of the process, see `util.allocator`."""

    def measure_used(self) -> int:
        """Return the bytes that are allocated."""

    def return_unused(self) -> None:
        """Give back what holds nothing."""


class Due(Enum):
    """The outcome of a look."""

    NOTHING = auto()
    LATER = auto()
    NOW = auto()


class ReturnPolicy:
    """Decides when memory is given back, by what is resident and what is used, both in bytes."""

    def __init__(self, resident: int) -> None:
        """Begin with so much resident memory."""
        self._least = self._after = resident
        self._most_used = 0
        self._postponed = 0

    def is_large(self, resident: int) -> bool:
        """Return whether the process is so large that the allocator is worth asking."""
        self._least = min(self._least, resident)
        self._after = min(self._after, resident)
        return resident - self._least >= _WORTH

    def decide(self, resident: int, used: int, late: float) -> Due:
        """Decide for a process that is large; `late` is the lag of the loop in seconds."""
        self._most_used = max(self._most_used, used)
        if self._most_used - used < _WORTH and resident - self._after < _WORTH:
            return Due.NOTHING
        if late > _LATE and self._postponed < _PATIENCE:
            self._postponed += 1
            return Due.LATER
        return Due.NOW

    def note_returned(self, resident: int, used: int) -> None:
        """Take note that memory was given back; this is what is left."""
        self._after, self._most_used, self._postponed = resident, used, 0


async def return_memory(
    allocator: ReturnsMemory, measure_resident: Callable[[], int], period: float = PERIOD
) -> None:
    """Look every `period` seconds, for as long as the daemon runs."""
    policy = ReturnPolicy(measure_resident())
    while True:
        due = time.monotonic() + period
        await asyncio.sleep(period)
        late = time.monotonic() - due
        resident = measure_resident()
        if not policy.is_large(resident):
            continue
        used = await asyncio.to_thread(allocator.measure_used)
        if policy.decide(resident, used, late) is Due.NOW:
            await asyncio.to_thread(allocator.return_unused)
            policy.note_returned(measure_resident(), used)
