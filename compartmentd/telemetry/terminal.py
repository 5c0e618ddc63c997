"""The log of `serve --dev` on a terminal: one short line an event, in colours, for the person who edits the file.

A decision is told by its outcome, its place, its user and the rule that decided. The other fields of an event are
left out unless a person needs them; JSON lines (`telemetry.logs`) have all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from compartmentd.telemetry.logs import escape

_COLOURS = {"red": "31", "green": "32", "yellow": "33", "cyan": "36", "dim": "2", "bold": "1"}

_SHOWN = ("reason", "origin", "path", "status", "entry", "error", "retry_in", "count")
"""Fields that are shown of an event that is no decision."""

_BLAMED = 2
"""Rules of a refusal that are shown."""


def wants_colours(environ: Mapping[str, str]) -> bool:
    """Return whether a terminal is to be sent colours: not with `NO_COLOR` (no-color.org), and no dumb one."""
    return not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


class Pretty(logging.Formatter):
    """Formats an event as a line for people; `colours` says whether the terminal shows them."""

    def __init__(self, *, colours: bool) -> None:
        super().__init__()
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with the help of a problem and the traceback of an exception below it."""
        fields: dict[str, Any] = getattr(record, "fields", {})
        event: str = getattr(record, "event", record.name)
        time = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S")
        body = self._format_decision(fields, event) if "namespace" in fields else None
        if body is None:
            body = self._format_event(record, event, fields)
        lines = [f"{self._paint(time, 'dim')} {body}"]
        if help_ := fields.get("help"):
            lines += [f"         {self._paint('help:', 'cyan')} {escape(line)}" for line in help_.split("\n")]
        if record.exc_info:
            lines.append(self.formatException(record.exc_info))
        return "\n".join(lines)

    def _format_decision(self, fields: Mapping[str, Any], event: str) -> str:
        """Return who asked for what, and the answer."""
        request, _, outcome = event.rpartition("_")
        allowed = outcome == "allowed"
        code = fields.get("code")
        mark = self._paint("✓", "green") if allowed else self._paint("✗", "red")
        what = " ".join(
            escape(str(part))
            for part in (
                request.replace("_", " "),
                fields.get("name"),
                fields["namespace"],
                fields.get("room"),
            )
            if part
        )
        who = escape(str(fields.get("subject", "nobody")))
        line = f"{mark} {what}  {self._paint(who, 'dim')}"
        if code is not None:
            line += f"  {self._paint(str(code), 'red' if outcome == 'refused' else 'yellow')}"
        if detail := fields.get("detail"):
            line += f"  {escape(str(detail))}"
        rules = [] if allowed else fields.get("rules") or []
        return line + "".join(f"\n         {self._paint(escape(rule), 'dim')}" for rule in rules[:_BLAMED])

    def _format_event(self, record: logging.LogRecord, event: str, fields: Mapping[str, Any]) -> str:
        message = escape(record.getMessage())
        shown = "  ".join(
            f"{self._paint(f'{name}:', 'dim')} {escape(str(fields[name]))}"
            for name in _SHOWN
            if fields.get(name) is not None and str(fields[name]) not in message
        )
        colour = "red" if record.levelno >= logging.ERROR else "yellow"
        if record.levelno >= logging.WARNING:
            message = f"{self._paint(record.levelname.lower(), colour)} {message}"
        elif event in {"ready", "reloaded"}:
            message = self._paint(message, "bold")
        return f"{message}  {shown}" if shown else message

    def _paint(self, text: str, colour: str) -> str:
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if self._colours else text
