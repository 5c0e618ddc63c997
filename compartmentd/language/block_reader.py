"""Reads the outline of a YAML text that is being typed: its keys and values with their positions.

`document.yamldoc` reads a text or says why not. An editor's text is unfinished most of the time, so this reader
goes by indentation and brackets and takes everything: a word without a colon is a key that is still being typed, an
open quote ends with its line, and an open bracket ends where a line is not indented below it. For a text that YAML
accepts, both give the same keys at the same places (checked by a test).
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from compartmentd.document.yamldoc import MAX_DEPTH
from compartmentd.language.flow_reader import FlowReader
from compartmentd.language.outline import OutlinePart, Position, Range
from compartmentd.language.scalars import COMMENT, is_deeper, match_quoted, unquote

_KEY = re.compile(
    r"""(?P<double>"(?:[^"\\]|\\.)*")\s*:(?=\s|$)
      | (?P<single>'(?:[^']|'')*')\s*:(?=\s|$)
      | (?P<plain>(?:[^\s:"'\[\]{}#&*!|>%@`,]|:(?=\S))(?:[^:#]++|:(?=\S)|(?<=\S)\#)*?):(?=\s|$)""",
    re.VERBOSE,
)
_MOST_LINES = 50
"""Lines in which the second quote of a text is looked for."""


def read_outline(text: str) -> OutlinePart:
    """Return the outline of a text; any text has one."""
    return _BlockReader(text).read()


class _Frame(NamedTuple):
    """A mapping or sequence whose children begin in this column."""

    indent: int
    part: OutlinePart


class _BlockReader:
    def __init__(self, text: str) -> None:
        self.lines = [line.removesuffix("\r") for line in text.split("\n")]
        self.row = 0
        self.root = OutlinePart(None, Position(0, 0))
        # The root is the value of an entry further left than any column, so that nothing is special about it.
        before = OutlinePart(None, Position(0, 0))
        before.kind = "sequence"
        before.children.append(self.root)
        self.frames = [_Frame(-1, before)]

    def read(self) -> OutlinePart:
        """Read the whole text."""
        while self.row < len(self.lines):
            line = self.lines[self.row]
            content = line.lstrip()
            row = self.row
            if content and not content.startswith("#") and not (line.startswith(("---", "%")) and row < 3):
                self._read_content(len(line) - len(content), len(line) - len(content))
            self.row = max(self.row, row) + 1
        return self.root

    # --- block lines ----------------------------------------------------------------------------------------

    def _read_content(self, column: int, base: int) -> None:
        """Read what begins in this column; `base` is the column that values of this line must be right of."""
        line = self.lines[self.row]
        rest = line[column:]
        if rest == "-" or rest.startswith(("- ", "-\t")):
            self._read_item(column)
        elif (found := _KEY.match(line, column)) is not None:
            written = found["double"] or found["single"] or found["plain"].rstrip()
            part = self._add_entry(column, written)
            part.range, part.quoted = self._range(found.end(), found.end()), False
            self._read_value(part, found.end(), base)
        else:
            self._read_word(column, base)

    def _read_item(self, column: int) -> None:
        container = self._find_container(column, "sequence")
        line = self.lines[self.row]
        item = OutlinePart(container, Position(self.row, column + 1))
        item.index = len(container.children)
        container.children.append(item)
        inner = column + 1 + len(line[column + 1 :]) - len(line[column + 1 :].lstrip())
        if inner < len(line) and line[inner] != "#" and len(self.frames) <= MAX_DEPTH:
            item.range = Range(Position(self.row, inner), Position(self.row, inner))
            self._read_content(inner, column)

    def _add_entry(self, column: int, written: str) -> OutlinePart:
        container = self._find_container(column, "mapping")
        part = OutlinePart(container, Position(self.row, column + len(written)))
        part.key = unquote(written)
        part.key_range = self._range(column, column + len(written))
        part.quoted = written[0] in "\"'"
        part.index = len(container.children)
        container.children.append(part)
        return part

    def _read_word(self, column: int, base: int) -> None:
        """Read a line that is no item and no entry: a value, a key without its colon, or more of a value."""
        while self.frames[-1].indent > column:
            self.frames.pop()
        frame = self.frames[-1]
        if frame.indent == column and frame.part.kind == "mapping":
            self._add_entry(column, self._cut_comment(column)).colon = False
            return
        last = frame.part.children[-1] if frame.part.children else frame.part
        if last.kind == "nothing":
            last.own_line = True
            self._read_value(last, column, base)
        elif last.kind == "scalar":
            last.range = Range(last.range.start, Position(self.row, len(self.lines[self.row].rstrip())))

    def _find_container(self, column: int, kind: Literal["mapping", "sequence"]) -> OutlinePart:
        """Return the mapping or sequence to which an entry or item in this column belongs."""
        while self.frames[-1].indent > column:
            self.frames.pop()
        # `key:` and the `- ` of its items may stand in the same column.
        if (
            kind == "mapping"
            and self.frames[-1].indent == column
            and self.frames[-1].part.kind == "sequence"
            and len(self.frames) > 2
        ):
            self.frames.pop()
        indent, part = self.frames[-1]
        if indent == column and part.kind == kind:
            return part
        holder = part.children[-1] if part.children else part
        if holder.kind == "scalar" and holder.own_line and holder.range.start.column == column:
            _make_word_an_entry(holder)
        elif holder.kind in ("nothing", "scalar"):
            holder.kind = kind
            holder.range = self._range(column, column)
        self.frames.append(_Frame(column, holder))
        return holder

    # --- values ---------------------------------------------------------------------------------------------

    def _read_value(self, part: OutlinePart, column: int, base: int) -> None:
        line = self.lines[self.row]
        column += len(line[column:]) - len(line[column:].lstrip())
        if column >= len(line) or line[column] == "#":
            return
        first = line[column]
        if first in "{[":
            self.row = FlowReader(self.lines, base).read(part, self.row, column)
        elif first in "\"'":
            self._read_quoted(part, column, base)
        else:
            text = self._cut_comment(column)
            part.kind, part.text = "scalar", text
            part.range = self._range(column, column + len(text))
            if first in "|>":
                self._skip_block_scalar(part, base)

    def _read_quoted(self, part: OutlinePart, column: int, base: int) -> None:
        line = self.lines[self.row]
        written, last = line, self.row
        found = match_quoted(written, column)
        while found is not None and not found[2] and last - self.row < _MOST_LINES:
            if not is_deeper(self.lines, last + 1, base):
                break
            last += 1
            written = f"{written}\n{self.lines[last]}"
            found = match_quoted(written, column)
        if found is None or not found[2]:  # open: it ends with its own line
            found, written, last = match_quoted(line, column), line, self.row
        assert found is not None  # noqa: S101 - the character in this column is a quote
        part.kind, part.quoted, part.text = "scalar", True, found[0]
        end = found[1] if last == self.row else found[1] - written.rindex("\n", 0, found[1]) - 1
        part.range = Range(Position(self.row, column), Position(last, end))
        self.row = last

    def _skip_block_scalar(self, part: OutlinePart, base: int) -> None:
        last = self.row
        while last + 1 < len(self.lines) and (
            not self.lines[last + 1].strip() or is_deeper(self.lines, last + 1, base)
        ):
            last += 1
        part.range = Range(part.range.start, Position(last, len(self.lines[last])))
        self.row = last

    def _cut_comment(self, column: int) -> str:
        line = self.lines[self.row]
        found = COMMENT.search(line, column + 1)
        return line[column : found.start() if found else len(line)].rstrip()

    def _range(self, start: int, end: int) -> Range:
        return Range(Position(self.row, start), Position(self.row, end))


def _make_word_an_entry(part: OutlinePart) -> None:
    """Turn a value on a line of its own into a mapping with a key that is being typed."""
    word = OutlinePart(part, part.range.start)
    word.key, word.key_range, word.colon = part.text, part.range, False
    word.range = Range(part.range.end, part.range.end)
    part.kind, part.text, part.children = "mapping", "", [word]
