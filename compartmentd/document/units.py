"""Parses sizes, durations, rates and counts: one integer with one unit, or the word `unlimited`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

Unit: TypeAlias = Literal["size", "duration", "rate", "count"]

UNLIMITED = "unlimited"

_SIZES: Mapping[str, float] = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_DURATIONS: Mapping[str, float] = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_RATES: Mapping[str, float] = {"/s": 1, "/m": 1 / 60, "/h": 1 / 3600}
_FACTORS: Mapping[Unit, Mapping[str, float]] = {"size": _SIZES, "duration": _DURATIONS, "rate": _RATES}

_FORMS: Mapping[Unit, str] = {
    "size": "one integer with B, KiB, MiB or GiB, such as `64KiB`",
    "duration": "one integer with ms, s, m, h or d, such as `30s`",
    "rate": "one integer with /s, /m or /h, such as `20/s`",
    "count": "an integer from 1",
}
# Nine digits: the largest size, in bytes, fits in 64 bits.
_QUANTITY = re.compile(r"([1-9][0-9]{0,8})(B|KiB|MiB|GiB|ms|s|m|h|d|/s|/m|/h)")
_LOOSE = re.compile(r"\s*([0-9]+)\s*([A-Za-z/]*)\s*")


def _list_spellings(**forms: str) -> Mapping[str, str]:
    return {spelling.strip("_"): unit for unit, known in forms.items() for spelling in known.split()}


# Spellings that other programs accept, in lower case; `_` stands for no unit.
_GUESSES: Mapping[Unit, Mapping[str, str]] = {
    "size": _list_spellings(B="_ b", KiB="k kb kib", MiB="m mb mib", GiB="g gb gib"),
    "duration": _list_spellings(
        s="_ sec second seconds", m="min minute minutes", h="hour hours", d="day days"
    ),
    "rate": {
        "": "/s",
        "/sec": "/s",
        "/second": "/s",
        "ps": "/s",
        "/min": "/m",
        "/minute": "/m",
        "/hour": "/h",
    },
    "count": {},
}


def parse_quantity(text: str, unit: Unit) -> float | None:
    """Return bytes, seconds or events per second, or `None` if the text does not have that form."""
    found = _QUANTITY.fullmatch(text)
    if found is None or unit == "count" or found[2] not in _FACTORS[unit]:
        return None
    return int(found[1]) * _FACTORS[unit][found[2]]


def parse_size(text: str) -> int:
    """Return the bytes of a size that the schema accepted."""
    return int(_parse_checked(text, "size"))


def parse_duration(text: str) -> float:
    """Return the seconds of a duration that the schema accepted."""
    return float(_parse_checked(text, "duration"))


def parse_rate(text: str) -> float:
    """Return the events per second of a rate that the schema accepted."""
    return float(_parse_checked(text, "rate"))


def _parse_checked(text: str, unit: Unit) -> float:
    amount = parse_quantity(text, unit)
    if amount is None:
        # INVARIANT: the patterns of the schema and the forms here are the same (checked by a test).
        raise ValueError(f"not a {unit}")
    return amount


def describe_form(unit: Unit, *, unlimited: bool) -> str:
    """Return the right form of a quantity, as help."""
    return f"write {_FORMS[unit]}{', or `unlimited`' if unlimited else ''}"


def suggest_quantity(value: Any, unit: Unit) -> str | None:
    """Return the quantity that was probably meant by a value of another form, if that is clear."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    found = _LOOSE.fullmatch(str(value))
    if found is None or int(found[1][:9]) == 0 or len(found[1]) > 9:
        return None
    suffix = _GUESSES[unit].get(found[2].lower(), found[2])
    text = f"{int(found[1])}{suffix}"
    return text if parse_quantity(text, unit) is not None else None
