"""JSON objects of a token, read strictly: what two parsers could read in two ways is refused.

PyJWT reads tokens with `json.loads`, which lets the last of two equal members win, accepts `NaN` and lone
surrogates, turns `1e400` into infinity and fails by an exception of its own on deep nesting. Each of those is
a way to show one service other claims than another (RFC 8725, 3.8; RFC 7519, 4), so none of them passes here.
"""

from __future__ import annotations

import json
import math
import re
from sys import intern
from typing import Any, NoReturn

MAX_DEPTH = 32
"""Nesting of arrays and objects. Real tokens stay under 8; the interpreter's own limit is far above."""

_LEAST_INTEGER = -(2**63)
_GREATEST_INTEGER = 2**64 - 1
_LONGEST_INTEGER = len(str(_LEAST_INTEGER))

# The closing quote is optional, so that an unterminated string is consumed once and not tried again from each
# escaped quote in it: that keeps the scan linear.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


class NotStrict(ValueError):
    """The text is no JSON object, or one that could be read in two ways; the message quotes nothing of it."""


def read_object(data: bytes) -> dict[str, Any]:
    """Return the object that is the whole of `data` (UTF-8).

    Raises:
        NotStrict: and nothing else, whatever `data` holds.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise NotStrict("is not UTF-8") from None
    _check_depth(text)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_no_constant,
        )
    except NotStrict:
        raise
    except (ValueError, RecursionError):
        raise NotStrict("is not JSON") from None
    if not isinstance(value, dict):
        raise NotStrict("is not a JSON object")
    if _SURROGATE_ESCAPE.search(text):
        _check_surrogates(value)
    return value


def _check_depth(text: str) -> None:
    # Fewer brackets than the limit cannot nest deeper than it: true of nearly every token.
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub("", text)):
        depth += 1 if bracket.group() in "[{" else -1
        if depth > MAX_DEPTH:
            raise NotStrict(f"is nested deeper than {MAX_DEPTH} levels")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # One string for each name, not one for each token: half of what the claims of a session take otherwise.
    members = {intern(name): value for name, value in pairs}
    if len(members) != len(pairs):
        raise NotStrict("names a member twice")
    return members


def _integer(digits: str) -> int:
    # Length first: converting thousands of digits is slow, and refused by the interpreter from 4300 on.
    if len(digits) <= _LONGEST_INTEGER:
        value = int(digits)
        if _LEAST_INTEGER <= value <= _GREATEST_INTEGER:
            return value
    raise NotStrict("holds an integer beyond 64 bits")


def _number(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise NotStrict("holds a number that is out of range")
    return value


def _no_constant(name: str) -> NoReturn:
    raise NotStrict(f"holds {name}, which is no JSON")


def _check_surrogates(value: dict[str, Any]) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise NotStrict("holds a lone surrogate") from None
