"""`sessions` and `tail`, as they are called, before a daemon that answers what the test says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from compartmentd.cli import sessions as sessions_module, tail as tail_module
from compartmentd.cli.main import cli

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl"
ANN: dict[str, Any] = {
    "session": "s1",
    "namespace": "/team",
    "user": {"issuer": "corp", "sub": "ann"},
    "address": "10.0.0.7",
    "expires": 1_800_000_000_000,
    "parked": False,
    "rooms": ["lobby"],
}
NOBODY: dict[str, Any] = {
    **ANN,
    "session": "s2",
    "namespace": "/",
    "user": None,
    "expires": None,
    "rooms": [],
}


class FakeDaemon:
    """Answers pages of what it has, and remembers what it was asked."""

    def __init__(self, **lists: list[dict[str, Any]]) -> None:
        self.lists = lists
        self.asked: list[str] = []

    def ask(self, _method: str, target: str, **_: Any) -> tuple[int, Any]:
        self.asked.append(target)
        path, _, query = target.partition("?")
        what = path.rpartition("/")[2]
        fields = dict(pair.split("=") for pair in query.split("&"))
        first, limit = int(fields["after"] or 0), int(fields["limit"])
        items = self.lists[what]
        end = first + limit
        return 200, {what: items[first:end], "next": str(end) if end < len(items) else None}


def call(monkeypatch: pytest.MonkeyPatch, daemon: FakeDaemon, *arguments: str) -> Result:
    monkeypatch.setattr(sessions_module, "ask_daemon", daemon.ask)
    return CliRunner().invoke(cli, ["sessions", *arguments])


def test_each_session_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    result = call(monkeypatch, FakeDaemon(sessions=[ANN, NOBODY]))
    first, second = result.stdout.splitlines()
    assert first.split()[:5] == ["/team", "corp:ann", "s1", "10.0.0.7", "until"]
    assert first.endswith("lobby")
    assert second.split() == ["/", "(no", "token)", "s2", "10.0.0.7", "no", "end", "(no", "room)"]
    assert first.index("s1") == second.index("s2")
    assert result.stderr == "2 sessions\n"


def test_pages_are_read_up_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = FakeDaemon(sessions=[{**ANN, "session": f"s{number}"} for number in range(1200)])
    result = call(monkeypatch, daemon, "--limit", "1100", "--format", "json")
    shown = json.loads(result.stdout)
    assert [each["session"] for each in shown["sessions"]] == [f"s{number}" for number in range(1100)]
    assert shown["more"] is True
    assert len(daemon.asked) == 3
    assert call(monkeypatch, daemon, "--limit", "3").stderr == "3 sessions and more\n"


def test_the_selection_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = FakeDaemon(sessions=[], rooms=[])
    call(monkeypatch, daemon, "--room", "a b&c", "--user", "corp:ann", "--namespace", "/x")
    assert daemon.asked == ["/admin/sessions?namespace=%2Fx&room=a+b%26c&user=corp%3Aann&limit=100&after="]
    result = call(monkeypatch, daemon, "--rooms", "--user", "ann")
    assert result.exit_code == 2
    assert len(daemon.asked) == 1


def test_rooms_are_listed_with_their_members(monkeypatch: pytest.MonkeyPatch) -> None:
    room = {"namespace": "/", "room": "team:a", "template": "team:{t}", "members": 2}
    result = call(monkeypatch, FakeDaemon(rooms=[room]), "--rooms")
    assert result.stdout == "/  team:a  2 members  team:{t}\n"
    assert result.stderr == "1 room\n"


def test_no_token_and_no_control_character_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = {**ANN, "rooms": [f"x{TOKEN}", "a\x1b[2Jb"], "user": {"issuer": "corp", "sub": "a\nb"}}
    out = call(monkeypatch, FakeDaemon(sessions=[odd])).stdout
    assert "eyJ" not in out
    assert "\x1b" not in out
    assert out.count("\n") == 1


def test_what_the_daemon_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = {"ok": False, "error": {"code": "invalid_query", "message": "no such form"}}
    monkeypatch.setattr(sessions_module, "ask_daemon", lambda *_, **__: (400, refusal))
    result = CliRunner().invoke(cli, ["sessions"])
    assert (result.exit_code, result.stderr) == (1, "error: no such form\n")


# --- tail -------------------------------------------------------------------------------------------------------


def record(**changed: Any) -> dict[str, Any]:
    """Return a decision as the feed has it."""
    condition = {
        "text": "claim projects contains {project}",
        "truth": "false",
        "file": "c.yaml",
        "line": 9,
        "column": 15,
        "end_line": 9,
        "seen": '`projects` is `["apollo"]`',
        "parts": [],
    }
    outer = {
        "text": "join room project:{project}",
        "truth": "false",
        "file": "c.yaml",
        "line": 8,
        "column": 7,
    }
    return {
        "at": 1_800_000_000_000,
        "generation": 1,
        "digest": "d",
        "request": "join",
        "namespace": "/team",
        "session": "s1",
        "subject": "corp:bob",
        "room": "project:zeus",
        "event": None,
        "allowed": False,
        "code": "rule_denied",
        "detail": "",
        "ref": "bcd",
        "reasons": [{**outer, "end_line": 8, "parts": [condition]}],
        "lines": [],
        **changed,
    }


ALLOWED = record(allowed=True, code=None, reasons=[], request="connect", room=None, subject="corp:ann")


def follow(monkeypatch: pytest.MonkeyPatch, events: list[tuple[str, Any]], *arguments: str) -> Result:
    monkeypatch.setattr(tail_module, "follow_daemon", lambda *_, **__: iter(events))
    return CliRunner().invoke(cli, ["tail", *arguments])


def test_a_refusal_shows_the_conditions_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    result = follow(monkeypatch, [("message", record()), ("message", ALLOWED)])
    first, why, last = result.stdout.splitlines()
    assert first[9:] == "✗ join /team project:zeus  corp:bob  rule_denied"
    assert why.strip() == 'c.yaml:9:15: claim projects contains {project} (`projects` is `["apollo"]`)'
    assert last[9:] == "✓ connect /team  corp:ann"
    assert result.exit_code == 3, "the daemon ended the stream"


def test_what_cannot_be_decided_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = {**record()["reasons"][0]["parts"][0], "truth": "unknown"}
    shown = record(reasons=[unknown])
    assert "(cannot be decided)" in follow(monkeypatch, [("message", shown)]).stdout


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ([], 3),
        (["--refused"], 2),
        (["--user", "ann"], 1),
        (["--user", "corp:bob"], 2),
        (["--user", "other:bob"], 0),
        (["--room", "project:zeus"], 1),
        (["--namespace", "/"], 1),
        (["--refused", "--namespace", "/team"], 1),
    ],
)
def test_what_is_selected_is_shown(monkeypatch: pytest.MonkeyPatch, arguments: list[str], shown: int) -> None:
    end = record(request="end", namespace="/", room=None, code="policy_changed", reasons=[])
    events = [("message", record()), ("message", ALLOWED), ("message", end)]
    result = follow(monkeypatch, events, "--format", "json", *arguments)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(lines) == shown
    assert all(line in [record(), ALLOWED, end] for line in lines)


def test_what_was_too_fast_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "(7 decisions came too fast" in follow(monkeypatch, [("dropped", {"count": 7})]).stderr


def test_ctrl_c_is_its_usual_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> Any:
        yield "message", ALLOWED
        raise KeyboardInterrupt

    monkeypatch.setattr(tail_module, "follow_daemon", interrupted)
    assert CliRunner().invoke(cli, ["tail"]).exit_code == 0


def test_control_characters_move_no_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = record(room="a\x1b[2J\nb", subject="corp:\x1b[0m", detail="\x1b", reasons=[])
    out = follow(monkeypatch, [("message", shown)]).stdout
    assert "\x1b" not in out
    assert out.count("\n") == 1
