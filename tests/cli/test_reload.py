"""`reload`, as it is called, before a daemon that answers what the test says."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from click.testing import CliRunner, Result

from compartmentd.cli import reload as reload_module
from compartmentd.cli.main import cli

CHANGED: dict[str, Any] = {
    "ok": True,
    "changed": True,
    "generation": 2,
    "digest": "0123456789abcdef",
    "judged": 2,
    "evicted": {"sessions": 1, "memberships": 1},
    "problems": [],
}
UNCHANGED = CHANGED | {"changed": False, "judged": 0, "evicted": {"sessions": 0, "memberships": 0}}


def earlier(cause: str = "watch", ago: float = 4.0, **changed: Any) -> dict[str, Any]:
    at = int((time.time() - ago) * 1000)
    return {"at": at, "cause": cause, "generation": 2, "judged": 1, "evicted": CHANGED["evicted"], **changed}


@pytest.fixture
def reload(monkeypatch: pytest.MonkeyPatch):
    """Run `reload` before a daemon that answers so."""

    def run(answer: dict[str, Any], *arguments: str) -> Result:
        monkeypatch.setattr(reload_module, "ask_daemon", lambda *_, **__: (200, answer))
        return CliRunner().invoke(cli, ["reload", *arguments])

    return run


def test_what_a_reload_did_is_told(reload) -> None:
    assert reload(CHANGED).stdout == (
        "generation 2 (0123456789ab) is in force: 2 sessions re-evaluated, 1 session and 1 membership ended\n"
    )


def test_what_is_in_force_since_the_start_is_simply_so(reload) -> None:
    result = reload(UNCHANGED | {"taken_in": None})
    assert (result.exit_code, result.stdout) == (0, "already in force: generation 2 (0123456789ab)\n")


@pytest.mark.parametrize(
    ("before", "line"),
    [
        (earlier(), "taken in 4.0 s ago by the watch on the files, as generation 2"),
        (earlier("SIGHUP", 86213.0), "taken in 23 h 56 min ago by SIGHUP, as generation 2"),
        (
            earlier("request", -5.0, generation=1),
            "taken in 0.0 s ago by an earlier `reload`, as generation 1",
        ),
    ],
)
def test_a_save_that_the_watch_took_in_is_told(
    reload, monkeypatch: pytest.MonkeyPatch, before: dict[str, Any], line: str
) -> None:
    now = before["at"] / 1000 + {"watch": 4.0, "SIGHUP": 86213.0, "request": -5.0}[before["cause"]]
    monkeypatch.setattr(reload_module.time, "time", lambda: now)
    result = reload(UNCHANGED | {"taken_in": before})
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "already in force: generation 2 (0123456789ab)",
        f"{line}: 1 session re-evaluated, 1 session and 1 membership ended",
    ]


def test_as_json_it_is_the_daemons_answer(reload) -> None:
    answer = UNCHANGED | {"taken_in": earlier()}
    assert json.loads(reload(answer, "--format", "json").stdout) == answer


def test_a_problem_of_a_newer_daemon_is_shown(reload) -> None:
    problem = {
        "file": "c.yaml",
        "line": 3,
        "column": 4,
        "severity": "warning",
        "code": "future.thing",
        "message": "mind the gap",
        "help": "step over it",
    }
    output = reload(CHANGED | {"problems": [problem]}).output
    assert "c.yaml:3:4: warning: mind the gap" in output
    assert "step over it" in output
    assert reload_module._read_problem(problem).code == "problem.other"
