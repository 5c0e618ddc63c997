"""Tests of a value: equality by JSON type, and what each test cannot decide.

A value is looked at as its *readings*: one for a claim, two for an integer parameter, which is the integer
and the string of its decimal form at once. What a test cannot compare is unknown, never false: `not` must not
turn a claim of an unexpected type into permission.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple, TypeAlias

from compartmentd.policy.decision import Truth
from compartmentd.policy.expressions import full_match
from compartmentd.policy.model import Bound, Contains, Equals, Exists, Matches, Moment, Test, Value

Readings: TypeAlias = tuple[Any, ...]
"""What one value can be taken for; all of them JSON values."""

Filler: TypeAlias = Callable[[Value], Readings]
"""Puts parameters into a test's value and returns what it can be taken for."""

_FAR_FUTURE = 1e15
"""A moment beyond this many seconds (thirty million years) does not come."""


class Kind(Enum):
    """The JSON type of a value, as far as tests tell them apart."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    OTHER = "other"


_KINDS = {str: Kind.STRING, bool: Kind.BOOLEAN, int: Kind.NUMBER, float: Kind.NUMBER}


class Result(NamedTuple):
    """What a test came to, why (where that is not plain), and until when, where time can change it."""

    truth: Truth
    why: str = ""
    until: float | None = None


WRONG_TYPE = Result(Truth.UNKNOWN, "the value is of a type that this test cannot compare")
_WRONG_ITEM = Result(Truth.UNKNOWN, "an item is of a type that this test cannot compare")
_TRUE = Result(Truth.TRUE)
_FALSE = Result(Truth.FALSE)


def kind(value: object) -> Kind:
    """Return the JSON type of a value: booleans are no numbers, and neither is what JSON cannot write."""
    known = _KINDS.get(type(value), Kind.OTHER)
    return Kind.OTHER if type(value) is float and not math.isfinite(value) else known


def absent(test: Test, why: str) -> Result:
    """Return what a test of an absent claim comes to: false, and why, but for `exists: false`."""
    return _TRUE if type(test) is Exists and not test.wanted else Result(Truth.FALSE, why)


def hold(test: Test, readings: Readings, fill: Filler, now: float) -> Result:
    """Test a value that is present; `now` is wall time in seconds."""
    return _TESTS[type(test)](test, readings, fill, now)


def _equals(test: Equals, readings: Readings, fill: Filler, _now: float) -> Result:
    return _compare(readings, _wanted(test, fill))


def _wanted(test: Equals | Contains, fill: Filler) -> list[tuple[Kind, Any]]:
    return [(kind(reading), reading) for value in test.values for reading in fill(value)]


def _compare(readings: Readings, wanted: list[tuple[Kind, Any]]) -> Result:
    comparable = False
    for reading in readings:
        own = kind(reading)
        for other, value in wanted:
            if own is other and own is not Kind.OTHER:
                if reading == value:
                    return _TRUE
                comparable = True
    return _FALSE if comparable else WRONG_TYPE


def _contains(test: Contains, readings: Readings, fill: Filler, _now: float) -> Result:
    value = readings[0]
    if not isinstance(value, (list, dict)):
        return WRONG_TYPE
    wanted, result = _wanted(test, fill), _FALSE
    for item in value:  # of an object, its keys
        compared = _compare((item,), wanted)
        if compared is _TRUE:
            return _TRUE
        if compared is WRONG_TYPE:
            result = _WRONG_ITEM
    return result


def _matches(test: Matches, readings: Readings, _fill: Filler, _now: float) -> Result:
    for reading in readings:
        if isinstance(reading, str):
            return _TRUE if full_match(test.pattern, reading) else _FALSE
    return WRONG_TYPE


def _number(readings: Readings) -> int | float | None:
    return next((reading for reading in readings if kind(reading) is Kind.NUMBER), None)


def _bound(test: Bound, readings: Readings, _fill: Filler, _now: float) -> Result:
    number = _number(readings)
    if number is None:
        return WRONG_TYPE
    if test.at_least is not None:
        return _TRUE if number >= test.at_least else _FALSE
    if test.at_most is not None:
        return _TRUE if number <= test.at_most else _FALSE
    return Result(Truth.UNKNOWN, "the test has no bound")


def _exists(test: Exists, _readings: Readings, _fill: Filler, _now: float) -> Result:
    return _TRUE if test.wanted else _FALSE


def _moment(test: Moment, readings: Readings, _fill: Filler, now: float) -> Result:
    """A moment is past from itself on, as a token is expired at its `exp` (RFC 7519, 4.1.4)."""
    moment = _number(readings)
    if moment is None:
        return WRONG_TYPE
    future = moment > now
    if not future and not moment <= now:  # a clock that shows no time
        return Result(Truth.UNKNOWN, "there is no time to compare with")
    until = float(moment) if future and moment < _FAR_FUTURE else None
    return Result(Truth.TRUE if future == test.future else Truth.FALSE, until=until)


_TESTS: dict[type, Callable[..., Result]] = {
    Equals: _equals,
    Matches: _matches,
    Contains: _contains,
    Bound: _bound,
    Exists: _exists,
    Moment: _moment,
}
