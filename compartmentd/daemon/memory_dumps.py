"""Keeps the memory of the process, which holds secrets and tokens, out of core dumps and from other processes."""

from __future__ import annotations

import ctypes
import os
import resource

_PR_SET_DUMPABLE = 4
"""prctl(2), of <linux/prctl.h>."""


def forbid_memory_dumps() -> None:
    """Make the process not dumpable.

    The kernel writes no core of it, neither to a file nor to a handler such as systemd-coredump, and lets no other
    process of the user attach to it or read its memory. Root still may, with a debugger or a profiler. The files in
    `/proc/PID` belong to root then. A program that is executed, such as the compiling child, is dumpable again; it
    holds no secret, and has the limit of 0 bytes for its cores.

    Raises:
        OSError: the kernel does not do so.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
