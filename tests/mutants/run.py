"""Tries the mutants of modules, and prints a table and each survivor that nothing explains.

    python -m tests.mutants policy.decide tokens
    python -m tests.mutants protocol --sample 60

A module is tested by the fast tests of its package (`tests/policy` for `policy.decide`), of these by those that
run the changed lines, the quickest first. The end is 1 if a survivor is not explained, or an explanation is out of
date.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.mutants import suite
from tests.mutants.explanations import Explanation, read_explanations
from tests.mutants.mutant import Mutant
from tests.mutants.results import Results, digest_files
from tests.mutants.suite import ROOT, Order, Survey, Verdict, get_path

FURTHER: dict[str, tuple[str, ...]] = {}
"""Tests of a package beside its own directory."""


def find_modules(names: Sequence[str]) -> list[str]:
    """Return the modules that are named, or are in packages that are."""
    found = []
    for name in names:
        place = ROOT / "compartmentd" / name.replace(".", "/")
        if place.is_dir():
            found += [
                path.relative_to(ROOT / "compartmentd").with_suffix("").as_posix().replace("/", ".")
                for path in sorted(place.rglob("*.py"))
                if path.name != "__init__.py"
            ]
        elif get_path(name).is_file():
            found.append(name)
        else:
            raise SystemExit(f"there is no module {name!r} in compartmentd")
    return list(dict.fromkeys(found))


def choose_sample(mutants: Sequence[Mutant], size: int) -> list[Mutant]:
    """Return so many mutants, spread at random, and the same ones while the code is the same."""
    chosen = sorted(mutants, key=lambda each: hashlib.sha256(f"{each.module} {each.key}".encode()).digest())
    return chosen[:size]


def get_collected(mutant: Mutant, seen: Survey) -> frozenset[int]:
    """Return the lines of a mutant's module that run before the first test."""
    return seen.collected.get(str(get_path(mutant.module)), frozenset())


def runs_early(mutant: Mutant, seen: Survey) -> bool:
    """Return whether a mutant's lines run before the first test alone: when the module is imported, as a rule."""
    covering = seen.covering.get(str(get_path(mutant.module)), {})
    if not mutant.in_body:
        return True
    return not any(covering.get(line) for line in mutant.lines) and not get_collected(
        mutant, seen
    ).isdisjoint(mutant.lines)


def choose_tests(mutant: Mutant, seen: Survey) -> tuple[str, ...]:
    """Return the tests that run a mutant's lines, the quickest first.

    What runs when the module is imported matters to every test that runs any of the module's lines.
    """
    covering = seen.covering.get(str(get_path(mutant.module)), {})
    early = runs_early(mutant, seen)
    lines: Iterable[int] = covering if early else mutant.lines
    tests = {test for line in lines for test in covering.get(line, ())}
    if not tests and early:
        tests = set(seen.seconds)
    return tuple(sorted(tests, key=lambda test: (seen.seconds[test], test)))


class Package:
    """The mutants of one package's modules, tried by the package's tests."""

    def __init__(self, name: str, mutants: Sequence[Mutant], *, fresh: bool) -> None:
        self._name = name
        self._paths = [str(ROOT / "tests" / name), *FURTHER.get(name, ())]
        files = sorted(Path(path) for each in self._paths for path in Path(each).rglob("*") if path.is_file())
        files += [*sorted((ROOT / "tests" / "support").glob("*.py")), ROOT / "tests" / "conftest.py"]
        suite_digest = digest_files([path for path in files if path.suffix != ".pyc"])
        self._results = {
            module: Results(module, suite_digest)
            for module in dict.fromkeys(mutant.module for mutant in mutants)
        }
        if fresh:
            for results in self._results.values():
                results.forget()
        self._mutants = mutants

    def get_verdict(self, mutant: Mutant) -> Verdict:
        """Return what became of a mutant that was tried."""
        return self._results[mutant.module].verdicts[mutant.key]

    def try_all(self) -> None:
        """Try each mutant whose verdict is not remembered."""
        waiting = {
            mutant.key + mutant.module: mutant
            for mutant in self._mutants
            if mutant.key not in self._results[mutant.module].verdicts
        }
        if not waiting:
            return
        seen = suite.survey(self._paths, self._name)
        if seen.failed:
            raise SystemExit("these tests fail without any mutant: " + ", ".join(seen.failed))
        suite.preload(seen.modules)
        in_place, afresh = [], []
        for mutant in waiting.values():
            tests = choose_tests(mutant, seen)
            if not tests:
                self._results[mutant.module].add(Verdict(mutant.key, "survived"))
                continue
            seconds = sum(seen.seconds[test] for test in tests)
            order = Order(mutant.key, mutant.module, mutant.function, mutant.source, tests, seconds)
            (afresh if runs_early(mutant, seen) else in_place).append((mutant, order))
        progress = Progress(self._name, len(in_place) + len(afresh))
        orders = [order for _, order in in_place]
        for (mutant, order), verdict in zip(in_place, suite.try_in_place(self._paths, orders), strict=True):
            stale = verdict.status == "survived" and not get_collected(mutant, seen).isdisjoint(mutant.lines)
            if stale or verdict.status == "elsewhere":
                afresh.append((mutant, order))
                continue
            self._results[mutant.module].add(verdict)
            progress.count(verdict)
        for (mutant, _), verdict in zip(afresh, suite.try_afresh(order for _, order in afresh), strict=True):
            self._results[mutant.module].add(verdict)
            progress.count(verdict)


class Progress:
    """Says every ten seconds how far the mutants of a package are."""

    def __init__(self, name: str, total: int) -> None:
        self._name = name
        self._total = total
        self._counts: Counter[str] = Counter()
        self._next = time.monotonic() + 10

    def count(self, verdict: Verdict) -> None:
        """Count a verdict."""
        self._counts[verdict.status] += 1
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + 10
            counts = ", ".join(f"{count} {status}" for status, count in sorted(self._counts.items()))
            print(
                f"{self._name}: {self._counts.total()} of {self._total}: {counts}",
                file=sys.stderr,
                flush=True,
            )


HEADER = ("module", "mutants", "killed", "timeout", "survived", "explained")


def format_table(rows: Sequence[tuple[str, ...]]) -> str:
    """Return the rows under their header, aligned, with a last row of sums."""
    total = ("all", *(str(sum(int(row[i]) for row in rows)) for i in range(1, len(HEADER))))
    table = [HEADER, *rows, total]
    widths = [max(len(row[i]) for row in table) for i in range(len(HEADER))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    )


def judge(
    tried: Sequence[tuple[Mutant, Verdict]],
    known: Sequence[Mutant],
    explanations: Sequence[Explanation],
) -> tuple[list[tuple[str, ...]], list[str]]:
    """Compare verdicts with explanations.

    Args:
        tried: The mutants that were tried.
        known: All mutants of the modules, tried or not.
        explanations: All explanations.

    Returns:
        The rows of the table, and what is wrong.
    """
    rows, wrong = [], []
    for module in dict.fromkeys(mutant.module for mutant, _ in tried):
        counts: Counter[str] = Counter()
        for mutant, verdict in tried:
            if mutant.module != module:
                continue
            counts[verdict.status] += 1
            if verdict.status != "survived":
                continue
            if any(each.matches(mutant) for each in explanations):
                counts["explained"] += 1
                continue
            place = f"compartmentd/{module.replace('.', '/')}.py:{mutant.lines.start}"
            wrong.append(
                f"{place} in {mutant.function or 'the module'}\n  - {mutant.was}\n  + {mutant.becomes}"
            )
        rows.append(
            (module, str(counts.total() - counts["explained"]), *(str(counts[each]) for each in HEADER[2:]))
        )
    modules = {mutant.module for mutant in known}
    survivors = [mutant for mutant, verdict in tried if verdict.status == "survived"]
    others = [mutant for mutant, verdict in tried if verdict.status != "survived"]
    for each in explanations:
        if each.module not in modules or any(map(each.matches, survivors)):
            continue
        what = f"{each.module}, {each.function or 'the module'}: {each.was} → {each.becomes}"
        if any(map(each.matches, others)):
            wrong.append(f"an explanation of a mutant that a test kills: {what}")
        elif not any(map(each.matches, known)):
            wrong.append(f"an explanation that matches no mutant: {what}")
    return rows, wrong


def main() -> int:
    """Read the command line, and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("modules", nargs="+", help="modules or packages, without `compartmentd.`")
    parser.add_argument("--sample", type=int, help="try so many of the mutants, chosen at random")
    parser.add_argument("--fresh", action="store_true", help="forget what is remembered of these modules")
    options = parser.parse_args()
    # mutmut is installed for this command alone.
    from tests.mutants.mutations import generate

    known = [
        mutant
        for module in find_modules(options.modules)
        for mutant in generate(module, get_path(module).read_text())
    ]
    chosen = known if options.sample is None else choose_sample(known, options.sample)
    chosen = sorted(chosen, key=known.index) if options.sample is not None else chosen
    tried: list[tuple[Mutant, Verdict]] = []
    for name in dict.fromkeys(mutant.module.split(".")[0] for mutant in chosen):
        mutants = [mutant for mutant in chosen if mutant.module.split(".")[0] == name]
        package = Package(name, mutants, fresh=options.fresh)
        package.try_all()
        tried += [(mutant, package.get_verdict(mutant)) for mutant in mutants]
    rows, wrong = judge(tried, known, read_explanations())
    print("\n\n".join([*wrong, format_table(rows)]))
    return 1 if wrong else 0
