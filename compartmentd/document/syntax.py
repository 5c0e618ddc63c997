"""Explains text that is not YAML: the indentation, quote, bracket or character that is wrong, where it is wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import yaml

from compartmentd.document.source import Source
from compartmentd.document.spell import describe_character, find_curly_quote, find_invisible
from compartmentd.problems import Problem, Span

_KEY = re.compile(r"""\s*(?:- +)*(?:"[^"]*"|'[^']*'|[^\s"'#\[\]{},][^"'#\[\]{},]*?):(?= |$)""")
_NO_SPACE = re.compile(r"\s*(?:- +)*[A-Za-z_][A-Za-z0-9_-]*(:)(?=[^\s:/])")
_ITEM = re.compile(r"- +")


# libyaml reports the same positions as PyYAML's own scanner (checked by a test) and is twenty times faster; some
# builds of PyYAML lack it.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Place(NamedTuple):
    """A line and column, counted from 1."""

    line: int
    column: int


def explain_syntax(source: Source, error: yaml.MarkedYAMLError) -> Problem:
    """Return the problem of a text that could not be read as YAML."""
    return _Explanation(source, error).explain()


class _Explanation:
    """The lines of a file and the place at which reading stopped; `opened` is where the unfinished part begins."""

    def __init__(self, source: Source, error: yaml.MarkedYAMLError) -> None:
        self.source = source
        self.lines: Sequence[str] = source.text.split("\n")
        self.error = error
        mark = error.problem_mark or error.context_mark
        self.at = _Place(1, 1) if mark is None else _Place(mark.line + 1, mark.column + 1)
        opened = error.context_mark
        self.opened = self.at if opened is None else _Place(opened.line + 1, opened.column + 1)

    def explain(self) -> Problem:
        steps = (
            self._explain_tab,
            self._explain_character,
            self._explain_open_quote,
            self._explain_flow,
            self._explain_start,
            self._explain_missing_space,
            self._explain_colon,
            self._explain_indentation,
            self._explain_rest_of_line,
        )
        for step in steps:
            found = step()
            if found is not None:
                return found
        return self._build(self.at, f"not YAML: {self.error.problem}", _suggest(self._get_line(self.at.line)))

    def _build(self, at: _Place, message: str, help_: str, code: str = "yaml.syntax") -> Problem:
        line, column = at
        return Problem("error", code, message, Span(self.source.name, line, column, line, column + 1), help_)

    def _get_line(self, number: int) -> str:
        return self.lines[number - 1] if number <= len(self.lines) else ""

    # --- characters -----------------------------------------------------------------------------------------

    def _explain_tab(self) -> Problem | None:
        line = self._get_line(self.at.line)
        column = len(line) - len(line.lstrip(" ")) + 1
        if line[column - 1 : column] != "\t":
            return None
        return self._build(
            _Place(self.at.line, column), "a tab may not indent", "indent with spaces", "yaml.tab"
        )

    def _explain_character(self) -> Problem | None:
        for number in dict.fromkeys((self.at.line, self.opened.line, self.at.line - 1)):
            line = self._get_line(number) if number > 0 else ""
            at = find_invisible(line.replace("\t", " "))
            if at is not None:
                where = "at the beginning of this line" if not line[:at].strip() else "in this line"
                message = f"{describe_character(line[at])} stands {where}, which no editor shows"
                return self._build(_Place(number, at + 1), message, "write plain spaces", "text.character")
            quote = find_curly_quote(line)
            if quote is not None and "quoted" not in str(self.error.context):
                message = f"{describe_character(line[quote])} is no quote in YAML"
                return self._build(
                    _Place(number, quote + 1), message, 'write straight quotes: "…"', "text.character"
                )
        return None

    def _explain_start(self) -> Problem | None:
        """Explain a character that cannot begin a text: reserved ones, aliases, escapes."""
        context, line = str(self.error.context), self._get_line(self.opened.line)
        character = line[self.opened.column - 1 : self.opened.column]
        if "unknown escape" in str(self.error.problem):
            escape = self._get_line(self.at.line)[self.at.column - 1 : self.at.column + 1]
            message = f"`{escape}` is no escape in double quotes"
            return self._build(
                self.at, message, "write the text in single quotes, in which a backslash is itself"
            )
        cannot = "cannot start" in str(self.error.problem)
        if not (cannot or "alias" in context or "anchor" in context or "scanning a block scalar" in context):
            return None
        meaning = {
            "*": "begins an alias",
            "&": "begins an anchor",
            "|": "begins a text of several lines",
            ">": "begins a text of several lines",
        }
        told = "a backtick" if character == "`" else f"`{character}`"
        message = f"{told} {meaning.get(character, 'cannot begin a text')} in YAML"
        rest = re.split(r"[,\]}]| #", line[self.opened.column - 1 :])[0].strip().replace('"', "")
        return self._build(self.opened, message, f'write it in quotes: "{rest}"')

    # --- quotes and brackets --------------------------------------------------------------------------------

    def _explain_open_quote(self) -> Problem | None:
        if self.error.context == "while scanning a quoted scalar":
            return self._build(
                self.opened, "the quote that opens here is never closed", "close it in this line"
            )
        token = self._find_long_quote()
        if token is None:
            return None
        message = f"the quote that opens here is closed only in line {token.line}"
        return self._build(_Place(*token[:2]), message, "close it in this line")

    def _find_long_quote(self) -> _Quote | None:
        """Return the text in quotes that ends just before the mistake and begins in an earlier line."""
        last = None
        try:
            for token in yaml.scan(self.source.text, Loader=LOADER):
                mark = token.start_mark
                if (mark.line + 1, mark.column + 1) >= self.at:
                    break
                last = token
        except yaml.YAMLError:
            pass
        if not isinstance(last, yaml.ScalarToken) or last.plain or last.start_mark.line == last.end_mark.line:
            return None
        return _Quote(last.start_mark.line + 1, last.start_mark.column + 1, last.end_mark.line + 1)

    def _explain_flow(self) -> Problem | None:
        if "flow" not in str(self.error.context) or self.error.context_mark is None:
            return None
        opening = self._get_line(self.opened.line)[self.opened.column - 1 : self.opened.column]
        closing = {"[": "]", "{": "}"}.get(opening)
        if closing is None:
            return None
        line = self._get_line(self.at.line)
        if self.at.line > self.opened.line and (_KEY.match(line) or not line.strip()):
            message = f"the `{opening}` that opens here is not closed before line {self.at.line}"
            return self._build(self.opened, message, f"write the missing `{closing}`")
        found = line[self.at.column - 1 : self.at.column] or "the end of the line"
        message = f"`,` or `{closing}` is missing before `{found}`, since a `{opening}` is open"
        return self._build(self.at, message, _suggest(line))

    # --- keys and indentation -------------------------------------------------------------------------------

    def _explain_missing_space(self) -> Problem | None:
        for number in (self.at.line - 1, self.at.line, self.opened.line):
            found = _NO_SPACE.match(self._get_line(number)) if number > 0 else None
            if found is not None and not _KEY.match(self._get_line(number)):
                place = _Place(number, found.start(1) + 1)
                return self._build(place, "a space is missing after this `:`", "write a space after it")
        if self.error.problem == "could not find expected ':'":
            text = self._get_line(self.opened.line).strip()
            return self._build(self.opened, f"`{text[:40]}` has no `:`", "write `KEY: VALUE`")
        return None

    def _explain_colon(self) -> Problem | None:
        """Explain a text with `: ` in it, which is read as a key."""
        line = self._get_line(self.at.line)
        key = _KEY.match(line)
        if "mapping values" not in str(self.error.problem) or key is None or key.end() >= self.at.column:
            return None
        text = line[key.end() :].strip()
        help_ = f'write it in quotes: "{text}"' if '"' not in text else "write the text in quotes"
        return self._build(self.at, "this `:` makes a key of the text before it", help_)

    def _explain_indentation(self) -> Problem | None:
        line = self._get_line(self.at.line)
        column = len(line) - len(line.lstrip(" ")) + 1
        if line.lstrip().startswith("- ") and self.error.problem == "did not find expected key":
            message = "an item of a list stands among the keys of a mapping"
            help_ = "indent it below the key to which it belongs, or remove the `-`"
            return self._find_misindented(column) or self._build(_Place(self.at.line, column), message, help_)
        starts = line[: self.at.column - 1].strip() == "" or "mapping values" in str(self.error.problem)
        return self._find_misindented(column) if line.strip() and starts else None

    def _find_misindented(self, column: int) -> Problem | None:
        wanted = self._find_neighbours(column)
        if wanted is None or wanted[1] == column:
            return None
        neighbour, indented = wanted
        message = f"line {self.at.line} begins at column {column}, and its neighbours at column {indented}"
        help_ = f"begin it at column {indented}, with {indented - 1} spaces, as line {neighbour} does"
        return self._build(_Place(self.at.line, column), message, help_)

    def _find_neighbours(self, column: int) -> tuple[int, int] | None:
        """Return a line above the mistake to which it belongs, with the column at which that one begins."""
        open_: list[tuple[int, int]] = []
        for number, line in enumerate(self.lines[: self.at.line - 1], 1):
            text = line.lstrip(" ")
            if not text.strip() or text.startswith("#"):
                continue
            starts = [len(line) - len(text) + 1]
            while (item := _ITEM.match(text)) is not None:
                starts.append(starts[-1] + item.end())
                text = text[item.end() :]
            open_ = [each for each in open_ if each[1] <= starts[0]]
            open_ += [(number, start) for start in starts if not open_ or start > open_[-1][1]]
            open_ = [(number if each == starts[0] else old, each) for old, each in open_]
        deeper = [each for each in open_ if each[1] > column]
        return deeper[0] if deeper else open_[-1] if open_ else None

    def _explain_rest_of_line(self) -> Problem | None:
        line = self._get_line(self.at.line)
        before, rest = line[: self.at.column - 1].rstrip(), line[self.at.column - 1 :].strip()
        if not before or before[-1] not in "\"']}" or not rest:
            return None
        message = f"`{rest[:40]}` follows a value that has ended"
        return self._build(self.at, message, "remove it, or put quotes round the whole text")


class _Quote(NamedTuple):
    """The place of a text in quotes, and the line in which it ends."""

    opened: int
    column: int
    line: int


def _suggest(line: str) -> str:
    if "{" in line or "}" in line:
        return "text with `{` or `}` at its start, or inside of `{...}` and `[...]`, needs quotes"
    return "look for a missing `:`, an open quote or bracket, or a line not indented like its neighbours"
