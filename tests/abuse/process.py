"""What the daemon's process takes, read from /proc (proc(5)), and what its metrics say."""

from __future__ import annotations

import os
import re
import threading
import time
from pathlib import Path
from typing import NamedTuple

from tests.support.daemon import Daemon

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Usage(NamedTuple):
    """CPU seconds since the start, resident bytes, open descriptors."""

    cpu: float
    memory: int
    descriptors: int


def usage(pid: int) -> Usage:
    """Return what a process takes now."""
    place = Path(f"/proc/{pid}")
    fields = (place / "stat").read_text().rpartition(")")[2].split()
    return Usage(
        (int(fields[11]) + int(fields[12])) / _TICK,
        int((place / "statm").read_text().split()[1]) * _PAGE,
        len(os.listdir(place / "fd")),  # noqa: PTH208 - names alone, a hundred times a second
    )


class Peaks(threading.Thread):
    """Looks at a process forty times a second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._stopped = threading.Event()
        self.memory = 0
        self.descriptors = 0

    def run(self) -> None:
        while not self._stopped.wait(0.025):
            try:
                now = usage(self._pid)
            except OSError:
                return
            self.memory = max(self.memory, now.memory)
            self.descriptors = max(self.descriptors, now.descriptors)

    def stop(self) -> None:
        self._stopped.set()
        self.join()


_SAMPLE = re.compile(r"^compartmentd_(\S+) (\S+)$", re.MULTILINE)
_TELLS = re.compile(
    r"refused|refusals|cut|dropped|floods|shed|left_out|skipped|timeouts|code=\"(?!allowed)|ended|observed"
)


def counts(daemon: Daemon) -> dict[str, float]:
    """Return the counters that tell what was refused, by name and labels."""
    text = daemon.get("/metrics").body.decode()
    return {name: float(value) for name, value in _SAMPLE.findall(text) if _TELLS.search(name)}


def grown(before: dict[str, float], after: dict[str, float]) -> dict[str, int]:
    """Return by how much counters grew, the largest first."""
    more = {name: round(value - before.get(name, 0)) for name, value in after.items()}
    return dict(sorted(((n, v) for n, v in more.items() if v > 0), key=lambda item: -item[1]))


def wait_for_calm(pid: int, *, memory: float, descriptors: int, patience: float) -> Usage:
    """Wait until the process is back below these; return what it takes then, or at the end of our patience."""
    ends = time.monotonic() + patience
    while True:
        now = usage(pid)
        if (now.memory <= memory and now.descriptors <= descriptors) or time.monotonic() >= ends:
            return now
        time.sleep(0.05)
