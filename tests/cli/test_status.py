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
    "keys": {},
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


@pytest.mark.parametrize(
    ("keys", "lines"),
    [
        (
            {
                "keys": 2,
                "age": 35.0,
                "next": 540.0,
                "error": None,
                "requests": [
                    {"url": "https://id.example.com/.well-known/openid-configuration", "answer": "200"},
                    {"url": "https://id.example.com/jwks", "answer": "200"},
                ],
            },
            [
                "  corp: 2 keys, fetched 35 s ago, asked again in 9 min",
                "    https://id.example.com/.well-known/openid-configuration: 200",
                "    https://id.example.com/jwks: 200",
            ],
        ),
        (
            {
                "keys": 0,
                "age": None,
                "next": 3.8,
                "error": "the key set at `https://id.example.com/jwks`: its server answers 401",
                "requests": [{"url": "https://id.example.com/jwks", "answer": "401"}],
            },
            [
                "  corp: no keys, its tokens are refused as keys_unavailable, asked again in 3.8 s",
                "    the key set at `https://id.example.com/jwks`: its server answers 401",
                "    https://id.example.com/jwks: 401",
            ],
        ),
        (
            {"keys": 0, "age": None, "next": None, "error": None, "requests": []},
            ["  corp: no keys, its tokens are refused as keys_unavailable, being fetched"],
        ),
    ],
    ids=["good", "refused", "running"],
)
def test_fetched_keys_are_shown_with_what_each_address_answered(
    monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any], lines: list[str]
) -> None:
    assert told(monkeypatch, keys={"corp": keys})[5:] == ["keys", *lines]
