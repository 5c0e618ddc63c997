"""What glibc's allocator gives back, in a process of its own: the settings are for a whole process."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from typing import cast

import pytest

from compartmentd.util.allocator import Allocator, measure_resident

MIB = 1 << 20

SCRIPT = """
import sys
from compartmentd.util.allocator import find_allocator, measure_resident

size, apart = int(sys.argv[1]), sys.argv[2] == "apart"
allocator = find_allocator()
bytearray(4 << 20)  # after a large buffer is freed, glibc keeps large ones
if apart:
    allocator.keep_large_buffers_apart()
before = measure_resident(), allocator.measure_used()
buffers, kept = [], []
for _ in range((200 << 20) // size):
    buffers.append(bytearray(b"x" * size))
    kept.append(bytes(1000))
peak = measure_resident(), allocator.measure_used()
del buffers
freed = measure_resident(), allocator.measure_used()
allocator.return_unused()
print(*before, *peak, *freed, measure_resident())
"""


def measure(size: int, apart: str) -> tuple[int, ...]:
    """Return resident and used MiB above the start: at the peak, after it, and resident ones when trimmed."""
    finished = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(size), apart], capture_output=True, text=True, check=True
    )
    resident, used, *others = map(int, finished.stdout.split())
    return tuple(
        (value - (used if index in {1, 3} else resident)) // MIB for index, value in enumerate(others)
    )


def test_large_buffers_go_back_when_they_are_freed() -> None:
    peak, peak_used, freed, freed_used, _ = measure(MIB, "apart")
    assert peak > 150
    assert peak_used > 150
    assert freed < 20
    assert freed_used < 20


def test_small_buffers_go_back_when_that_is_asked_for() -> None:
    peak, _, freed, freed_used, returned = measure(30_000, "apart")
    assert peak > 150
    assert freed > 150, "they lie between things that stay"
    assert freed_used < 20
    assert returned < 60


def test_another_library_is_left_as_it_is() -> None:
    with pytest.raises(AttributeError):
        Allocator(cast(ctypes.CDLL, object()))


def test_what_is_resident_is_known() -> None:
    assert measure_resident() > MIB
