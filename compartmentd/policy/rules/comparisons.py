"""Tests of a value: equality by JSON type, and what each test leaves undecided.

A value has *readings*: a claim has one; an integer parameter has two, the integer and the string of its decimal
form. A test of a value that it cannot compare is unknown, never false: `not` must not turn a claim of an unexpected
type into a permission.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from compartmentd.policy.decision import Truth
from compartmentd.policy.model import Bound, Contains, Equals, Exists, Filled, Matches, Moment, Test, Value
from compartmentd.util.regex import matches_whole

Readings: TypeAlias = tuple[Any, ...]
"""The readings of one value, all of them JSON values."""

ReadValues: TypeAlias = Callable[[Any], Readings]
"""Returns, in a context, the readings of the values that a test compares with."""

ValueCompiler: TypeAlias = Callable[[Value], ReadValues]
"""Compiles one value of a test."""

_FAR_FUTURE = 1e15
"""Seconds; a moment after this one (thirty million years) never comes."""


class JsonType(Enum):
    """The JSON types that tests distinguish."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    OTHER = "other"


_STRING, _NUMBER, _OTHER = JsonType.STRING, JsonType.NUMBER, JsonType.OTHER
_JSON_TYPES = {str: _STRING, bool: JsonType.BOOLEAN, int: _NUMBER, float: _NUMBER}


class Result(NamedTuple):
    """The result of a test; `why` explains one that is not obvious, `until` is when time alone can change it."""

    truth: Truth
    why: str = ""
    until: float | None = None


CompiledTest: TypeAlias = Callable[[Readings, Any, float], Result]
"""Tests the readings of a value that is present, in a context, at a wall time in seconds."""

TRUE_RESULT = Result(Truth.TRUE)
FALSE_RESULT = Result(Truth.FALSE)
WRONG_TYPE = Result(Truth.UNKNOWN, "the value has a type that this test cannot compare")


def get_json_type(value: object) -> JsonType:
    """Return the JSON type of a value. Booleans are not numbers, nor are floats that JSON cannot write."""
    known = _JSON_TYPES.get(type(value), _OTHER)
    return _OTHER if type(value) is float and not math.isfinite(value) else known


def evaluate_absent(test: Test, why: str) -> Result:
    """Return the result of a test of an absent claim: false with the reason `why`, except for `exists: false`."""
    return TRUE_RESULT if type(test) is Exists and not test.wanted else Result(Truth.FALSE, why)


def compile_test(test: Test, compile_value: ValueCompiler) -> CompiledTest:
    """Return the test as a function, with everything computed beforehand that is the same each time.

    Args:
        test: The test.
        compile_value: Compiles a value with placeholders. Tests pass the context through to it and know nothing of
            its type.
    """
    return _TESTS[type(test)](test, compile_value)


def _compile_values(values: Sequence[Value], compile_value: ValueCompiler) -> ReadValues:
    if not any(isinstance(value, Filled) for value in values):
        fixed: Readings = tuple(values)
        return lambda _context: fixed
    each = [compile_value(value) for value in values]
    if len(each) == 1:
        return each[0]
    return lambda context: tuple([reading for readings in each for reading in readings(context)])


def _compile_equals(test: Equals, compile_value: ValueCompiler) -> CompiledTest:
    read_wanted = _compile_values(test.values, compile_value)
    return lambda readings, context, _now: _compare(readings, read_wanted(context))


def _compare(readings: Readings, wanted: Readings) -> Result:
    for reading in readings:
        if type(reading) is str and reading in wanted:  # nothing else in JSON equals a string
            return TRUE_RESULT
    comparable = False
    met: JsonType | None = None
    for reading in readings:
        own = get_json_type(reading)
        for value in wanted:
            compared = get_json_type(value)
            if compared is own and own is not _OTHER:
                if reading == value:
                    return TRUE_RESULT
                comparable = True
            met = met or compared
    if comparable:
        return FALSE_RESULT
    return WRONG_TYPE if met is None else _describe_mismatch("the value", get_json_type(readings[0]), met)


@lru_cache(maxsize=64)
def _describe_mismatch(what: str, own: JsonType, compared: JsonType) -> Result:
    """Return an unknown result that names the types, and how a parameter is made a number; never a value."""
    held = "neither string, number nor boolean" if own is _OTHER else f"a {own.value}"
    why = f"{what} is {held}, and is compared with a {compared.value}"
    if own is _NUMBER and compared is _STRING:
        why += "; a parameter of the room is a number, too, where `params` declares it as an `integer`"
    return Result(Truth.UNKNOWN, why)


def _compile_contains(test: Contains, compile_value: ValueCompiler) -> CompiledTest:
    read_wanted = _compile_values(test.values, compile_value)

    def evaluate(readings: Readings, context: Any, _now: float) -> Result:
        value = readings[0]
        if not isinstance(value, (list, dict)):
            return WRONG_TYPE
        wanted = read_wanted(context)
        for each in wanted:
            if type(each) is str and each in value:
                return TRUE_RESULT
        if (
            wanted
            and _STRING_TYPE.issuperset(map(type, wanted))
            and _STRING_TYPE.issuperset(map(type, value))
        ):
            return FALSE_RESULT  # the usual case, decided without comparing each pair
        return _find_any(value, wanted)

    return evaluate


_STRING_TYPE = frozenset({str})


def _find_any(value: list[Any] | dict[str, Any], wanted: Readings) -> Result:
    """Look for one of the wanted values among a list's items or an object's keys, of any type."""
    result = FALSE_RESULT
    for item in value:
        compared = _compare((item,), wanted)
        if compared is TRUE_RESULT:
            return TRUE_RESULT
        if compared.truth is Truth.UNKNOWN:
            result = _describe_mismatch("an item", get_json_type(item), _get_first_type(wanted))
    return result


def _get_first_type(wanted: Readings) -> JsonType:
    return get_json_type(wanted[0]) if wanted else _OTHER


def _compile_matches(test: Matches, _compile_value: ValueCompiler) -> CompiledTest:
    def evaluate(readings: Readings, _context: Any, _now: float) -> Result:
        for reading in readings:
            if isinstance(reading, str):
                return TRUE_RESULT if matches_whole(test.pattern, reading) else FALSE_RESULT
        return WRONG_TYPE

    return evaluate


def _find_number(readings: Readings) -> int | float | None:
    return next((reading for reading in readings if get_json_type(reading) is _NUMBER), None)


def _compile_bound(test: Bound, _compile_value: ValueCompiler) -> CompiledTest:
    def evaluate(readings: Readings, _context: Any, _now: float) -> Result:
        number = _find_number(readings)
        if number is None:
            return WRONG_TYPE
        if test.at_least is not None:
            return TRUE_RESULT if number >= test.at_least else FALSE_RESULT
        if test.at_most is not None:
            return TRUE_RESULT if number <= test.at_most else FALSE_RESULT
        return Result(Truth.UNKNOWN, "the test has no bound")

    return evaluate


def _compile_exists(test: Exists, _compile_value: ValueCompiler) -> CompiledTest:
    result = TRUE_RESULT if test.wanted else FALSE_RESULT
    return lambda _readings, _context, _now: result


def _compile_moment(test: Moment, _compile_value: ValueCompiler) -> CompiledTest:
    """Compile `is: past` or `is: future`.

    A moment counts as past at itself, like a token's `exp` (RFC 7519, 4.1.4).
    """

    def evaluate(readings: Readings, _context: Any, now: float) -> Result:
        moment = _find_number(readings)
        if moment is None:
            return WRONG_TYPE
        future = moment > now
        if not future and not moment <= now:  # the clock gives no number
            return Result(Truth.UNKNOWN, "there is no time to compare with")
        until = float(moment) if future and moment < _FAR_FUTURE else None
        return Result(Truth.TRUE if future == test.future else Truth.FALSE, until=until)

    return evaluate


_TESTS: dict[type, Callable[..., CompiledTest]] = {
    Equals: _compile_equals,
    Matches: _compile_matches,
    Contains: _compile_contains,
    Bound: _compile_bound,
    Exists: _compile_exists,
    Moment: _compile_moment,
}
