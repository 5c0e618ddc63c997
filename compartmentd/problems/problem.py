"""Problems of a configuration: where, how bad, what is wrong, what to do.

Every stage (text, schema, meaning, files) reports with the same record, so that one run can show them all in
the order of the files. Messages are lower case, without a final stop, with the user's own words in backticks;
what to do stands apart in `help`. Positions count lines and code points from 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from sys import intern
from typing import Any, Literal

import msgspec

from compartmentd.problems.codes import PROBLEM_CODES

Severity = Literal["error", "warning", "note"]

_EXCERPT = 100
"""Characters of a line in an excerpt."""


class Span(msgspec.Struct, frozen=True, array_like=True):
    """A range in a file; `end_line` and `end_column` are the first position after it."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int

    def __post_init__(self) -> None:
        """Intern the file's name: a template has ten spans, and their file names took a sixth of its memory."""
        msgspec.structs.force_setattr(self, "file", intern(self.file))

    def __str__(self) -> str:
        """Return `file:line:column`, which editors and terminals recognise."""
        return f"{self.file}:{self.line}:{self.column}"


def span_of_file(file: str) -> Span:
    """Return the span for a problem of a whole file: its first position."""
    return Span(file, 1, 1, 1, 1)


class Problem(msgspec.Struct, frozen=True):
    """One mistake, once. `code` is one of `PROBLEM_CODES`; `message` and `help` may be reworded.

    Characters that a terminal does not show, or obeys, stand in both as `<U+000A>`: they quote what a file holds.
    Only `help` may have several lines.

    `excerpt` is the line of the file with a caret below it, for people at a terminal; nothing logs it, since a line
    may contain anything.

    Raises:
        ValueError: the table has no such code.
    """

    severity: Severity
    code: str
    message: str
    span: Span
    help: str = ""
    excerpt: str = ""

    def __post_init__(self) -> None:
        """Refuse a code that is not explained anywhere, and name the characters that cannot be shown."""
        if self.code not in PROBLEM_CODES:
            raise ValueError(f"the table of problem codes has no `{self.code}`")
        if not self.message.isprintable():
            msgspec.structs.force_setattr(self, "message", _name_hidden(self.message))
        if not self.help.isprintable():
            lines = [_name_hidden(line) for line in self.help.split("\n")]
            msgspec.structs.force_setattr(self, "help", "\n".join(lines))

    def __str__(self) -> str:
        """Return the first line of the text form: `file:line:col: severity: message`."""
        return f"{self.span}: {self.severity}: {self.message}"

    def as_text(self) -> str:
        """Return the text form: the located message, and below it, indented, the excerpt and the help if any."""
        below = [f"    {line}" for line in self.excerpt.splitlines()]
        return "\n".join([str(self), *below, *(f"    help: {self.help}".splitlines() if self.help else ())])

    def as_json(self) -> dict[str, Any]:
        """Return the record of `check --format json` and of the admin API."""
        return {
            "file": self.span.file,
            "line": self.span.line,
            "column": self.span.column,
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
            "help": self.help,
        }


def _name_hidden(text: str) -> str:
    return "".join(each if each.isprintable() else f"<U+{ord(each):04X}>" for each in text)


def show_lines(problems: Iterable[Problem], text: str) -> Iterator[Problem]:
    """Yield the problems of one file, each with the line in which it stands and a caret below its place.

    Characters that no editor shows are dots, so that the caret points at something.
    """
    lines: list[str] = []
    for problem in problems:
        lines = lines or text.split("\n")
        number, column = problem.span.line, problem.span.column
        line = lines[number - 1].rstrip("\r") if number <= len(lines) else ""
        start = max(0, column - _EXCERPT // 2)
        shown = "".join(_show(character) for character in line[start : start + _EXCERPT])
        if shown.strip():
            gutter = f"{number} | "
            caret = " " * (len(gutter) + column - 1 - start) + "^"
            problem = msgspec.structs.replace(problem, excerpt=f"{gutter}{shown}\n{caret}")  # noqa: PLW2901 - the same problem, shown
        yield problem


def _show(character: str) -> str:
    return character if character == " " or (character.isprintable() and character != "\t") else "·"


def sort_problems(problems: Iterable[Problem], files: Sequence[str]) -> tuple[Problem, ...]:
    """Return the problems without duplicates, by file (in the order of `files`), line and column."""
    rank = {file: index for index, file in enumerate(files)}
    unique = dict.fromkeys(problems)
    return tuple(
        sorted(
            unique,
            key=lambda p: (rank.get(p.span.file, len(rank)), p.span.file, p.span.line, p.span.column, p.code),
        ),
    )


def has_errors(problems: Iterable[Problem]) -> bool:
    """Return whether one of the problems is an error, so that the configuration cannot be used."""
    return any(problem.severity == "error" for problem in problems)
