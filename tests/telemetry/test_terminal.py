from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest

from compartmentd.telemetry.logs import log, logger, set_up_logging
from compartmentd.telemetry.terminal import Pretty, wants_colours

SGR = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Put the process's logging back as it was."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level, logger.level)
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    logger.setLevel(before[2])


def write(
    event: str, message: str, level: int = logging.INFO, *, colours: bool = False, **fields: Any
) -> str:
    """Return what a terminal shows for an event."""
    stream = Terminal()
    set_up_logging(stream, terminal=Pretty(colours=colours))
    log(level, event, message, **fields)
    return stream.getvalue()


REFUSED: dict[str, Any] = {
    "ref": "bcdfghjk",
    "namespace": "/team",
    "session": "s1",
    "subject": "demo:bob",
    "room": "project:zeus",
    "code": "rule_denied",
    "rules": ["demo.yaml:84:15: claim projects contains {project}"],
    "seconds": 0.000123,
}


@pytest.mark.parametrize(
    ("event", "message", "level", "fields", "expected"),
    [
        (
            "join_refused",
            "join refused in /team: rule_denied",
            logging.INFO,
            REFUSED,
            (
                "✗ join /team project:zeus  demo:bob  rule_denied\n"
                "         demo.yaml:84:15: claim projects contains {project}\n"
            ),
        ),
        (
            "publish_allowed",
            "publish allowed in /",
            logging.INFO,
            {"namespace": "/", "name": "message", "subject": "demo:ann", "rules": ["x"]},
            "✓ publish message /  demo:ann\n",
        ),
        (
            "connect_refused",
            "-",
            logging.INFO,
            {"namespace": "/", "code": "token_missing"},
            "✗ connect /  nobody  token_missing\n",
        ),
        ("stopped", "stopped", logging.INFO, {}, "stopped\n"),
        (
            "keys_not_fetched",
            "no keys",
            logging.WARNING,
            {"entry": "corp", "failures": 3, "retry_in": 4},
            "warning no keys  entry: corp  retry_in: 4\n",
        ),
        (
            "problem",
            "a.yaml:3:1: error: no",
            logging.ERROR,
            {"code": "x.y", "help": "write this\nor that"},
            "error a.yaml:3:1: error: no\n         help: write this\n         help: or that\n",
        ),
    ],
)
def test_a_line_says_what_a_person_needs(
    event: str, message: str, level: int, fields: dict[str, Any], expected: str
) -> None:
    line = write(event, message, level, **fields)
    assert re.fullmatch(r"\d\d:\d\d:\d\d", line[:8])
    assert line[9:] == expected
    assert SGR.sub("", write(event, message, level, colours=True, **fields))[9:] == expected


def test_colours_are_for_the_outcome() -> None:
    assert "\x1b[31m✗" in write("join_refused", "-", colours=True, **REFUSED)
    assert "\x1b[32m✓" in write("join_allowed", "-", colours=True, namespace="/")


def test_what_a_client_sent_moves_no_cursor() -> None:
    line = write(
        "join_refused", "-", namespace="/", room="a\x1b[2Jb\nc", code="unknown_room", subject="x:\x1b[0m"
    )
    assert "\x1b" not in line
    assert line.count("\n") == 1


def test_a_traceback_follows_its_line() -> None:
    stream = Terminal()
    set_up_logging(stream, terminal=Pretty(colours=False))
    try:
        int("x")
    except ValueError as error:
        log(logging.ERROR, "request_failed", "it failed", exc=error)
    assert "ValueError" in stream.getvalue()


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
        ({"TERM": "xterm"}, True),
    ],
)
def test_no_color(environ: dict[str, str], wanted: bool) -> None:
    assert wants_colours(environ) is wanted


def test_where_it_is_no_terminal_it_is_json() -> None:
    stream = io.StringIO()
    set_up_logging(stream, terminal=Pretty(colours=True))
    log(logging.INFO, "stopped", "stopped")
    assert stream.getvalue().startswith("{")
