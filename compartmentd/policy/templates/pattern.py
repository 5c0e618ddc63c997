"""The pattern grammar of parameters: a sequence of literals and character classes, each with a count.

    pattern  = 1*item
    item     = (character | class) [ "?" | "*" | "+" | "{" n "}" | "{" m "," n "}" ]
    class    = "[" ["^"] ["]"] *(character | character "-" character) ["-"] "]"

There are no groups, alternatives, anchors or backslashes. Characters that are special in regular expressions
(`. ^ $ | ( )`) are refused outside a class instead of taken literally, so that nobody mistakes a pattern for a
regular expression.
"""

from __future__ import annotations

from typing import NamedTuple

from compartmentd.policy.model import CharClass, PatternParam
from compartmentd.policy.templates.charset import (
    ROOM_CHARACTERS,
    Ranges,
    charset_from_text,
    complement,
    intersection,
    union,
)
from compartmentd.problems import Span

MAX_COUNT = 256
"""The largest count: a room name is never longer."""

_SIGNS = {"?": (0, 1), "*": (0, None), "+": (1, None)}
_DIGITS = frozenset("0123456789")
_ESCAPES = {"d": "[0-9]", "w": "[A-Za-z0-9_]", "s": "[ ]", "D": "[^0-9]", "W": "[^A-Za-z0-9_]", "S": "[^ ]"}
_REFUSED = {
    ".": (
        "`.` is not part of the pattern grammar",
        "write `[.]` for a dot, or a class of the characters that may be here",
    ),
    "^": (
        "`^` is not part of the pattern grammar",
        "leave it out: a pattern always covers the whole parameter",
    ),
    "$": (
        "`$` is not part of the pattern grammar",
        "write `[$]` for a dollar; a pattern always covers the whole parameter",
    ),
    "|": (
        "`|` is not part of the pattern grammar",
        "write `[|]` for a bar; for alternatives use `one_of`",
    ),
    "(": ("`(` is not part of the pattern grammar", "write `[(]` for a parenthesis; there are no groups"),
    ")": ("`)` is not part of the pattern grammar", "write `[)]` for a parenthesis; there are no groups"),
    "]": ("`]` closes no class", "write `[]]` for a bracket"),
    "}": ("`}` closes no count", "write `[}]` for a brace"),
}


class PatternProblem(NamedTuple):
    """A mistake in a pattern or text; `offset` counts its code points from 0."""

    offset: int
    message: str
    help: str


class _Invalid(Exception):
    """Carries a problem to `parse_pattern`, which returns it."""

    def __init__(self, offset: int, message: str, advice: str) -> None:
        super().__init__(message)
        self.problem = PatternProblem(offset, message, advice)


def parse_pattern(text: str) -> tuple[CharClass, ...] | PatternProblem:
    """Parse a `pattern`, or return what is wrong with it and where."""
    try:
        return tuple(_Parser(text).parse_items())
    except _Invalid as invalid:
        return invalid.problem


def build_default_param(name: str, span: Span) -> PatternParam:
    """Return the parameter of a placeholder that the configuration does not declare."""
    items = _Parser("[A-Za-z0-9_.@|-]{1,128}").parse_items()
    return PatternParam(name=name, items=tuple(items), span=span)


class _Parser:
    """Reads a pattern from left to right; `at` is the offset of the next character."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def parse_items(self) -> list[CharClass]:
        if not self.text:
            raise _Invalid(
                0, "the pattern is empty", "write the characters that may be here, as in `[a-z0-9]{1,40}`"
            )
        items = []
        while self.at < len(self.text):
            ranges = self._parse_characters()
            items.append(CharClass(ranges, *self._parse_count()))
        return items

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _parse_characters(self) -> Ranges:
        start, character = self.at, self._peek()
        self.at += 1
        if character == "[":
            return self._parse_class(start)
        if character == "\\":
            raise self._explain_backslash(start)
        if character in _SIGNS or character == "{":
            raise _Invalid(
                start,
                f"`{character}` has nothing before it to count",
                f"write `[{character}]` for the character itself",
            )
        if character in _REFUSED:
            raise _Invalid(start, *_REFUSED[character])
        return self._keep_possible(start, charset_from_text(character))

    def _explain_backslash(self, start: int) -> _Invalid:
        escaped = self.text[start + 1 : start + 2]
        instead = _ESCAPES.get(escaped, f"[{escaped}]" if escaped and escaped not in "^\\" else "a class")
        return _Invalid(
            start, "backslashes are not part of the pattern grammar", f"write `{instead}` instead"
        )

    def _keep_possible(self, start: int, ranges: Ranges) -> Ranges:
        possible = intersection(ranges, ROOM_CHARACTERS)
        if not possible:
            raise _Invalid(
                start,
                "no room name can contain this",
                "room names contain no control characters and no lone surrogates",
            )
        return possible

    def _parse_class(self, start: int) -> Ranges:
        negated = self._peek() == "^"
        self.at += negated
        if self.text.find("]", self.at + 1) < 0:
            raise _Invalid(
                start,
                "the class is not closed",
                "end it with `]`; a `]` inside a class must be its first character",
            )
        first, ranges = True, []
        while (character := self._peek()) != "]" or first:
            ranges.append(self._parse_range(character, first=first))
            first = False
        self.at += 1
        characters = union(ranges)
        return self._keep_possible(start, complement(characters) if negated else characters)

    def _parse_range(self, low: str, *, first: bool) -> tuple[int, int]:
        start = self.at
        if low == "\\":
            raise self._explain_backslash(start)
        if low == "[" and self.text[start + 1 : start + 2] == ":" and ":]" in self.text[start + 2 :]:
            raise _Invalid(
                start,
                "named classes are not part of the pattern grammar",
                "write the characters, as in `a-z`",
            )
        self.at += 1
        if low == "-" and not first and self._peek() != "]":
            raise _Invalid(start, "`-` is not between two characters", "put `-` first in the class")
        high = self.text[self.at + 1 : self.at + 2]
        if low == "-" or self._peek() != "-" or high in ("", "]"):
            return ord(low), ord(low)
        if high == "\\":
            raise self._explain_backslash(self.at + 1)
        if high < low:
            raise _Invalid(start, f"the range `{low}-{high}` is reversed", f"write `{high}-{low}`")
        self.at += 2
        return ord(low), ord(high)

    def _parse_count(self) -> tuple[int, int | None]:
        start, sign = self.at, self._peek()
        if sign in _SIGNS:
            self.at += 1
            count = _SIGNS[sign]
        elif sign == "{":
            count = self._parse_braces(start)
        else:
            return 1, 1
        if (again := self._peek()) and again in "?*+{":
            raise _Invalid(self.at, f"`{again}` follows another count", "give one count, as in `{1,40}`")
        return count

    def _parse_braces(self, start: int) -> tuple[int, int]:
        end = self.text.find("}", start)
        least, comma, most = self.text[start + 1 : end].partition(",") if end > 0 else ("", "", "")
        most = most if comma else least
        if not (least and most and _DIGITS.issuperset(least + most)):
            raise _Invalid(
                start,
                "a count is `{n}` or `{m,n}`",
                f"write both ends, as in `{{0,40}}`; the largest count is {MAX_COUNT}",
            )
        self.at = end + 1
        # More than four digits are never converted to a number, so a count of a million digits costs nothing.
        low, high = (int(digits) if len(digits) <= 4 else MAX_COUNT + 1 for digits in (least, most))
        if max(low, high) > MAX_COUNT:
            raise _Invalid(start, f"the largest count is {MAX_COUNT}", "a room name is never longer")
        if low > high:
            raise _Invalid(start, "the count is reversed", f"write `{{{high},{low}}}`")
        if high == 0:
            raise _Invalid(
                start, "a part that occurs zero times can be left out", "remove it, or raise the count"
            )
        return low, high
