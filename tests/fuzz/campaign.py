"""A campaign: every target for so many seconds, in a process of its own; prints a table and keeps the totals.

    python -m tests.fuzz --seconds 60 [--only TARGET …] [--jobs 2] [--seed 7]

What the fuzzer learns stands in `build/corpus/`, findings in `build/found/`, and one line for each target that was
run in `build/campaigns.jsonl`: `--totals` adds them up.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from tests.fuzz.targets import CORPUS, TARGETS

BUILD = Path(__file__).with_name("build")
HISTORY = BUILD / "campaigns.jsonl"


class Result(NamedTuple):
    """What came of one target; `cpu` is in seconds."""

    target: str
    engine: str
    inputs: int
    cpu: float
    edges: int
    found: str
    at: float


def run_target(
    name: str, seconds: float, seed: int, *, plain: bool = False, inputs: float = math.inf
) -> Result:
    """Run one target in a process of its own."""
    command = [sys.executable, "-m", "tests.fuzz.run", name, "--seconds", str(seconds), "--seed", str(seed)]
    command += ["--inputs", str(inputs)]
    command += [
        "--corpus",
        str(BUILD / "corpus" / name),
        "--corpus",
        str(CORPUS / name),
        "--found",
        str(BUILD / "found" / name),
    ]
    log = BUILD / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, *(["--plain"] if plain else [])], stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    text = log.read_text(errors="replace")
    found = _read_finding(text, process.returncode, log)
    engine, inputs, edges = _read_figures(text)
    return Result(name, engine, inputs, round(usage.ru_utime + usage.ru_stime, 1), edges, found, time.time())


def _read_finding(text: str, code: int, log: Path) -> str:
    told = re.findall(r'^\{"found": "(.*)"\}$', text, re.MULTILINE)
    if told:
        return str(told[0])
    artifact = re.search(
        r"Test unit written to (\S+)", text
    )  # what libFuzzer itself noticed: memory, or a hang
    if artifact is not None:
        return artifact[1]
    return f"exit code {code}, see {log}" if code else ""


def _read_figures(text: str) -> tuple[str, int, int]:
    plain = re.search(r'^\{"engine": "plain", "inputs": (\d+)\}$', text, re.MULTILINE)
    if plain is not None:
        return "plain", int(plain[1]), 0
    units = re.search(r"^stat::number_of_executed_units:\s*(\d+)", text, re.MULTILINE)
    steps = re.findall(r"^#(\d+)\t", text, re.MULTILINE)
    edges = re.findall(r"\bcov: (\d+)", text)
    inputs = int(units[1]) if units is not None else int(steps[-1]) if steps else 0
    return "atheris", inputs, int(edges[-1]) if edges else 0


def as_table(results: Iterable[Result]) -> str:
    """Return the results as an aligned table, with their sum."""
    results = list(results)
    rows = [("target", "engine", "inputs", "CPU s", "edges", "finding")]
    rows += [
        (r.target, r.engine, f"{r.inputs:,}", f"{r.cpu:,.0f}", str(r.edges), r.found or "-") for r in results
    ]
    total = sum(r.inputs for r in results), sum(r.cpu for r in results), sum(bool(r.found) for r in results)
    rows.append(("all", "", f"{total[0]:,}", f"{total[1]:,.0f}", "", f"{total[2]} findings"))
    widths = [max(len(row[i]) for row in rows) for i in range(6)]
    return "\n".join(
        "  ".join(
            cell.rjust(w) if 2 <= i <= 4 else cell.ljust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def add_up(lines: Iterable[str]) -> list[Result]:
    """Return one result for each target, from the lines of the history."""
    sums: dict[str, dict[str, Any]] = {}
    for line in lines:
        run = json.loads(line)
        total = sums.setdefault(run["target"], {**run, "inputs": 0, "cpu": 0.0, "edges": 0, "found": 0})
        total["inputs"] += run["inputs"]
        total["cpu"] += run["cpu"]
        total["edges"] = max(total["edges"], run["edges"])
        total["found"] += bool(run["found"])
    return [Result(**{**total, "found": str(total["found"] or "")}) for total in sums.values()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a campaign; the exit code is 1 if anything was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target")
    parser.add_argument("--only", nargs="+", choices=sorted(TARGETS), default=list(TARGETS), metavar="TARGET")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument(
        "--seed", type=int, default=int(time.time()) & 0xFFFF, help="of the mutations; the time by default"
    )
    parser.add_argument(
        "--inputs",
        type=float,
        default=math.inf,
        help="mutations at most for each target, of the plain mutator",
    )
    parser.add_argument("--plain", action="store_true", help="use the plain mutator, without atheris")
    parser.add_argument("--totals", action="store_true", help="add up what was run so far")
    options = parser.parse_args(arguments)
    if options.totals:
        print(as_table(add_up(HISTORY.read_text().splitlines())))
        return 0
    with ThreadPoolExecutor(options.jobs) as pool:
        running = [
            pool.submit(
                run_target, name, options.seconds, options.seed, plain=options.plain, inputs=options.inputs
            )
            for name in options.only
        ]
        results = [each.result() for each in running]
    with HISTORY.open("a") as history:
        history.writelines(json.dumps(result._asdict()) + "\n" for result in results)
    print(as_table(results))
    for result in results:
        if result.found:
            print(f"{result.target}: {result.found}")
            print(f"  again: python -m tests.fuzz.replay {result.target} {result.found}")
    return int(any(result.found for result in results))
