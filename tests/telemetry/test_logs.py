from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from compartmentd.telemetry import logs
from compartmentd.telemetry.logs import log, logger, set_up_logging
from compartmentd.telemetry.throttle import Throttle


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Put the process's logging back as it was."""
    root, access = logging.getLogger(), logging.getLogger("tornado.access")
    before = (root.handlers[:], root.level, logger.level, access.level)
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    logger.setLevel(before[2])
    access.setLevel(before[3])


def test_json_lines_where_it_is_no_terminal() -> None:
    stream = io.StringIO()
    stamp = set_up_logging(stream)
    stamp.generation, stamp.digest = 7, "abc"
    log(logging.WARNING, "something", "it happened", count=3, where="é")
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warning",
        "event": "something",
        "message": "it happened",
        "generation": 7,
        "digest": "abc",
        "count": 3,
        "where": "é",
    }


def test_a_line_stays_a_line() -> None:
    stream = io.StringIO()
    set_up_logging(stream)
    log(logging.ERROR, "something", "one\ntwo", where="three\nfour")
    try:
        int("five\nsix")
    except ValueError:
        logger.exception("failed")
    lines = stream.getvalue().splitlines()
    assert [json.loads(line)["message"] for line in lines] == ["one\ntwo", "failed"]
    assert "ValueError" in json.loads(lines[1])["exception"]


def test_plain_text_on_a_terminal() -> None:
    stream = Terminal()
    set_up_logging(stream)
    log(logging.INFO, "something", "it happened", count=3)
    log(logging.ERROR, "something", "it failed")
    first, second = stream.getvalue().splitlines()
    assert first[8:] == " it happened count=3"
    assert second[8:] == " error: it failed"


def test_on_a_terminal_a_clients_words_do_not_look_like_ours() -> None:
    stream = Terminal()
    set_up_logging(stream)
    log(logging.INFO, "something", "it happened", room="a\n10:00:00 all is well \x1b[2J\u202e")
    assert stream.getvalue()[8:] == r" it happened room=a\n10:00:00 all is well \x1b[2J\u202e" + "\n"


def test_a_lone_surrogate_is_written_and_not_an_error() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    set_up_logging(stream)
    log(logging.INFO, "something", "it happened", room="\ud800")
    stream.seek(0)
    assert "\\ud800" in stream.read()


@pytest.mark.parametrize(
    ("level", "priority"),
    [(logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7)],
)
def test_journald_is_told_the_priority(
    level: int, priority: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "journal").open("w+") as stream:
        place = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{place.st_dev}:{place.st_ino}")
        set_up_logging(stream, logging.DEBUG)
        log(level, "something", "it happened")
        stream.seek(0)
        line = stream.read()
    assert line.startswith(f"<{priority}>{{")
    assert json.loads(line[3:])["event"] == "something"


def test_without_a_journal_there_is_no_priority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")  # of the parent, whose output went elsewhere
    with (tmp_path / "file").open("w+") as stream:
        set_up_logging(stream)
        log(logging.ERROR, "something", "it happened")
        stream.seek(0)
        assert stream.read().startswith("{")


def test_what_is_left_out_is_told_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_throttle", Throttle(rate=1.0, burst=1.0))
    stream = io.StringIO()
    set_up_logging(stream)
    assert [logs.admits("x"), logs.admits("x"), logs.admits("x")] == [True, False, False]
    logs.log_left_out()
    assert stream.getvalue() == "", "too early"
    logs.log_left_out(all_of_them=True)
    line = json.loads(stream.getvalue())
    assert (line["event"], line["kind"], line["count"], logs.count_left_out()) == (
        "lines_left_out",
        "x",
        2,
        2,
    )


def test_what_every_line_has_is_no_field() -> None:
    with pytest.raises(ValueError, match="digest"):
        log(logging.INFO, "something", "it happened", digest="x")


def test_a_watch_that_is_ended_is_no_error() -> None:
    stream = io.StringIO()
    set_up_logging(stream)
    logging.getLogger("watchdog.observers.inotify").error("called when the thread is inactive")
    logging.getLogger("watchdog.observers.inotify_c").warning("filesystem events were lost")
    assert "inactive" not in stream.getvalue()
    assert "were lost" in stream.getvalue()


def test_the_access_log_of_the_library_is_off() -> None:
    stream = io.StringIO()
    set_up_logging(stream)
    logging.getLogger("tornado.access").error("400 GET /socket.io/?sid=secret")
    logging.getLogger("tornado.general").error("something else")
    assert "secret" not in stream.getvalue()
    assert "something else" in stream.getvalue()
