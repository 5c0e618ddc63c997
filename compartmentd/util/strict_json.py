"""Reads JSON strictly: the one place that decides which JSON is taken.

Two readers, for two kinds of text:

- `decode` is for messages that pass through, at the speed of msgspec: it refuses values that could not be passed on
  (lone surrogates, numbers out of range), and nesting deeper than `MAX_DEPTH`, since each level costs stack where
  it is decoded. Of two members of one name the last wins.
- `read_value` and `read_object` are for text on which decisions rest (tokens, key sets, schemas). In addition they
  refuse a name that occurs twice and an integer beyond 64 bits. `json.loads` takes all of that, each of it a way to
  show one service another value than the next one sees (RFC 8259, 4; RFC 8725, 3.8).

Errors are `NotJson` for text that is no JSON, and `NotStrict` for JSON that is not taken. Their messages complete a
sentence ("the token is nested …") and quote nothing of the text, which may be a secret.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from functools import cache
from typing import Any, NoReturn

import msgspec

from compartmentd.util.regex import compile_bytes_pattern

MAX_DEPTH = 32
"""Nesting of arrays and objects. Real tokens stay under 8; the interpreter's own limit is far above."""

SMALLEST_INTEGER = -(2**63)
LARGEST_INTEGER = 2**64 - 1
_LONGEST_INTEGER = len(str(SMALLEST_INTEGER))

_decode = msgspec.json.Decoder().decode
_skip = msgspec.json.Decoder(msgspec.Raw).decode  # builds no values: 1 ms for a megabyte
_LONG = 1024
_MOST_DIGITS = 4300
# One character first, which the search skips to. msgspec takes 7 µs for a number like 1e300, 74 ms for 64 KiB of
# them; `json` 0.2 each.
_LARGE_EXPONENTS = (re.compile(rb"e[-+]?[0-9]{2}"), re.compile(rb"E[-+]?[0-9]{2}"))
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


class JsonError(ValueError):
    """The text is not taken; the message completes a sentence and quotes nothing of the text."""


class NotJson(JsonError):
    """The text is no JSON; `detail` says why and where, in the parser's words, if it knows."""

    def __init__(self, detail: str = "") -> None:
        super().__init__("is not JSON")
        self.detail = detail


class NotStrict(JsonError):
    """The text is JSON of a kind that is not taken."""


def check_depth(text: bytes, max_depth: int = MAX_DEPTH) -> None:
    """Refuse a JSON text that nests deeper than `max_depth`; a text that is no JSON may pass.

    It is also for text that is passed on undecoded, so that no recipient gets a text that would be refused here.

    Raises:
        NotStrict: the text nests too deeply.
    """
    if not _may_be_deeper(text, max_depth):
        return
    try:
        _skip(text)
    except RecursionError:
        pass
    except msgspec.DecodeError:
        return  # it is no JSON
    raise _too_deep(max_depth)


def decode(text: bytes, *, depth_checked: bool = False) -> Any:
    """Return the value of a JSON text that is known to be UTF-8.

    Args:
        text: The text.
        depth_checked: Whether its depth was checked before.

    Raises:
        NotStrict: it nests deeper than `MAX_DEPTH`, or holds a lone surrogate or a number out of range.
        NotJson: it is no JSON.
    """
    if not depth_checked:
        check_depth(text)
    if len(text) > _LONG and any(pattern.search(text) for pattern in _LARGE_EXPONENTS):
        return _decode_exponents(text)
    try:
        return _decode(text)
    except RecursionError:
        raise _too_deep(MAX_DEPTH) from None
    except msgspec.ValidationError:
        raise NotStrict("holds a number that is out of range") from None
    except msgspec.DecodeError:
        raise _diagnose(text) from None


def _decode_exponents(text: bytes) -> Any:
    """Return what `decode` returns, for a text that may hold many numbers with large exponents."""
    try:
        value = json.loads(
            text.decode("utf-8"),
            parse_int=_long_integer,
            parse_float=_number,
            parse_constant=_no_constant,
        )
    except JsonError:
        raise
    except (ValueError, RecursionError):
        raise NotJson from None
    if _SURROGATE_ESCAPE.search(text):
        _check_surrogates(value)
    return value


def _no_constant(_: str) -> NoReturn:
    raise NotJson


def _long_integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise NotStrict("holds a number that is out of range")
    return int(digits)


def read_value(data: bytes, max_depth: int = MAX_DEPTH) -> Any:
    """Return the value that is the whole of `data`, in UTF-8, read strictly.

    Raises:
        NotStrict: it could be read in two ways, nests deeper than `max_depth`, or is not UTF-8.
        NotJson: it is no JSON.
    """
    if data.startswith(codecs.BOM_UTF8):
        raise NotStrict("begins with a byte order mark; save it as UTF-8 without one")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise NotStrict("is not UTF-8") from None
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique_members,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_refuse_constant,
        )
    except JsonError:
        raise
    except RecursionError:
        raise _too_deep(max_depth) from None
    except ValueError as error:
        raise NotJson(str(error)) from None
    if _may_be_deeper(data, max_depth):
        raise _too_deep(max_depth)
    if _SURROGATE_ESCAPE.search(data):
        _check_surrogates(value)
    return value


def names_a_member_twice(text: bytes) -> bool:
    """Return whether an object in a JSON text, which `decode` takes, names a member twice."""
    try:
        json.loads(text, object_pairs_hook=_check_names)
    except NotStrict:
        return True
    return False


def read_object(data: bytes) -> dict[str, Any]:
    """Return the object that is the whole of `data`, in UTF-8, read strictly.

    Raises:
        JsonError: and nothing else, whatever `data` holds; see `read_value`.
    """
    value = read_value(data)
    if not isinstance(value, dict):
        raise NotStrict("is not a JSON object")
    return value


def _may_be_deeper(text: bytes, max_depth: int) -> bool:
    """Return whether a text nests deeper than `max_depth`, or is no JSON."""
    # Fewer brackets than the limit cannot nest deeper than it: true of nearly every text.
    if text.count(b"[") + text.count(b"{") <= max_depth:
        return False
    return not compile_bytes_pattern(_build_nesting(max_depth)).fullmatch(text)


@cache
def _build_nesting(depth: int) -> bytes:
    """Return the pattern of texts in which strings end and brackets nest no deeper, of whichever kind they are.

    RE2 takes 1.2 ms for a megabyte, whatever it holds. To remove the innermost pairs of brackets again and again,
    all in C, took up to 210 ms.
    """
    other = rb'[^\[\]{}"]|"(?:[^"\\]|\\.)*"'
    pattern = b"(?:%b)*" % other
    for _ in range(depth):
        pattern = rb"(?:%b|[\[{]%b[\]}])*" % (other, pattern)
    return pattern


def _too_deep(max_depth: int) -> NotStrict:
    return NotStrict(f"is nested deeper than {max_depth} levels")


def _diagnose(text: bytes) -> JsonError:
    """Return the error for a text that msgspec refused: Python's own parser takes lone surrogates."""
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return NotJson()
    return NotStrict("holds a lone surrogate")


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotStrict("names a member twice")
    return members


def _check_names(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise NotStrict("names a member twice")


def _integer(digits: str) -> int:
    # Length first: converting thousands of digits is slow, and refused by the interpreter from 4300 on.
    if len(digits) <= _LONGEST_INTEGER:
        value = int(digits)
        if SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
            return value
    raise NotStrict("holds an integer beyond 64 bits")


def _number(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise NotStrict("holds a number that is out of range")
    return value


def _refuse_constant(name: str) -> NoReturn:
    # NaN and the infinities are no JSON (RFC 8259, 6), though Python's parser takes them.
    raise NotStrict(f"holds {name}, which is no JSON")


def _check_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise NotStrict("holds a lone surrogate") from None
