"""Logs to standard error: plain text on a terminal, otherwise one JSON object a line.

Every line carries the generation and digest in force. A log call names an event (`log_events` lists them) and its
fields. Nothing else is written, so no token, claim or payload is logged by accident. Under systemd each line begins
with its priority, as journald expects it (sd-daemon(3)).
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

from compartmentd.telemetry.throttle import Throttle

logger = logging.getLogger("compartmentd")

_RESERVED = frozenset({"time", "level", "event", "message", "generation", "digest", "exception"})

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
"""Levels and their priorities in syslog.h; anything lower is 7, debug."""

_throttle = Throttle()


def admits(kind: str, times: float = 1.0) -> bool:
    """Return whether a line that anyone can cause may be written now; if not, it is counted by its kind.

    Args:
        kind: The kind of line, from a fixed list.
        times: The rate of this kind, as a multiple of the usual one.
    """
    return _throttle.admits(kind, time.monotonic(), times)


def count_left_out() -> int:
    """Return the number of lines omitted since the start."""
    return _throttle.left_out


def log_left_out(*, all_of_them: bool = False) -> None:
    """Log how many lines were omitted, some time after the first of them, or now (`all_of_them`)."""
    for kind, count in _throttle.collect_left_out(time.monotonic(), all_of_them=all_of_them):
        log(logging.WARNING, "lines_left_out", f"{count} lines were left out: {kind}", kind=kind, count=count)


def log(level: int, event: str, message: str, *, exc: BaseException | None = None, **fields: Any) -> None:
    """Write one event.

    Args:
        level: The level, as in `logging`.
        event: A name in `log_events.EVENTS`, for machines.
        message: A sentence for people.
        exc: An exception to log with its traceback.
        **fields: The event's own fields.

    Raises:
        ValueError: a field has a name that every line uses itself.
    """
    taken = _RESERVED & fields.keys()
    if taken:
        raise ValueError(f"reserved field names: {sorted(taken)}")
    logger.log(level, "%s", message, extra={"event": event, "fields": fields}, exc_info=exc)


class Stamp(logging.Filter):
    """Adds the generation and digest in force to every record."""

    def __init__(self) -> None:
        super().__init__()
        self.generation = 0
        self.digest = ""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields; let every record pass."""
        record.generation = self.generation
        record.digest = self.digest
        return True


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", record.name),
            "message": record.getMessage(),
            "generation": getattr(record, "generation", 0),
            "digest": getattr(record, "digest", ""),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        # A lone surrogate, which JSON text from a client can contain, has no UTF-8.
        return json.dumps(line, default=str, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


class Prioritised(logging.Formatter):
    """Puts its priority before each line of another formatter."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), 7)
        return f"<{priority}>{self._inner.format(record)}"


class Plain(logging.Formatter):
    """One line for people: time, level above info, sentence, fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, followed by the traceback of an exception."""
        time = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S")
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        fields: dict[str, Any] = getattr(record, "fields", {})
        tail = "".join(f" {name}={value}" for name, value in fields.items())
        text = escape(f"{time} {level}{record.getMessage()}{tail}")
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def escape(text: str) -> str:
    """Return the text on one line without control characters: a client's text must not look like a line of ours."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Return whether the stream goes to journald, which gives its device and inode (systemd.exec(5))."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):  # no file, or closed
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def set_up_logging(
    stream: TextIO | None = None, level: int = logging.INFO, *, terminal: logging.Formatter | None = None
) -> Stamp:
    """Send all logs of this process to a stream.

    Args:
        stream: Standard error by default.
        level: The lowest level that is written.
        terminal: How lines are written if the stream is a terminal, by default with all their fields.

    Returns:
        The stamp, whose generation and digest the caller keeps current.
    """
    stream = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(stream)
    lines = (terminal or Plain()) if stream.isatty() else JsonLines()
    handler.setFormatter(Prioritised(lines) if is_journal(stream, os.environ) else lines)
    stamp = Stamp()
    handler.addFilter(stamp)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logger.setLevel(level)
    # Tornado's access log would print query strings, and with them session ids and tokens.
    logging.getLogger("tornado.access").setLevel(logging.CRITICAL)
    # Its warnings are about the input of clients, such as a broken handshake: anyone could flood the log.
    logging.getLogger("tornado.general").setLevel(logging.ERROR)
    # Its one error reports the end of a watch, which is normal whenever a mounted volume is swapped.
    logging.getLogger("watchdog.observers.inotify").setLevel(logging.CRITICAL)
    return stamp
