"""The bench measures what it says, prints its table last, and writes JSON of one form."""

from __future__ import annotations

import json
import subprocess
import sys
from math import isfinite
from pathlib import Path
from xml.etree import ElementTree as ET

import jwt
import pytest

from tests.bench import rows, tokens
from tests.bench.report import as_json, as_svg, as_table
from tests.bench.rows import TARGETS, Row, row
from tests.support.timing import environment_without_coverage, seconds

FIELDS = ["work", "ours", "peer", "peer_value", "unit", "ratio", "spread", "target", "met"]
DECISION = rows.DECISION.format(10)


def test_a_ratio_is_the_median_of_the_rounds_ratios_and_not_the_ratio_of_the_medians() -> None:
    found = row("something", "µs", [1.0, 20.0, 3.0], "node", [2.0, 10.0, 30.0])
    assert (found.ours, found.peer_value) == (3.0, 10.0)
    assert found.ratio == 0.5
    assert found.spread == (0.1, 2.0)
    assert (found.target, found.met) == (None, None)


def test_rounds_without_their_counterparts_are_an_error() -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        row("something", "µs", [1.0, 2.0], "node", [2.0])


@pytest.mark.parametrize(
    ("work", "peer", "values", "met", "goal_met"),
    [
        (rows.SINGLE.format(500), "node", (0.66, 1.0), True, True),
        (rows.SINGLE.format(500), "node", (0.75, 1.0), True, False),
        (rows.SINGLE.format(500), "node", (0.76, 1.0), False, False),
        (rows.SINGLE.format(500), "c", (0.76, 1.0), True, True),
        (rows.SATURATED.format(500), "node", (20.0, 1.0), True, True),
        (rows.SATURATED.format(500), "node", (9.9, 1.0), False, False),
        # Two bounds: half of Node's, and so many KiB.
        (rows.MEMORY_WEBSOCKET, "node", (8.0, 16.0), True, True),
        (rows.MEMORY_WEBSOCKET, "node", (9.0, 20.0), True, False),
        (rows.MEMORY_WEBSOCKET, "node", (17.0, 40.0), False, False),
        (rows.MEMORY_WEBSOCKET, "node", (8.0, 7.0), False, False),
    ],
)
def test_what_is_reached(
    work: str, peer: str, values: tuple[float, float], met: bool, goal_met: bool
) -> None:
    ours, theirs = values
    found = row(work, "unit", [ours], peer, [theirs])
    assert (found.met, found.goal_met) == (met, goal_met)


def test_a_figure_without_a_peer_is_measured_against_the_number_alone() -> None:
    found = row(DECISION, "µs", [12.0, 11.0, 13.0])
    assert found[1:8] == (12.0, "", None, "µs", None, (11.0, 13.0), "≤ 10 µs (goal 5 µs)")
    assert found.met is False


SAMPLE = [
    row(rows.SINGLE.format(500), "µs/delivery", [9.0, 9.3], "node", [13.0, 14.0]),
    row(rows.SATURATED.format(500), "deliveries/CPU-s", [2e6], "node", [1.5e5]),
    row(rows.FAIRNESS, "ms", [0.0], "node", [4.0]),
    row(DECISION, "µs", [12.3456789]),
    row("a work & no peer", "µs", [1.0]),
]


def test_the_table_is_aligned_and_says_plainly_what_was_missed() -> None:
    head, rule, *lines = as_table(SAMPLE).splitlines()
    assert len({len(line) for line in (head, rule, *lines)}) == 1
    assert all(line.count("|") == len(FIELDS) + 1 for line in (head, rule, *lines))
    verdicts = [line.split("|")[-2].strip() for line in lines]
    assert verdicts == ["yes", "yes", "", "NO", ""]


def test_the_json_has_its_fields_in_their_order() -> None:
    whole = json.loads(as_json(SAMPLE))
    assert list(whole) == ["rows"]
    assert [list(each) for each in whole["rows"]] == [FIELDS] * len(SAMPLE)
    assert whole["rows"][3]["ours"] == 12.346, "five digits are more than a figure is worth"


def test_the_plot_is_a_picture_with_a_bar_for_whatever_can_be_compared() -> None:
    picture = ET.fromstring(as_svg(SAMPLE))  # noqa: S314 - we wrote it
    words = [each.text for each in picture.iter("{http://www.w3.org/2000/svg}text")]
    bars = [each for each in picture.iter("{http://www.w3.org/2000/svg}rect") if each.get("fill") != "#fff"]
    assert len(bars) == len(SAMPLE) - 1, "who has neither peer nor target has nothing to be compared with"
    assert "13.3x" in words, "what does more is to the right"
    assert "1.47x" in words, "what costs less is to the right, too"


def test_tokens_are_signed_once_and_kept(tmp_path: Path) -> None:
    made = tokens.make(30, tmp_path)
    key = jwt.PyJWK(json.loads(made.jwks.read_text())["keys"][0]).key
    found = [
        jwt.decode(token, key, ["RS256"], audience=tokens.AUDIENCE, issuer=tokens.ISSUER)
        for token in made.read()
    ]
    assert [claims["sub"] for claims in found] == [f"user-{number:05}" for number in range(30)]
    assert found[7]["groups"] == ["2-3", "50-0", "500-0", "5000-0"]
    first = made.read()
    assert tokens.make(20, tmp_path).read() == first
    assert tokens.make(31, tmp_path).read() != first


# --- the whole -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_measures_every_work_beside_node(tmp_path: Path) -> None:
    out, plot = tmp_path / "bench.json", tmp_path / "bench.svg"
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--tiny", "--peers", "node", "--out", out, "--plot", plot],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=seconds(200),
        env=environment_without_coverage(),
    )
    assert done.returncode == 0, done.stderr
    found = [
        Row(**{**each, "spread": rows.Spread(*each["spread"])})
        for each in json.loads(out.read_text())["rows"]
    ]
    assert {each.work for each in found} >= {work for works in rows.WORKS.values() for work in works}
    # Not positive: a process may well give more memory back than a hundred connections take.
    assert all(isfinite(each.ours) and each.spread.low <= each.spread.high for each in found)
    assert {(each.work, each.peer) for each in found} >= {
        (work, peer) for work, peer in TARGETS if peer != "c"
    }, "each target has its row"
    assert done.stdout.splitlines()[0].startswith("| work "), "the table, and nothing else"
    assert len(done.stdout.splitlines()) == len(found) + 2
    ET.parse(plot)  # noqa: S314 - we wrote it
