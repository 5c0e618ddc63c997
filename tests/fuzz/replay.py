"""Runs one target on files, with the whole traceback: `python -m tests.fuzz.replay TARGET FILE…`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.fuzz.growth import check_growth
from tests.fuzz.targets import TARGETS


def main(name: str, *files: str) -> None:
    """Run the target on each file."""
    for file in files:
        data = Path(file).read_bytes()
        start = time.thread_time()
        TARGETS[name](data)
        print(f"{file}: {len(data)} bytes, {time.thread_time() - start:.4f} s of CPU")
        check_growth(name, data)


if __name__ == "__main__":
    main(*sys.argv[1:])
