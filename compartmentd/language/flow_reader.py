"""Reads what stands in brackets, finished or not."""

from __future__ import annotations

import re
from collections.abc import Sequence

from compartmentd.document.yamldoc import MAX_DEPTH
from compartmentd.language.outline import OutlinePart, Position, Range
from compartmentd.language.scalars import is_deeper, match_quoted

_NEXT = re.compile(r"\s*+(?:(?:(?<=\s)|^)\#|(\S))")
_FLOW_PLAIN = re.compile(r"(?:[^,\[\]{}:#]++|:(?=[^\s,\[\]{}])|(?<=\S)\#)+")


class FlowReader:
    """Reads what stands in brackets, over lines, until they close or a line is not indented below them."""

    def __init__(self, lines: Sequence[str], base: int) -> None:
        self.lines = lines
        self.base = base
        self.row = 0
        self.column = 0
        self.depth = 0

    def read(self, part: OutlinePart, row: int, column: int) -> int:
        """Read the value that begins at a position, and return the line in which it ends."""
        self.row, self.column = row, column
        self._read_node(part)
        return self.row

    def _peek(self) -> str:
        """Return the next character that counts, of a further line if need be; empty at the end."""
        lines = self.lines
        while True:
            line = lines[self.row]
            found = _NEXT.match(line, self.column)
            if found is not None and found[1] is not None:
                self.column = found.end() - 1
                return found[1]
            self.column = len(line)
            row = self.row + 1
            while row < len(lines) and not lines[row].strip():
                row += 1
            closing = row < len(lines) and lines[row].lstrip().startswith(("}", "]"))
            if row >= len(lines) or not (closing or is_deeper(lines, row, self.base)):
                return ""
            self.row, self.column = row, 0

    def _read_node(self, part: OutlinePart) -> None:
        if self.depth > MAX_DEPTH:
            return
        self.depth += 1
        self._read_value(part)
        self.depth -= 1

    def _read_value(self, part: OutlinePart) -> None:
        first = self._peek()
        start = Position(self.row, self.column)
        if first == "{":
            part.kind = "mapping"
            self._read_collection(part, "}")
        elif first == "[":
            part.kind = "sequence"
            self._read_collection(part, "]")
        elif first in "\"'" and first:
            part.kind, part.text, part.quoted = "scalar", self._read_quoted(), True
        elif first and first not in ",]}":
            part.kind, part.text = "scalar", self._read_plain()
        else:
            part.range = Range(start, start)
            return
        part.range = Range(start, Position(self.row, self.column))

    def _read_collection(self, part: OutlinePart, end: str) -> None:
        self.column += 1
        while (character := self._peek()) and character not in "}]":
            if character == ",":
                self.column += 1
                continue
            before = self.row, self.column
            (self._read_entry if part.kind == "mapping" else self._read_item)(part)
            if (self.row, self.column) == before:  # a character that begins nothing
                self.column += 1
        if character == end:
            self.column += 1

    def _read_entry(self, part: OutlinePart) -> None:
        start = Position(self.row, self.column)
        quoted = self._peek() in "\"'"
        child = OutlinePart(part, start, flow=True)
        child.key = self._read_quoted() if quoted else self._read_plain()
        child.key_range = Range(start, Position(self.row, self.column))
        child.range = Range(child.key_range.end, child.key_range.end)
        child.quoted = quoted
        child.index = len(part.children)
        part.children.append(child)
        child.colon = self._take_colon()
        if child.colon:
            child.quoted = False
            child.range = Range(Position(self.row, self.column), Position(self.row, self.column))
            self._read_node(child)

    def _read_item(self, part: OutlinePart) -> None:
        item = OutlinePart(part, Position(self.row, self.column), flow=True)
        item.index = len(part.children)
        part.children.append(item)
        self._read_node(item)
        if item.kind == "scalar" and self._take_colon():  # `[key: value]` is a mapping of one entry
            child = OutlinePart(item, item.range.start, flow=True)
            child.key, child.key_range = item.text, item.range
            item.kind, item.children = "mapping", [child]
            self._read_node(child)

    def _take_colon(self) -> bool:
        line = self.lines[self.row]
        column = self.column
        while column < len(line) and line[column].isspace():
            column += 1
        taken = line[column : column + 1] == ":"
        if taken:
            self.column = column + 1
        return taken

    def _read_plain(self) -> str:
        found = _FLOW_PLAIN.match(self.lines[self.row], self.column)
        text = found[0].rstrip() if found else ""
        self.column += len(text)
        return text

    def _read_quoted(self) -> str:
        found = match_quoted(self.lines[self.row], self.column)
        assert found is not None  # noqa: S101 - the character in this column is a quote
        text, self.column, _ = found
        return text
