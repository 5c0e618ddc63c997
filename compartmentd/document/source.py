"""Decodes a file, and checks it for characters that no editor shows."""

from __future__ import annotations

import re
from itertools import islice

import msgspec

from compartmentd.document.spell import describe_character
from compartmentd.problems import Problem, Span, show_lines

MAX_BYTES = 64 << 20
"""Of all files together: far more than any written policy, and what one reload may keep in memory."""

_MOST_REPORTED = 20
"""Bad characters reported for one file: a binary file would otherwise fill the screen."""

# What YAML allows unescaped (YAML 1.2.2, 5.1), less what YAML 1.1 counts as line breaks and editors do not
# (U+0085, U+2028, U+2029, a lone CR): they would move every later problem to another line than is shown.
_HIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]|\r(?!\n)"
)


class Source(msgspec.Struct, frozen=True):
    """A text with the name of its file; positions count lines and code points from 1."""

    name: str
    text: str


def decode(name: str, raw: bytes) -> Source | tuple[Problem, ...]:
    """Return the bytes of a file as a source, or the problems because of which it cannot be read."""
    if len(raw) > MAX_BYTES:
        return (
            _build_problem(
                name, (1, 1), "text.size", "the file is larger than 64 MiB", "split it with `include`"
            ),
        )
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return (_build_problem(name, (1, 1), "text.encoding", "the file is UTF-16", "save it as UTF-8"),)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        where = _find_position(raw[: error.start].decode("utf-8"))
        bad = f"byte 0x{raw[error.start]:02x} is not UTF-8"
        return (_build_problem(name, where, "text.encoding", bad, "save the file as UTF-8"),)
    hidden = islice(_HIDDEN.finditer(text), _MOST_REPORTED)
    problems = [_report_hidden_character(name, text, found.start()) for found in hidden]
    return tuple(show_lines(problems, text)) or Source(name, text)


def _report_hidden_character(name: str, text: str, at: int) -> Problem:
    where = _find_position(text[:at])
    character = text[at]
    if character == "\ufeff" and at == 0:
        message = "the file begins with a byte order mark"
        return _build_problem(name, where, "text.encoding", message, "save it as UTF-8 without one")
    message = f"{describe_character(character)} may not stand here, and no editor shows it"
    help_ = f'remove it, or write "\\u{ord(character):04x}" in double quotes'
    return _build_problem(name, where, "text.character", message, help_)


def _find_position(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _build_problem(name: str, where: tuple[int, int], code: str, message: str, help_: str) -> Problem:
    line, column = where
    return Problem("error", code, message, Span(name, line, column, line, column + 1), help_)
