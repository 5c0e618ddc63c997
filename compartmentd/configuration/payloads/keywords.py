"""What the keywords cost that look at a value alone: figures measured for `jsonschema-rs`, rounded up.

Numbers are cheap where they are 64-bit integers, or fractions of ordinary size; exact arithmetic makes others up to
a thousand times dearer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from compartmentd.configuration.payloads.load import Load
from compartmentd.configuration.payloads.patterns import estimate_character_cost

KEYWORD = 6.0
LOOKUP = 15.0
"""Finding a member by its name, in nanoseconds."""
_FRACTION, _EXTREME = 2_000.0, 25_000.0
"""Comparing or dividing exactly: with an ordinary fraction, and with a number like 1e-300 or of 300 digits."""
_LARGEST_SIMPLE = 1e15
_SMALLEST_SIMPLE = 1e-6


def is_simple_number(value: float) -> bool:
    """Return whether exact arithmetic with a number is cheap."""
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return value == 0 or _SMALLEST_SIMPLE <= abs(value) <= _LARGEST_SIMPLE


def _add_plain(load: Load, _: Any) -> None:
    load.value += KEYWORD


def _add_required(load: Load, names: list[str]) -> None:
    load.value += LOOKUP * len(names)


def _add_dependent_required(load: Load, value: Mapping[str, list[str]]) -> None:
    load.value += sum(LOOKUP * (1 + len(names)) for names in value.values())


def _limit(load: Load, limit: float) -> None:
    load.value += 2 * KEYWORD if isinstance(limit, int) else 150
    load.number += KEYWORD if isinstance(limit, int) else _FRACTION
    load.extreme += _EXTREME
    if not is_simple_number(limit):
        load.value += _EXTREME
        load.number += _EXTREME


def _add_multiple_of(load: Load, divisor: float) -> None:
    load.value += KEYWORD if isinstance(divisor, int) else _FRACTION
    load.number += _FRACTION
    load.extreme += _EXTREME
    if not is_simple_number(divisor):
        load.value += _EXTREME
        load.number += _EXTREME


def _add_pattern(load: Load, pattern: str) -> None:
    load.value += 30
    load.character += estimate_character_cost(pattern)


def _add_const(load: Load, value: Any) -> None:
    _add_comparison(load, value)


def _add_enum(load: Load, values: list[Any]) -> None:
    if len(values) > 1 and all(isinstance(value, str) for value in values):
        load.value += 30
        return
    for value in values:
        _add_comparison(load, value)


def _add_comparison(load: Load, value: Any) -> None:
    """Add a comparison with a value: with all of it, since what the data holds may be the same to its end."""
    load.value += KEYWORD
    if isinstance(value, bool):
        return
    if isinstance(value, float | int):
        load.value += 0 if isinstance(value, int) else 500
        load.number += _FRACTION if is_simple_number(value) else _EXTREME
        load.extreme += _EXTREME
    elif isinstance(value, Mapping):
        for part in value.values():
            load.value += LOOKUP
            _add_comparison_inside(load, part)
    elif isinstance(value, list):
        for part in value:
            _add_comparison_inside(load, part)


def _add_comparison_inside(load: Load, value: Any) -> None:
    inside = Load()
    _add_comparison(inside, value)
    # A number inside of a container counts with the container, whose own kind is not that of a number.
    load.value += inside.value + inside.extreme


def _add_unique_items(load: Load, unique: bool) -> None:
    if unique:
        load.unique += 1


OWN: Mapping[str, Callable[[Load, Any], None]] = {
    **dict.fromkeys(
        ("type", "maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties"),
        _add_plain,
    ),
    **dict.fromkeys(("maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum"), _limit),
    "multipleOf": _add_multiple_of,
    "pattern": _add_pattern,
    "const": _add_const,
    "enum": _add_enum,
    "required": _add_required,
    "dependentRequired": _add_dependent_required,
    "uniqueItems": _add_unique_items,
}
