"""Reads quoted scalars, escapes and comments of YAML, also where they are not finished."""

from __future__ import annotations

import re
from collections.abc import Sequence

COMMENT = re.compile(r"(?:^|(?<=\s))#")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)("?)')
_SINGLE = re.compile(r"'((?:[^']|'')*)('?)")
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|(.))")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}


def match_quoted(text: str, column: int) -> tuple[str, int, bool] | None:
    """Return the content of a quoted scalar, the column after it, and whether its second quote is there.

    `None` if no quote stands in this column.
    """
    found = (_DOUBLE if text[column : column + 1] == '"' else _SINGLE).match(text, column)
    return None if found is None else (unescape(found[1], found[0][0]), found.end(), bool(found[2]))


def is_deeper(lines: Sequence[str], row: int, base: int) -> bool:
    """Return whether a line is there, and blank or indented more than the column `base`."""
    if row >= len(lines):
        return False
    line = lines[row]
    return len(line) - len(line.lstrip()) > base or not line.strip()


def unquote(written: str) -> str:
    """Return the content of a key as it is written, with quotes or without."""
    if written.startswith(('"', "'")):
        return unescape(written[1:].removesuffix(written[0]), written[0])
    return written


def unescape(inner: str, quote: str) -> str:
    """Return what stands between quotes of this kind as the text that it means."""
    return inner.replace("''", "'") if quote == "'" else _ESCAPE.sub(_read_escape, inner)


def _read_escape(found: re.Match[str]) -> str:
    code = found[1] or found[2]
    return chr(int(code, 16)) if code else _ESCAPED.get(found[3], found[3])
