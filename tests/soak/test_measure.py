"""The trend of a run and its interval; what is judged a fault; and a short run against the real daemon."""

from __future__ import annotations

import json
import math
import os
import random
from pathlib import Path

import pytest

from tests.soak.measure import (
    MIB,
    Sample,
    average_in_blocks,
    choose_bounds,
    find_faults,
    fit,
    sample_process,
    select_settled,
)
from tests.soak.report import as_json, as_svg, as_text
from tests.soak.run import add_counts, main


def run(
    hours: float = 1.0,
    *,
    memory: float = 0.0,
    descriptors: float = 0.0,
    tasks: float = 0.0,
    noise: float = 1.0,
) -> list[Sample]:
    """Return a run that climbs for ten minutes and then by so much an hour, with noise in MiB."""
    source, samples = random.Random(3), []
    for step in range(int(hours * 720) + 1):
        hour = step / 720
        level = 60 + 20 * min(hour * 6, 1.0) + memory * hour + source.gauss(0, noise)
        samples.append(
            Sample(
                at=1e9 + step * 5,
                rss=level * MIB,
                pss=(level - 10) * MIB,
                descriptors=40 + descriptors * hour + source.gauss(0, 3),
                threads=3,
                tasks=8 + tasks * hour + source.gauss(0, 2),
            )
        )
    return samples


def test_a_line_is_found_with_an_interval_that_holds_it() -> None:
    source = random.Random(1)
    trend = fit([(at, 5.0 + 0.5 * at + source.gauss(0, 1)) for at in range(200)])
    assert trend.low < 0.5 < trend.high
    assert trend.high - trend.low < 0.05
    assert math.isclose(trend.mean, 5 + 0.5 * 99.5, rel_tol=0.01)


def test_a_line_without_noise_has_no_interval() -> None:
    trend = fit([(at, 2.0 * at) for at in range(30)])
    assert trend.slope == pytest.approx(2.0)
    assert trend.high - trend.low == pytest.approx(0.0, abs=1e-9)
    assert trend.per_hour(2.0)[0] == pytest.approx(3600.0)


def test_the_interval_is_right_nineteen_times_in_twenty() -> None:
    source = random.Random(2)
    held = 0
    for _ in range(400):
        trend = fit([(at, source.gauss(0, 1)) for at in range(100)])
        held += trend.low <= 0.0 <= trend.high
    assert 0.92 < held / 400 < 0.98


def test_too_few_samples_have_no_trend() -> None:
    with pytest.raises(ValueError, match="at least three"):
        fit([(0, 1), (1, 2)])


def test_the_warm_up_is_left_out() -> None:
    whole, short = run(1.0), run(1 / 60)
    assert select_settled(whole)[0].at - whole[0].at == 600
    assert select_settled(short)[0].at - short[0].at == 10
    assert select_settled([]) == []


def test_blocks_hold_every_point_once() -> None:
    points = [(float(at), 1.0) for at in range(17)]
    blocks = average_in_blocks(points, 5)
    assert len(blocks) == 5
    assert blocks[0][0] < blocks[-1][0]


def test_a_flat_hour_has_no_fault() -> None:
    assert find_faults(run(), choose_bounds(3600)) == []


@pytest.mark.parametrize(
    ("leak", "told"),
    [
        ({"memory": 3.0}, "rss grows by"),
        ({"descriptors": 20}, "descriptors grow"),
        ({"tasks": 20}, "tasks grow"),
    ],
)
def test_a_leak_is_a_fault(leak: dict[str, float], told: str) -> None:
    faults = find_faults(run(**leak), choose_bounds(3600))
    assert any(fault.startswith(told) for fault in faults)


def test_of_a_short_run_memory_says_nothing_and_counts_do() -> None:
    assert find_faults(run(0.05, memory=600), choose_bounds(180)) == []
    assert find_faults(run(0.05, descriptors=1200), choose_bounds(180)) != []


def test_this_process_can_be_sampled() -> None:
    found = sample_process(os.getpid(), 0.0)
    assert found.rss > found.pss / 2 > MIB
    assert found.threads >= 1
    assert found.descriptors > 2


def test_counts_are_those_nearest_in_time(tmp_path: Path) -> None:
    window = tmp_path / "window"
    window.write_text("".join(json.dumps({"at": at, "tasks": at, "blocks": 1}) + "\n" for at in (1, 3, 5)))
    samples = [Sample(at, 0, 0, 0, 0) for at in (0.5, 2.5, 9.0)]
    assert [each.tasks for each in add_counts(samples, window)] == [1, 3, 5]


def test_the_report_has_text_json_and_a_plot() -> None:
    samples = run(0.1)
    text = as_text(samples, {"stay": 3}, ["a fault"])
    assert "3 x stay" in text
    assert text.splitlines()[-1] == "1 faults"
    assert json.loads(as_json(samples, {"stay": 3}, []))["trends"].keys() == {
        "rss",
        "pss",
        "descriptors",
        "tasks",
    }
    assert as_svg(samples).count("<polyline ") == 8


@pytest.mark.slow
def test_half_a_minute_of_everything_at_once(tmp_path: Path) -> None:
    out = tmp_path / "soak.json"
    assert main(["--seconds", "30", "--out", str(out)]) == 0
    done = json.loads(out.read_text())["done"]
    kinds = {
        "stay",
        "expire",
        "log out",
        "refuse",
        "anonymous",
        "vanish",
        "refresh",
        "reload",
        "steady message",
    }
    assert done.keys() >= kinds
    assert out.with_suffix(".svg").is_file()
