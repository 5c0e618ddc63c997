"""Tests of a value: equality by JSON type, and what each test cannot decide.

A value is looked at as its *readings*: one for a claim, two for an integer parameter, which is the integer
and the string of its decimal form at once. What a test cannot compare is unknown, never false: `not` must not
turn a claim of an unexpected type into permission.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, NamedTuple, TypeAlias

from compartmentd.policy.decision import Truth
from compartmentd.policy.model import Bound, Contains, Equals, Exists, Filled, Matches, Moment, Test, Value
from compartmentd.util.regex import matches_whole

Readings: TypeAlias = tuple[Any, ...]
"""What one value can be taken for; all of them JSON values."""

Wanted: TypeAlias = Callable[[Any], Readings]
"""Gives, in a scene, what the values of a test can be taken for."""

Reader: TypeAlias = Callable[[Value], Wanted]
"""Makes one value ready to be put into scenes."""

_FAR_FUTURE = 1e15
"""A moment beyond this many seconds (thirty million years) does not come."""


class Kind(Enum):
    """The JSON type of a value, as far as tests tell them apart."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    OTHER = "other"


_STRING, _NUMBER, _OTHER = Kind.STRING, Kind.NUMBER, Kind.OTHER
_KINDS = {str: _STRING, bool: Kind.BOOLEAN, int: _NUMBER, float: _NUMBER}


class Result(NamedTuple):
    """What a test came to, why (where that is not plain), and until when, where time can change it."""

    truth: Truth
    why: str = ""
    until: float | None = None


Holds: TypeAlias = Callable[[Readings, Any, float], Result]
"""Tests a value that is present, in a scene, at a wall time in seconds."""

HELD = Result(Truth.TRUE)
NOT_HELD = Result(Truth.FALSE)
WRONG_TYPE = Result(Truth.UNKNOWN, "the value is of a type that this test cannot compare")
_WRONG_ITEM = Result(Truth.UNKNOWN, "an item is of a type that this test cannot compare")


def kind(value: object) -> Kind:
    """Return the JSON type of a value: booleans are no numbers, and neither is what JSON cannot write."""
    known = _KINDS.get(type(value), _OTHER)
    return _OTHER if type(value) is float and not math.isfinite(value) else known


def absent(test: Test, why: str) -> Result:
    """Return what a test of an absent claim comes to: false, and why, but for `exists: false`."""
    return HELD if type(test) is Exists and not test.wanted else Result(Truth.FALSE, why)


def prepared(test: Test, reader: Reader) -> Holds:
    """Return the test as a function, with everything worked out that is the same each time.

    `reader` knows how values with placeholders are put into a scene; what a scene is, tests need not know.
    """
    return _TESTS[type(test)](test, reader)


def _wanted(values: Sequence[Value], reader: Reader) -> Wanted:
    if not any(isinstance(value, Filled) for value in values):
        fixed: Readings = values if isinstance(values, tuple) else tuple(values)
        return lambda _scene: fixed
    each = [reader(value) for value in values]
    if len(each) == 1:
        return each[0]
    return lambda scene: tuple([reading for readings in each for reading in readings(scene)])


def _equals(test: Equals, reader: Reader) -> Holds:
    wanted = _wanted(test.values, reader)
    return lambda readings, scene, _now: _compare(readings, wanted(scene))


def _compare(readings: Readings, wanted: Readings) -> Result:
    for reading in readings:
        if type(reading) is str and reading in wanted:  # nothing else in JSON equals a string
            return HELD
    comparable = False
    for reading in readings:
        own = kind(reading)
        for value in wanted:
            if kind(value) is own and own is not _OTHER:
                if reading == value:
                    return HELD
                comparable = True
    return NOT_HELD if comparable else WRONG_TYPE


def _contains(test: Contains, reader: Reader) -> Holds:
    wanted_of = _wanted(test.values, reader)

    def holds(readings: Readings, scene: Any, _now: float) -> Result:
        value = readings[0]
        if not isinstance(value, (list, dict)):
            return WRONG_TYPE
        wanted = wanted_of(scene)
        for each in wanted:
            if type(each) is str and each in value:
                return HELD
        if wanted and _TEXT.issuperset(map(type, wanted)) and _TEXT.issuperset(map(type, value)):
            return NOT_HELD  # the usual case, told without a look at each pair
        return _hold_one(value, wanted)

    return holds


_TEXT = frozenset({str})


def _hold_one(value: list[Any] | dict[str, Any], wanted: Readings) -> Result:
    """Look for one of the wanted among a list's items or an object's keys, of whatever type they are."""
    result = NOT_HELD
    for item in value:
        compared = _compare((item,), wanted)
        if compared is HELD:
            return HELD
        if compared is WRONG_TYPE:
            result = _WRONG_ITEM
    return result


def _matches(test: Matches, _reader: Reader) -> Holds:
    def holds(readings: Readings, _scene: Any, _now: float) -> Result:
        for reading in readings:
            if isinstance(reading, str):
                return HELD if matches_whole(test.pattern, reading) else NOT_HELD
        return WRONG_TYPE

    return holds


def _number(readings: Readings) -> int | float | None:
    return next((reading for reading in readings if kind(reading) is _NUMBER), None)


def _bound(test: Bound, _reader: Reader) -> Holds:
    def holds(readings: Readings, _scene: Any, _now: float) -> Result:
        number = _number(readings)
        if number is None:
            return WRONG_TYPE
        if test.at_least is not None:
            return HELD if number >= test.at_least else NOT_HELD
        if test.at_most is not None:
            return HELD if number <= test.at_most else NOT_HELD
        return Result(Truth.UNKNOWN, "the test has no bound")

    return holds


def _exists(test: Exists, _reader: Reader) -> Holds:
    result = HELD if test.wanted else NOT_HELD
    return lambda _readings, _scene, _now: result


def _moment(test: Moment, _reader: Reader) -> Holds:
    """A moment is past from itself on, as a token is expired at its `exp` (RFC 7519, 4.1.4)."""

    def holds(readings: Readings, _scene: Any, now: float) -> Result:
        moment = _number(readings)
        if moment is None:
            return WRONG_TYPE
        future = moment > now
        if not future and not moment <= now:  # a clock that shows no time
            return Result(Truth.UNKNOWN, "there is no time to compare with")
        until = float(moment) if future and moment < _FAR_FUTURE else None
        return Result(Truth.TRUE if future == test.future else Truth.FALSE, until=until)

    return holds


_TESTS: dict[type, Callable[..., Holds]] = {
    Equals: _equals,
    Matches: _matches,
    Contains: _contains,
    Bound: _bound,
    Exists: _exists,
    Moment: _moment,
}
