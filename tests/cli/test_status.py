"""`status`, as it is called, before a daemon that answers what the test says."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from compartmentd.cli import status as status_module
from compartmentd.cli.main import cli

ANSWER: dict[str, Any] = {
    "version": "1",
    "started": 0,
    "generation": 3,
    "digest": "0123456789abcdef",
    "last_good": None,
    "last_reload": None,
    "draining": None,
    "connections": 1,
    "sessions": 1,
    "rooms": 2,
    "namespaces": {"/": {"sessions": 0, "rooms": 0}, "/chat": {"sessions": 1, "rooms": 1}},
}


def told(monkeypatch: pytest.MonkeyPatch, **changed: Any) -> list[str]:
    """Return the lines of `status` where the daemon answers so."""
    monkeypatch.setattr(status_module, "ask_daemon", lambda *_, **__: (200, ANSWER | changed))
    result = CliRunner().invoke(cli, ["status"])
    assert result.exit_code == 0
    return result.stdout.splitlines()


def test_one_of_a_thing_is_singular(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch)[2:] == [
        "1 connection, 1 session, 2 rooms",
        "  /: 0 sessions, 0 rooms",
        "  /chat: 1 session, 1 room",
    ]
    assert told(monkeypatch, connections=2, sessions=2, rooms=1)[2] == "2 connections, 2 sessions, 1 room"


def test_what_was_refused_last_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = {"file": "c.yaml", "line": 3, "column": 5, "severity": "error", "message": "no rule `a`"}
    lines = told(monkeypatch, last_reload={"ok": False, "at": 0, "problems": [problem]})
    assert lines[2].endswith(": refused")
    assert lines[3] == "  c.yaml:3:5: error: no rule `a`"
