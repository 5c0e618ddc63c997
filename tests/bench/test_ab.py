"""An A/B run: its statistics, how rows and trees are selected, its verdict, and a short run of two trees."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.bench import __main__ as command, rows, trees
from tests.bench.paired import FEWEST_ROUNDS, Verdict, compare, find_interval, judge
from tests.bench.report import as_comparison
from tests.bench.rows import Row, Spread, row, short_name
from tests.bench.trees import ROOT, THIS, Tree, UnknownRevision, checkout
from tests.support.timing import environment_without_coverage, seconds

# --- statistics -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "ranks"),
    [
        # From tables of the sign test: the confidence is at least 95 %, and below it one rank further in.
        (6, (1, 6)),
        (7, (1, 7)),
        (8, (1, 8)),
        (9, (2, 8)),
        (10, (2, 9)),
        (12, (3, 10)),
        (15, (4, 12)),
        (20, (6, 15)),
        (25, (8, 18)),
    ],
)
def test_the_interval_is_between_two_ranks_of_the_sorted_ratios(count: int, ranks: tuple[int, int]) -> None:
    ratios = [float(rank) for rank in range(1, count + 1)]
    random.Random(count).shuffle(ratios)
    assert find_interval(ratios) == Spread(*map(float, ranks))


@pytest.mark.parametrize("count", range(1, FEWEST_ROUNDS))
def test_too_few_rounds_have_no_interval(count: int) -> None:
    assert find_interval([2.0] * count) is None


def test_the_interval_encloses_the_true_median_as_often_as_it_says() -> None:
    draw = random.Random(10)
    hits = 0
    for _ in range(2000):
        interval = find_interval([draw.lognormvariate(0, 0.2) for _ in range(15)])
        assert interval is not None
        hits += interval.low <= 1 <= interval.high
    assert 0.95 <= hits / 2000 <= 0.98, "with 15 rounds it is 96.5 %"


@pytest.mark.parametrize(
    ("low", "high", "of_a_cost", "of_a_rate"),
    [
        (0.98, 1.02, "same", "same"),
        (1.02, 1.20, "same", "same"),
        (1.03, 1.20, "same", "same"),
        (1.031, 1.20, "worse", "better"),
        (0.80, 0.98, "same", "same"),
        (0.80, 0.97, "same", "same"),
        (0.80, 0.969, "better", "worse"),
        (0.5, 2.0, "same", "same"),
    ],
)
def test_a_row_is_worse_if_its_whole_interval_lies_beyond_the_tolerance(
    low: float, high: float, of_a_cost: Verdict, of_a_rate: Verdict
) -> None:
    assert judge(Spread(low, high), more_is_better=False) == of_a_cost
    assert judge(Spread(low, high), more_is_better=True) == of_a_rate


def test_without_an_interval_nothing_is_judged() -> None:
    assert judge(None, more_is_better=False) == "same"


def cost_row(*ratios: float) -> Row:
    return row(rows.SETUP_KNOWN, "µs/set-up", ratios, "base", [1.0] * len(ratios))


def test_a_comparison_takes_the_direction_from_the_unit() -> None:
    slower = [1.10, 1.11, 1.12, 1.13, 1.14, 1.15, 1.16]
    assert compare(cost_row(*slower))[1:] == (1.13, Spread(1.10, 1.16), "worse")
    assert compare(row(rows.INBOUND_ONE, "events/CPU-s", slower, "base", [1.0] * 7)).verdict == "better"


def test_one_round_that_was_disturbed_changes_no_verdict() -> None:
    assert compare(cost_row(*[1.0] * 14, 9.0)).verdict == "same"


def test_the_table_says_what_is_worse() -> None:
    few, many = cost_row(1.2, 1.2), cost_row(*[1.2] * 6)
    lines = as_comparison([compare(few), compare(many)]).splitlines()
    assert [line.split("|")[-3:-1] for line in lines[2:]] == [
        [" too few rounds ", " same    "],
        [" [1.200-1.200]  ", " WORSE   "],
    ]
    assert len({len(line) for line in lines}) == 1


# --- selecting --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "works"),
    [
        (["inbound"], {rows.INBOUND_ONE, rows.INBOUND_MANY, rows.INBOUND_TLS}),
        (["inbound-32"], {rows.INBOUND_MANY}),
        (["fan-out-single-message-to-50"], {rows.SINGLE.format(50)}),
        (["memory", "set-up-token-known"], {rows.MEMORY_WEBSOCKET, rows.MEMORY_POLLING, rows.SETUP_KNOWN}),
        (["join-decision-100000"], {rows.DECISION.format(100_000)}),
        (["latency-p99"], {rows.LATENCY.format("p99")}),
    ],
)
def test_rows_are_selected_by_workload_or_by_the_first_words(names: list[str], works: set[str]) -> None:
    assert rows.select(names) == works


def test_an_unknown_row_is_told_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"no row is called nothing; there are fanout, .*set-up-token-known"):
        rows.select(["inbound", "nothing"])


def test_every_work_has_a_short_name_of_its_own() -> None:
    works = [work for each in rows.WORKS.values() for work in each]
    assert len({short_name(work) for work in works}) == len(works) == len(set(works))


# --- trees ------------------------------------------------------------------------------------------------------


def git(directory: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.com")
    subprocess.run(["git", "-C", directory, *identity, *arguments], check=True, capture_output=True)


def test_a_revision_is_taken_from_git_once(tmp_path: Path) -> None:
    clone, kept = tmp_path / "clone", tmp_path / "trees"
    clone.mkdir()
    git(clone, "init", "--quiet")
    for text in ("first", "second"):
        (clone / "file").write_text(text)
        git(clone, "add", "file")
        git(clone, "commit", "--quiet", "--message", text)
    root = checkout("HEAD~1", clone, kept)
    assert (root / "file").read_text() == "first"
    (root / "file").write_text("kept")
    assert checkout("HEAD~1", clone, kept) == root
    assert (root / "file").read_text() == "kept"
    with pytest.raises(UnknownRevision, match="Needed a single revision"):
        checkout("no-such-branch", clone, kept)


def test_a_trees_own_code_runs_wherever_it_is_started(tmp_path: Path) -> None:
    package = tmp_path / "base/compartmentd"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "where.py").write_text("print(__file__)")
    tree = Tree(tmp_path / "base", sys.executable)
    done = subprocess.run(
        tree.command("compartmentd.where"),
        env=tree.environment(),
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == str(package / "where.py")


# --- the command ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "failed", "code"),
    [
        ([cost_row(1.0)], [], 0),
        ([cost_row(0.5)], [], 0),
        ([cost_row(1.0), row(rows.SETUP_DISTINCT, "µs/set-up", [1.2], "base", [1.0])], [], 1),
        ([cost_row(1.0)], ["reload"], 1),
    ],
)
def test_the_exit_code_says_whether_a_row_is_worse(
    monkeypatch: pytest.MonkeyPatch, found: list[Row], failed: list[str], code: int
) -> None:
    monkeypatch.setattr(command, "find", lambda _: THIS)
    monkeypatch.setattr(command, "prepare", lambda: None)
    monkeypatch.setattr(command, "run", lambda *_: (found, failed))
    finished = CliRunner().invoke(command.main, ["ab", "--base", "HEAD", "--rows", "set-up-token-known"])
    assert finished.exit_code == code, finished.output
    assert finished.stdout.startswith("| work ")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--rows", "nothing"], "no row is called nothing"),
        (["--rows", "inbound", "--rounds", "5"], "fewer than 6 rounds"),
        (["--rows", "inbound", "--base", "no-such-branch"], "no-such-branch"),
        ([], "--rows"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    def unknown(base: str) -> Tree:
        raise UnknownRevision("fatal: Needed a single revision")

    monkeypatch.setattr(command, "find", unknown)
    finished = CliRunner().invoke(command.main, ["ab", "--base", "HEAD", *arguments])
    assert finished.exit_code == 2
    assert told in finished.output


SLOW = """

_decide = decide


def decide(*given):
    for _ in range(20):
        _decide(*given)
    return _decide(*given)
"""


@pytest.mark.slow
def test_two_trees_are_measured_in_turns(tmp_path: Path) -> None:
    """The base is a copy of this tree in which a decision takes many times as long."""
    base = tmp_path / "base"
    for name in ("compartmentd", "schemas", "tests"):
        shutil.copytree(
            ROOT / name, base / name, ignore=shutil.ignore_patterns("build", "node_modules", "*.pyc")
        )
    shutil.copy(ROOT / trees.LOCK, base)
    decide = base / "compartmentd/policy/decide.py"
    decide.write_text(decide.read_text() + SLOW)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.bench", "ab", "--base", base, "--tiny", "--rounds", "2"),
            *("--rows", "inbound-one-in-flight,set-up,join-decision-10,reload"),
        ],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=seconds(200),
        env=environment_without_coverage(),
    )
    assert done.returncode == 0, done.stderr
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()[2:]]
    assert {cell[0] for cell in cells} == {
        *(rows.INBOUND_ONE, rows.INBOUND_TLS, *rows.WORKS["setup"]),
        *(rows.DECISION.format(10), *rows.WORKS["reload"]),
    }
    [ratio] = [float(cell[4]) for cell in cells if cell[0] == rows.DECISION.format(10)]
    assert ratio < 0.5, "the base ran its own code, which takes many times as long"
