"""`revoke`, as it is called, before a daemon that remembers what it was asked."""

from __future__ import annotations

import json
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from compartmentd.cli import revoke as revoke_module
from compartmentd.cli.main import COMMANDS, cli
from compartmentd.errors import UsageError

DONE = {"ok": True, "sessions": 2, "before": 5000, "lasting": True}


class Asked:
    """Stands for the way to the daemon."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.answer: dict[str, Any] = DONE

    def __call__(self, method: str, target: str, body: Any = None, **where: Any) -> tuple[int, Any]:
        self.calls.append((method, target, body, where["socket_path"], where["config"]))
        return 200, self.answer


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    one = Asked()
    monkeypatch.setattr(revoke_module, "ask_daemon", one)
    return one


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["revoke", *arguments])


def test_it_is_a_command() -> None:
    assert "revoke" in COMMANDS
    assert isinstance(revoke_module.revoke, click.Command)


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (["corp", "--sub", "ann"], {"issuer": "corp", "sub": "ann"}),
        (["https://id.example.com", "--sid", "s1"], {"issuer": "https://id.example.com", "sid": "s1"}),
        (["corp", "--jti", "t1"], {"issuer": "corp", "jti": "t1"}),
        (["corp", "--sub", "ann", "--before", "1800000000"], {"before": 1_800_000_000}),
        (["corp", "--sub", "ann", "--before", "1800000000123"], {"before": 1_800_000_000_123}),
        (["corp", "--sub", "ann", "--before", "2027-01-15T08:00:00Z"], {"before": 1_800_000_000_000}),
        (["corp", "--sub", "ann", "--before", "2027-01-15T09:00:00.5+01:00"], {"before": 1_800_000_000_500}),
    ],
)
def test_the_daemon_is_asked_for_it(asked: Asked, arguments: list[str], body: dict[str, Any]) -> None:
    result = run(*arguments, "--socket", "/run/x.sock")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "revoked: 2 sessions ended\n", "")
    [(method, target, sent, socket_path, config)] = asked.calls
    assert (method, target, socket_path, config) == ("POST", "/admin/revoke", "/run/x.sock", None)
    assert sent.items() >= body.items()


@pytest.mark.parametrize(
    "arguments",
    [
        ["corp"],
        ["corp", "--sub", "ann", "--sid", "s1"],
        ["corp", "--sub", "ann", "--jti", "s1"],
        ["corp", "--sub", "ann", "--before", "yesterday"],
        ["corp", "--sub", "ann", "--before", "99999-01-01"],
    ],
)
def test_what_says_no_tokens_asks_nothing(asked: Asked, arguments: list[str]) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, UsageError)
    assert asked.calls == []


def test_what_a_restart_forgets_is_told(asked: Asked) -> None:
    asked.answer = {**DONE, "sessions": 1, "lasting": False}
    result = run("corp", "--sub", "ann")
    assert (result.exit_code, result.stdout) == (0, "revoked: 1 session ended\n")
    assert "server.state" in result.stderr


def test_a_refusal_is_an_error(asked: Asked) -> None:
    asked.answer = {"ok": False, "error": {"code": "not_revoked", "message": "there is no such issuer"}}
    result = run("corp", "--sub", "ann")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: there is no such issuer\n"


@pytest.mark.parametrize("ok", [True, False])
def test_json_is_the_daemons_answer(asked: Asked, ok: bool) -> None:
    asked.answer = DONE if ok else {"ok": False, "error": {"code": "c", "message": "m"}}
    result = run("corp", "--sub", "ann", "--format", "json")
    assert json.loads(result.stdout) == asked.answer
    assert result.exit_code == (0 if ok else 1)
