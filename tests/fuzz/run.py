"""Runs one target: under atheris where it is installed, which coverage guides, else under the plain mutator.

    python -m tests.fuzz.run TARGET --seconds 60 --corpus DIRECTORY --found DIRECTORY

The plain mutator prints the number of its inputs as JSON; both print the file of a finding, which fails the run.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.util
import json
import math
import random
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

LONGEST = 4096
_GROWTH_EVERY = 512
"""Inputs between two whose growth is measured, which takes a hundred times as long as running the target."""


class Guard:
    """A target with what holds of every input: bounded CPU time, and time that grows with the input alone."""

    def __init__(self, name: str, found: Path) -> None:
        targets = importlib.import_module("tests.fuzz.targets")
        self._growth = importlib.import_module("tests.fuzz.growth")
        self._target: Callable[[bytes], None] = targets.TARGETS[name]
        self._most: float = targets.get_limit(name)
        self._name = name
        self._found = found
        self.count = 0

    def __call__(self, data: bytes) -> None:
        """Run the target on one input; a finding is written to a file before it is raised."""
        self.count += 1
        try:
            self._run(data)
            if self.count % _GROWTH_EVERY == 0:
                self._growth.check_growth(self._name, data)
        except Exception:
            self._found.mkdir(parents=True, exist_ok=True)
            path = self._found / f"found-{hashlib.sha256(data).hexdigest()[:8]}.seed"
            path.write_bytes(data)
            traceback.print_exc()
            print(json.dumps({"found": str(path)}), flush=True)
            raise

    def _run(self, data: bytes) -> None:
        for _ in range(3):  # a garbage collection, or another process, is no fault of the input
            start = time.thread_time()
            self._target(data)
            if time.thread_time() - start <= self._most:
                return
        raise AssertionError(f"an input of {len(data)} bytes takes more than {self._most} s of CPU")


def run_plainly(
    guard: Callable[[bytes], None], seeds: list[bytes], seconds: float, seed: int, most: float = math.inf
) -> None:
    """Run a target on the seeds, and on mutations of them, `most` of them or until the time is over.

    The mutations follow from the seeds and `seed` alone, so a run that is bounded by their number finds the same
    again.
    """
    mutate = importlib.import_module("tests.fuzz.mutate").mutate
    until = time.monotonic() + seconds
    for data in seeds:
        guard(data)
    source = random.Random(seed)
    while time.monotonic() < until and most > 0:
        guard(mutate(seeds, source, LONGEST))
        most -= 1


def run_guided(name: str, found: Path, corpus: list[str], seconds: float, seed: int) -> None:
    """Run a target under atheris, which ends the process."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["compartmentd"]):
        guard = Guard(name, found)
    options = [
        *(
            f"-max_total_time={round(seconds)}",
            f"-max_len={LONGEST}",
            f"-seed={seed}",
            "-print_final_stats=1",
        ),
        *("-timeout=60", "-rss_limit_mb=2048", f"-artifact_prefix={found}/", "-verbosity=1"),
    ]
    atheris.Setup([sys.argv[0], *options, *corpus], guard, enable_python_coverage=True)
    atheris.Fuzz()


def main() -> int:
    """Read the command line, and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument(
        "--corpus", type=Path, action="append", required=True, help="the first one is written to"
    )
    parser.add_argument("--found", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--inputs", type=float, default=math.inf, help="mutations at most, of the plain mutator"
    )
    parser.add_argument("--plain", action="store_true", help="use the plain mutator")
    options = parser.parse_args()
    for directory in (options.corpus[0], options.found):
        directory.mkdir(parents=True, exist_ok=True)
    if not options.plain and importlib.util.find_spec("atheris") is not None:
        run_guided(
            options.target, options.found, list(map(str, options.corpus)), options.seconds, options.seed
        )
        return 0
    guard = Guard(options.target, options.found)
    seeds = [
        path.read_bytes()
        for directory in options.corpus
        for path in sorted(directory.iterdir())
        if path.is_file()
    ]
    try:
        run_plainly(guard, seeds, options.seconds, options.seed, options.inputs)
    except Exception:  # noqa: BLE001 - any exception of a target is a finding, which the guard has told
        return 1
    finally:
        print(json.dumps({"engine": "plain", "inputs": guard.count}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
