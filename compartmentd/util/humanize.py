"""Numbers as people write them: counts with their noun, durations in fitting units."""

from __future__ import annotations

_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))

LONG = 120
"""Seconds from which a duration is given in larger units; a shorter one is clear as it is."""


def format_count(count: int, noun: str) -> str:
    """Return a count with its noun, whose plural has an `s`: `1 session`, `0 sessions`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def format_rate(rate: float, noun: str) -> str:
    """Return a rate in the unit that makes it a whole number: `10 messages a second`, `1 join a minute`.

    Args:
        rate: how many a second, more than 0.
        noun: what is counted; its plural has an `s`.
    """
    for unit, size in (("second", 1), ("minute", 60)):
        if abs(rate * size - round(rate * size)) < 1e-6:
            return f"{format_count(round(rate * size), noun)} a {unit}"
    return f"{format_count(round(rate * 3600), noun)} an hour"


def format_duration(seconds: float) -> str:
    """Return a duration in its two largest units: `23 h 56 min`, `45 s`, `1.5 s`.

    It is rounded down, so that a duration never seems longer than it is.

    Args:
        seconds: not negative.
    """
    if seconds < LONG:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    largest = next(index for index, (_, size) in enumerate(_UNITS) if seconds >= size)
    parts, rest = [], int(seconds)
    for unit, size in _UNITS[largest : largest + 2]:
        count, rest = divmod(rest, size)
        parts += [f"{count} {unit}"] if count else []
    return " ".join(parts)
