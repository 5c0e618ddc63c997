"""`make abuse`: run the attacks and print the table. `python -m tests.abuse [NAME…] [--json FILE]`."""

from __future__ import annotations

import argparse
import json
import tempfile
from math import inf
from pathlib import Path

from tests.abuse import trial
from tests.abuse.attack import MIB
from tests.abuse.catalogue import ATTACKS

HEAD = (
    f"{'attack':30} {'CPU':>7} {'memory MiB':>15} {'descriptors':>13} {'p99 ms':>13} {'new s':>6} {'ends s':>6}"
    f" {'out s':>6}  refused"
)


def line(outcome: trial.Outcome) -> str:
    """Return an attack's row."""
    before, after = outcome.before, outcome.after
    memory = "/".join(f"{size / MIB:.0f}" for size in (before.memory, outcome.peak_memory, after.memory))
    descriptors = f"{before.descriptors}/{outcome.peak_descriptors}/{after.descriptors}"
    waits = f"{outcome.calm_p99 * 1000:.1f}/{outcome.p99 * 1000:.1f}"
    under = outcome.under
    newcomers, ends, logouts = (
        max(values, default=inf) for values in (under.newcomers, under.ends, under.logouts)
    )
    refused = " ".join(f"{name}={count}" for name, count in list(outcome.refused.items())[:4])
    return (
        f"{outcome.attack.name:30} {outcome.cpu:6.2f}s {memory:>15} {descriptors:>13} {waits:>13} "
        f"{newcomers:6.2f} {ends:6.2f} {logouts:6.2f}  {refused or '-'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Attack a daemon, with well-behaved clients beside.")
    parser.add_argument(
        "names", nargs="*", help="attacks, kinds or rows of the list of faults; all by default"
    )
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    options = parser.parse_args()
    wanted = [
        attack
        for attack in ATTACKS.values()
        if not options.names or {attack.name, attack.kind, attack.row} & set(options.names)
    ]
    print(
        "memory and descriptors before/peak/after; p99 of acks calm/under attack; new: the slowest newcomer;"
    )
    print("ends: the latest notice of a token's end; out: the slowest logout")
    print(HEAD)
    failed = 0
    figures = []
    for attack in wanted:
        with tempfile.TemporaryDirectory() as directory:
            try:
                outcome = trial.run(attack, Path(directory))
            except (AssertionError, TimeoutError) as error:
                failed += 1
                print(f"{attack.name:30} could not be tried: {error!s:.300}", flush=True)
                continue
        print(line(outcome), flush=True)
        if attack.waits:
            print(f"    waits are not judged: {attack.waits}", flush=True)
        for fault in outcome.faults():
            failed += 1
            print(f"    {fault}", flush=True)
        figures.append(
            {
                "attack": attack.name,
                "row": attack.row,
                "cpu": outcome.cpu,
                "memory": [outcome.before.memory, outcome.peak_memory, outcome.after.memory],
                "descriptors": [
                    outcome.before.descriptors,
                    outcome.peak_descriptors,
                    outcome.after.descriptors,
                ],
                "p99": [outcome.calm_p99, outcome.p99],
                "newcomers": max(outcome.under.newcomers, default=None),
                "ends": max(outcome.under.ends, default=None),
                "logouts": max(outcome.under.logouts, default=None),
                "refused": outcome.refused,
                "seen": outcome.seen,
                "faults": outcome.faults(),
            }
        )
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1))
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
