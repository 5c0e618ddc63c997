"""Resolves unquoted YAML scalars where YAML 1.1 and 1.2 agree, and refuses those about which they differ.

A value is accepted only if every YAML reader understands it in the same way. `no` (a country or false?), `010` (ten
or eight?), `12:30` (a time or 750?), `2026-11-24` (text or a date?) are refused, with the help to quote them.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

LARGEST = 2**63 - 1
SMALLEST = -(2**63)

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
}
_SWITCHES = frozenset(
    form for word in ("yes", "no", "on", "off") for form in (word, word.title(), word.upper())
)
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][-+][0-9]+)?")
_NUMERIC_START = frozenset("0123456789+-.=")
_MOST_DIGITS = len(str(LARGEST)) + 1

_TRAPS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("a number in octal to some readers of YAML and in decimal to others", re.compile(r"[-+]?0[0-9_]+")),
    (
        "a number to some readers of YAML and text to others",
        re.compile(r"[-+]?0o[0-7]+|[-+]?0x[0-9a-fA-F_]+|[-+]?0b[01_]+"),
    ),
    (
        "a number in base 60 to some readers of YAML",
        re.compile(r"[-+]?[0-9]+(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"),
    ),
    ("a date to some readers of YAML", re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt\s].*)?")),
    (
        "a number to some readers of YAML and text to others",
        re.compile(r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"),
    ),
    (
        "a number that JSON, and so a token, cannot hold",
        re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"),
    ),
    ("a special value to some readers of YAML", re.compile(r"=")),
)


class Trap(NamedTuple):
    """A refused unquoted scalar; `reason` says how else it could be read, `meant` what may be meant but text."""

    reason: str
    meant: str = ""


class TooLarge(NamedTuple):
    """An integer or fraction that does not fit in 64 bits."""


Plain = str | int | float | bool | None | Trap | TooLarge


def resolve_scalar(text: str) -> Plain:
    """Return the value of an unquoted scalar, or the reason why it is refused."""
    if text in _WORDS:
        return _WORDS[text]
    if text in _SWITCHES:
        meant = "true" if text.lower() in ("yes", "on") else "false"
        return Trap("true or false to some readers of YAML and text to others", meant)
    if text[0] not in _NUMERIC_START:
        return text
    return _read_number(text)


def _read_number(text: str) -> Plain:
    if _INTEGER.fullmatch(text):
        # Length first: int() of a long string of digits takes quadratic time.
        if len(text) > _MOST_DIGITS or not SMALLEST <= int(text) <= LARGEST:
            return TooLarge()
        return int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else TooLarge()
    return next((Trap(reason) for reason, pattern in _TRAPS if pattern.fullmatch(text)), text)
