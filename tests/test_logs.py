from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from compartmentd.logs import log, logger, set_up


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
    stamp = set_up(stream)
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
    set_up(stream)
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
    set_up(stream)
    log(logging.INFO, "something", "it happened", count=3)
    log(logging.ERROR, "something", "it failed")
    first, second = stream.getvalue().splitlines()
    assert first[8:] == " it happened count=3"
    assert second[8:] == " error: it failed"


def test_what_every_line_has_is_no_field() -> None:
    with pytest.raises(ValueError, match="digest"):
        log(logging.INFO, "something", "it happened", digest="x")


def test_the_access_log_of_the_library_is_off() -> None:
    stream = io.StringIO()
    set_up(stream)
    logging.getLogger("tornado.access").error("400 GET /socket.io/?sid=secret")
    logging.getLogger("tornado.general").error("something else")
    assert "secret" not in stream.getvalue()
    assert "something else" in stream.getvalue()
