"""The bench: how fast ours is, beside its peers or beside another revision of itself, in one run.

    make bench            everything, in some quarter of an hour
    make bench-quick      the same table in about two minutes
    python -m tests.bench --only decisions,reload
    python -m tests.bench ab --base main --rows inbound,fan-out-saturated --rounds 15

Figures are CPU time of the servers, which share one core while the load has another; only the ratios within one run
mean anything. The table is printed last.

`ab` measures the daemon of this tree, as it lies there, and the one of a revision in alternating rounds, each
with new processes, and prints for each row the median of the rounds' ratios and the interval that encloses it
with 95 %. It exits with 1 if a row is worse: if its whole interval lies beyond 3 % on the bad side. `--base HEAD`
shows what the machine's noise alone does. A row is named by its workload (`inbound`) or by the beginning of its
short name (`fan-out-single`); an unknown name lists them all.
"""

from __future__ import annotations

import importlib
import sys
import time
import traceback
from pathlib import Path

import click

from tests.bench import compiled, rows, tokens
from tests.bench.bench import Bench
from tests.bench.paired import FEWEST_ROUNDS, compare, join_rounds
from tests.bench.report import as_comparison, as_json, as_svg, as_table
from tests.bench.rows import WORKS, Row
from tests.bench.tokens import Tokens
from tests.bench.trees import UnknownRevision, find

PEERS = ("node", "python-socketio", "nchan", "c")


def run(bench: Bench, workloads: tuple[str, ...]) -> tuple[list[Row], list[str]]:
    """Run the workloads and print each row as it comes; return the rows and the workloads that failed."""
    found, failed = [], []
    for name in workloads:
        start = time.monotonic()
        try:
            for row in importlib.import_module(f"tests.bench.workloads.{name}").rows(bench):
                if not bench.wants(row.work):
                    continue
                beside = "" if row.ratio is None else f", {row.ratio:.3f} of {row.peer}"
                print(f"{row.work}: {row.ours:.4g} {row.unit}{beside}", file=sys.stderr, flush=True)
                found.append(row)
        except Exception:  # noqa: BLE001 - what fails is told here and by the exit code, and the rest is measured
            traceback.print_exc()
            failed.append(name)
        print(f"-- {name}: {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)
    if failed:
        print(f"not measured to the end: {', '.join(failed)}", file=sys.stderr)
    return found, failed


def prepare() -> Tokens:
    """Sign the tokens and compile the programs, unless that was done before."""
    given = tokens.make()
    for name in compiled.PROGRAMS:
        compiled.program(name)
    return given


def _names(context: click.Context, option: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Read a list of names, which is all of them by default."""
    allowed = {"only": tuple(WORKS), "peers": PEERS}[str(option.name)]
    chosen = tuple(value.split(",")) if value else allowed
    if unknown := set(chosen) - set(allowed):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}; there are {', '.join(allowed)}")
    return chosen


def _works(context: click.Context, option: click.Parameter, value: str) -> frozenset[str]:
    try:
        return rows.select(value.split(","))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.group(invoke_without_command=True)
@click.option("--full", "pace", flag_value="full", default=True, help="Long rounds, which is the default.")
@click.option("--quick", "pace", flag_value="quick", help="Short rounds: about two minutes.")
@click.option("--tiny", "pace", flag_value="tiny", help="Nearly no rounds: whether it works, and no figures.")
@click.option("--out", type=click.Path(path_type=Path), help="Where the JSON goes.")
@click.option("--plot", type=click.Path(path_type=Path), help="Where the SVG goes.")
@click.option("--only", callback=_names, help=f"Workloads: {','.join(WORKS)}.")
@click.option("--peers", callback=_names, help=f"The servers beside ours: {','.join(PEERS)}.")
@click.option("--prepare", "only_prepare", is_flag=True, help="Sign tokens and compile, and measure nothing.")
def main(
    pace: str,
    out: Path | None,
    plot: Path | None,
    only: tuple[str, ...],
    peers: tuple[str, ...],
    *,
    only_prepare: bool,
) -> None:
    """Measure ours and its peers, and print the table."""
    if click.get_current_context().invoked_subcommand:
        return
    given = prepare()
    if only_prepare:
        return
    with Bench(given, peers, pace) as bench:
        found, failed = run(bench, only)
    for file, text in ((out, as_json(found)), (plot, as_svg(found))):
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    print(as_table(found), flush=True)
    sys.exit(bool(failed))


@main.command()
@click.option("--base", required=True, metavar="REV", help="The revision, or directory, to compare with.")
@click.option(
    "--rows", "wanted", required=True, callback=_works, metavar="NAME[,NAME]", help="What to measure."
)
@click.option("--rounds", type=click.IntRange(min=1), default=15, show_default=True, help="How often.")
@click.option("--full", "pace", flag_value="full", default=True, help="Long rounds, which is the default.")
@click.option("--quick", "pace", flag_value="quick", help="Short rounds, which say less each.")
@click.option("--tiny", "pace", flag_value="tiny", help="Nearly no rounds: whether it works, and no figures.")
def ab(base: str, wanted: frozenset[str], rounds: int, pace: str) -> None:
    """Measure this tree and another revision in alternating rounds; exit with 1 if a row is worse."""
    if rounds < FEWEST_ROUNDS and pace != "tiny":
        raise click.UsageError(f"fewer than {FEWEST_ROUNDS} rounds give no interval of 95 %")
    try:
        tree = find(base)
    except UnknownRevision as error:
        raise click.BadParameter(f"{base}: {error}", param_hint="--base") from None
    workloads = tuple(name for name, works in WORKS.items() if wanted & set(works))
    given = prepare()
    found, failed = [], False
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        with Bench(given, pace=pace, base=tree, base_first=number % 2 == 1, wanted=wanted) as bench:
            measured, missed = run(bench, workloads)
        found += measured
        failed |= bool(missed)
    compared = [compare(row) for row in join_rounds(found)]
    print(as_comparison(compared), flush=True)
    sys.exit(failed or any(each.verdict == "worse" for each in compared))


if __name__ == "__main__":
    main()
