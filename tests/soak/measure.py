"""Samples of a process, and the trend in them: a regression with its interval, and what is judged by it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

MIB = 1 << 20
HOUR = 3600.0
WARM_UP = 600.0
"""Seconds at the beginning that say nothing of a trend: caches fill, and the allocator finds its size."""

BLOCKS = 20
"""Samples are averaged in so many blocks, since neighbours are alike and would make an interval look too narrow."""

# The two-sided 95 % quantile of Student's t with n degrees of freedom; beyond 30 the normal one is near enough.
_QUANTILES = (
    12.71,
    4.30,
    3.18,
    2.78,
    2.57,
    2.45,
    2.36,
    2.31,
    2.26,
    2.23,
    2.20,
    2.18,
    2.16,
    2.14,
    2.13,
    2.12,
    2.11,
    2.10,
)


class Sample(NamedTuple):
    """A process at one moment: seconds since the start, bytes, and counts."""

    at: float
    rss: float
    pss: float
    descriptors: float
    threads: float
    tasks: float = math.nan
    blocks: float = math.nan


class Trend(NamedTuple):
    """A straight line through samples: `slope` is per second, with its 95 % interval, `mean` is the level."""

    slope: float
    low: float
    high: float
    mean: float

    def per_hour(self, unit: float = 1.0) -> tuple[float, float, float]:
        """Return slope and interval per hour, in this unit."""
        return self.slope * HOUR / unit, self.low * HOUR / unit, self.high * HOUR / unit


def sample_process(pid: int, at: float) -> Sample:
    """Read a process from /proc (proc(5))."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    memory = {
        name: int(kib) * 1024.0 for name, kib in re.findall(r"^(Rss|Pss):\s+(\d+) kB", rollup, re.MULTILINE)
    }
    threads = re.search(r"^Threads:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert threads is not None
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Sample(at, memory["Rss"], memory["Pss"], descriptors, float(threads[1]))


def select_settled(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples after the warm-up: ten minutes, or a sixth of a shorter run."""
    if not samples:
        return []
    start, end = samples[0].at, samples[-1].at
    return [each for each in samples if each.at - start >= min(WARM_UP, (end - start) / 6)]


def fit(points: Sequence[tuple[float, float]]) -> Trend:
    """Return the least-squares line through points, averaged in blocks first."""
    points = [(at, value) for at, value in points if not math.isnan(value)]
    blocks = average_in_blocks(points, min(BLOCKS, len(points)))
    count = len(blocks)
    if count < 3:
        raise ValueError("a trend wants at least three samples")
    mean_at, mean = sum(at for at, _ in blocks) / count, sum(value for _, value in blocks) / count
    spread = sum((at - mean_at) ** 2 for at, _ in blocks)
    slope = sum((at - mean_at) * (value - mean) for at, value in blocks) / spread
    rest = sum((value - mean - slope * (at - mean_at)) ** 2 for at, value in blocks)
    error = math.sqrt(rest / (count - 2) / spread) * _QUANTILES[min(count - 2, len(_QUANTILES)) - 1]
    return Trend(slope, slope - error, slope + error, mean)


def average_in_blocks(points: Sequence[tuple[float, float]], count: int) -> list[tuple[float, float]]:
    """Return the means of so many runs of neighbouring points."""
    bounds = [round(index * len(points) / count) for index in range(count + 1)]
    blocks = [points[low:high] for low, high in pairwise(bounds) if high > low]
    return [
        (sum(at for at, _ in each) / len(each), sum(value for _, value in each) / len(each))
        for each in blocks
    ]


class Bounds(NamedTuple):
    """What a run may show: MiB per hour, and how much a count may drift over the run."""

    memory: float
    drift: float
    by_estimate: bool
    """Whether the slope itself is judged; in a short run only an interval beyond the bound is a failure."""


def choose_bounds(seconds: float) -> Bounds:
    """Return the bounds for a run of this length: an hour is judged strictly, of minutes not their memory."""
    if seconds >= 3000:
        return Bounds(memory=1.0, drift=4.0, by_estimate=True)
    # Within minutes caches fill, and one arena of the allocator is tens of MiB an hour.
    return Bounds(memory=math.inf, drift=16.0, by_estimate=False)


def find_faults(samples: Sequence[Sample], bounds: Bounds) -> list[str]:
    """Return what a run shows that it should not, one sentence each."""
    settled, faults = select_settled(samples), []
    duration = settled[-1].at - settled[0].at
    for name in ("rss", "pss"):
        slope, low, high = fit([(each.at, getattr(each, name)) for each in settled]).per_hour(MIB)
        if (slope if bounds.by_estimate else low) > bounds.memory:
            faults.append(f"{name} grows by {slope:.2f} MiB an hour (95 %: {low:.2f} to {high:.2f})")
    for name in ("descriptors", "threads", "tasks"):
        trend = fit([(each.at, getattr(each, name)) for each in settled])
        if trend.low * duration > bounds.drift:
            faults.append(
                f"{name} grow by {trend.slope * duration:.1f} over the run, around {trend.mean:.1f}"
            )
    return faults
