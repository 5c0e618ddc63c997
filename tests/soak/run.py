"""A soak: the daemon for so many seconds under everything at once, and whether it is afterwards as it was.

    python -m tests.soak --seconds 3600 --out soak.json

writes the samples to the file and a plot beside it, prints the figures, and ends with 1 for a fault. Errors, and
descriptors, threads and tasks that grow, are faults of any run; memory is judged in runs of fifty minutes and more:
under 1 MiB an hour after the first ten minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import signal
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from tests.soak.measure import Sample, choose_bounds, find_faults, sample_process
from tests.soak.people import Keys, Soak, settings
from tests.soak.report import as_json, as_svg, as_text
from tests.support.daemon import Daemon

BUILD = Path(__file__).with_name("build")


class ObservedDaemon(Daemon):
    """The daemon, started so that it tells its number of tasks."""

    @property
    def window(self) -> Path:
        """The file of the counts."""
        return self.directory / "window.jsonl"

    def launch(self, output: IO[bytes] | int) -> None:
        """Start the process by way of `tests.soak.observed`."""
        self._runtime.mkdir(mode=0o700, exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "tests.soak.observed",
            str(self.window),
            "serve",
            "-c",
            str(self.config),
        ]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self.environment
        )


async def sample(pid: int, every: float, into: list[Sample]) -> None:
    """Take samples until cancelled."""
    while True:
        into.append(sample_process(pid, time.time()))
        await asyncio.sleep(every)


def add_counts(samples: Sequence[Sample], window: Path) -> list[Sample]:
    """Return the samples with the counts of the daemon's own that are nearest in time."""
    counts = [json.loads(line) for line in window.read_text().splitlines()]
    times = [each["at"] for each in counts]
    found = []
    for each in samples:
        at = min(bisect_left(times, each.at), len(counts) - 1) if counts else -1
        values = counts[at] if at >= 0 else {"tasks": math.nan, "blocks": math.nan}
        found.append(each._replace(tasks=float(values["tasks"]), blocks=float(values["blocks"])))
    return found


async def soak(daemon: ObservedDaemon, keys: Keys, seconds: float, seed: int) -> tuple[Soak, list[Sample]]:
    """Let everyone in for so long, and sample meanwhile."""
    assert daemon.process is not None
    samples: list[Sample] = []
    run = Soak(daemon, keys, seed)
    sampling = asyncio.create_task(sample(daemon.process.pid, max(1.0, min(5.0, seconds / 120)), samples))
    try:
        await run.play(seconds)
    finally:
        sampling.cancel()
    return run, samples


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--out", type=Path, default=BUILD / "soak.json")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        directory = Path(name)
        (directory / "state").mkdir(mode=0o700)
        keys = Keys(directory)
        with ObservedDaemon(directory, settings()) as daemon:
            run, samples = asyncio.run(soak(daemon, keys, options.seconds, options.seed))
            samples = add_counts(samples, daemon.window)
    faults = [*run.faults, *find_faults(samples, choose_bounds(options.seconds))]
    options.out.write_text(as_json(samples, run.done, faults))
    options.out.with_suffix(".svg").write_text(as_svg(samples))
    print(as_text(samples, run.done, faults))
    return int(bool(faults))
