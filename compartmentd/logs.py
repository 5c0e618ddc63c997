"""Logs: plain text on a terminal, one JSON object a line otherwise, on standard error.

Every line carries the generation and digest that were in force. A log call names an event and its fields; what
is not named is not written, so no token, claim or payload gets in by accident.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

logger = logging.getLogger("compartmentd")

_RESERVED = frozenset({"time", "level", "event", "message", "generation", "digest"})


def log(level: int, event: str, message: str, **fields: Any) -> None:
    """Write one event: a stable name for machines, a sentence for people, and the fields.

    Raises:
        ValueError: a field has the name of a part that every line has.
    """
    taken = _RESERVED & fields.keys()
    if taken:
        raise ValueError(f"reserved field names: {sorted(taken)}")
    logger.log(level, "%s", message, extra={"event": event, "fields": fields})


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
        return json.dumps(line, default=str, ensure_ascii=False)


class Plain(logging.Formatter):
    """One line a person reads: time, level where it matters, sentence, fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the traceback of an exception below it."""
        time = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S")
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        fields: dict[str, Any] = getattr(record, "fields", {})
        tail = "".join(f" {name}={value}" for name, value in fields.items())
        text = f"{time} {level}{record.getMessage()}{tail}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def set_up(stream: TextIO | None = None, level: int = logging.INFO) -> Stamp:
    """Send all logs of this process to the stream (standard error by default); return the stamp to keep current."""
    stream = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Plain() if stream.isatty() else JsonLines())
    stamp = Stamp()
    handler.addFilter(stamp)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logger.setLevel(level)
    # Tornado's access log would print query strings, and with them session ids and tokens.
    logging.getLogger("tornado.access").setLevel(logging.CRITICAL)
    return stamp
