"""A campaign counts what it ran, keeps what it found, and fails for a finding."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fuzz import campaign, growth, targets
from tests.fuzz.campaign import Result, add_up, as_table, run_target
from tests.fuzz.run import Guard, run_plainly


def test_a_target_runs_in_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "BUILD", tmp_path)
    result = run_target("engineio_payload", 2.0, 1, plain=True)
    # Not that it finds nothing: how far it gets is a matter of the machine.
    assert (result.target, result.engine) == ("engineio_payload", "plain")
    assert result.inputs >= 1
    assert result.cpu > 0


def fails_for_a_brace(data: bytes) -> None:
    assert b"{" not in data, "a brace"


def test_a_finding_is_written_to_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(targets, "TARGETS", {"fails": fails_for_a_brace})
    with pytest.raises(AssertionError, match="a brace"):
        run_plainly(Guard("fails", tmp_path), [b"a", b"b"], 60.0, 1)
    [found] = tmp_path.iterdir()
    assert b"{" in found.read_bytes()
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"found": str(found)}


def test_an_input_that_takes_long_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "TARGETS", {"slow": lambda _: sum(range(300_000))})
    monkeypatch.setattr(targets, "get_limit", lambda _: 0.0001)
    with pytest.raises(AssertionError, match="an input of 1 bytes takes more than"):
        Guard("slow", tmp_path)(b"x")


def test_time_that_grows_faster_than_the_input_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "NEGLIGIBLE", 0.0)
    monkeypatch.setattr(
        growth, "READERS", {"one": lambda data: [data[at:].count(b"x") for at in range(0, len(data), 16)]}
    )
    with pytest.raises(AssertionError, match="64 KiB take"):
        growth.check_growth("one", b"ab")
    monkeypatch.setattr(growth, "READERS", {"one": sum})
    growth.check_growth("one", b"ab")


def test_figures_of_atheris_are_read() -> None:
    text = "#2\tINITED cov: 10 ft: 11\n#500\tNEW    cov: 12 ft: 15\nstat::number_of_executed_units: 1234\n"
    assert campaign._read_figures(text) == ("atheris", 1234, 12)
    assert campaign._read_figures("#500\tNEW    cov: 12 ft: 15\n") == ("atheris", 500, 12)
    log = Path("x.log")
    assert campaign._read_finding("Test unit written to a/oom-1\n", 71, log) == "a/oom-1"
    assert campaign._read_finding("", 1, log) == "exit code 1, see x.log"
    assert campaign._read_finding("", 0, log) == ""


def test_totals_add_up() -> None:
    runs = [Result("a", "atheris", 10, 1.5, 7, "", 0.0), Result("a", "atheris", 5, 1.0, 9, "x.seed", 1.0)]
    [total] = add_up(json.dumps(run._asdict()) for run in runs)
    assert (total.inputs, total.cpu, total.edges, total.found) == (15, 2.5, 9, "1")
    assert "15" in as_table([total]).splitlines()[-1]
