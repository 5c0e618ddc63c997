"""Sets up the C library's allocator, measures what it holds, and gives back to the system what it does not need.

Python's small objects come from arenas of their own; messages, queues and buffers come from `malloc`. Of all C
libraries only glibc can do this (mallopt(3), mallinfo(3), malloc_trim(3)); others are left as they are.
"""

from __future__ import annotations

import ctypes
import resource
from functools import cache
from pathlib import Path

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3

_LARGE = 1 << 18
"""Bytes from which on a buffer has pages of its own, which go back when it is freed.

glibc's own limit grows to the largest buffer that was ever freed, up to 32 MiB: then the memory of a thousand
queues of 1 MiB stays with the process. A copy of 300 KB takes as long with either limit (0.23 ms), one of 1 MB
0.88 ms instead of 0.79.
"""

_SPARE = 4 << 20
"""Free bytes at the end of the heap that are kept for the next buffers."""


class _Mallinfo2(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    )


class Allocator:
    """glibc's allocator; its functions take milliseconds where a heap is large, and may be called in any thread."""

    def __init__(self, libc: ctypes.CDLL) -> None:
        """Use the functions of this library.

        Raises:
            AttributeError: it is not glibc, or older than 2.33.
        """
        self._mallopt, self._trim, self._mallinfo = libc.mallopt, libc.malloc_trim, libc.mallinfo2
        self._mallinfo.restype = _Mallinfo2

    def keep_large_buffers_apart(self) -> None:
        """Give large buffers pages of their own; for those that are allocated from now on."""
        self._mallopt(_M_MMAP_THRESHOLD, _LARGE)
        self._mallopt(_M_TRIM_THRESHOLD, _SPARE)

    def measure_used(self) -> int:
        """Return the bytes that are allocated."""
        info = self._mallinfo()
        return int(info.uordblks) + int(info.hblkhd)

    def return_unused(self) -> None:
        """Give all pages that hold nothing back to the system; 1 GiB takes up to half a second."""
        self._trim(_SPARE)


@cache
def find_allocator() -> Allocator | None:
    """Return the allocator of this process, `None` where it is not glibc's."""
    try:
        return Allocator(ctypes.CDLL(None))
    except (AttributeError, OSError):
        return None


def measure_resident() -> int:
    """Return the bytes of memory that the process has of the system; 0 where /proc does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except (OSError, IndexError, ValueError):
        return 0
