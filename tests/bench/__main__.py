"""The bench: how fast ours is, beside its peers, in one run.

    make bench            everything, in some quarter of an hour
    make bench-quick      the same table in about two minutes
    python -m tests.bench --only decisions,reload

Figures are CPU time of the servers, which share one core while the load has another; only the ratios within one run
mean anything. The table is printed last.
"""

from __future__ import annotations

import importlib
import sys
import time
import traceback
from pathlib import Path

import click

from tests.bench import compiled, tokens
from tests.bench.bench import Bench
from tests.bench.report import as_json, as_svg, as_table
from tests.bench.rows import Row

WORKLOADS = ("fanout", "inbound", "polling", "latency", "setup", "memory", "decisions", "reload", "leaving")
"""Modules of `tests.bench.workloads`, in the order in which they run."""

PEERS = ("node", "python-socketio", "nchan", "c")


def run(bench: Bench, workloads: tuple[str, ...]) -> tuple[list[Row], list[str]]:
    """Measure the works, and say on the way what came out; the second list names those that failed."""
    found, failed = [], []
    for name in workloads:
        start = time.monotonic()
        try:
            for row in importlib.import_module(f"tests.bench.workloads.{name}").rows(bench):
                beside = "" if row.ratio is None else f", {row.ratio:.2f} of {row.peer}"
                print(f"{row.work}: {row.ours:.4g} {row.unit}{beside}", file=sys.stderr, flush=True)
                found.append(row)
        except Exception:  # noqa: BLE001 - what fails is told here and by the exit code, and the rest is measured
            traceback.print_exc()
            failed.append(name)
        print(f"-- {name}: {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)
    return found, failed


def _listed(context: click.Context, option: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Read a list of names, which is all of them by default."""
    allowed = {"only": WORKLOADS, "peers": PEERS}[str(option.name)]
    chosen = tuple(value.split(",")) if value else allowed
    if unknown := set(chosen) - set(allowed):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}; there are {', '.join(allowed)}")
    return chosen


@click.command()
@click.option("--full", "pace", flag_value="full", default=True, help="Long rounds, which is the default.")
@click.option("--quick", "pace", flag_value="quick", help="Short rounds: about two minutes.")
@click.option("--tiny", "pace", flag_value="tiny", help="Nearly no rounds: whether it works, and no figures.")
@click.option("--out", type=click.Path(path_type=Path), help="Where the JSON goes.")
@click.option("--plot", type=click.Path(path_type=Path), help="Where the SVG goes.")
@click.option("--only", callback=_listed, help=f"Works: {','.join(WORKLOADS)}.")
@click.option("--peers", callback=_listed, help=f"Who is beside ours: {','.join(PEERS)}.")
@click.option("--prepare", is_flag=True, help="Sign tokens and compile, and measure nothing.")
def main(
    pace: str,
    out: Path | None,
    plot: Path | None,
    only: tuple[str, ...],
    peers: tuple[str, ...],
    *,
    prepare: bool,
) -> None:
    """Measure ours and its peers, and print the table."""
    given = tokens.make()
    for name in compiled.PROGRAMS:
        compiled.program(name)
    if prepare:
        return
    with Bench(given, peers, pace) as bench:
        rows, failed = run(bench, only)
    for file, text in ((out, as_json(rows)), (plot, as_svg(rows))):
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    if failed:
        print(f"not measured to the end: {', '.join(failed)}", file=sys.stderr)
    print(as_table(rows), flush=True)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
