"""Numbers as people say them: counts with their noun, spans of time in the units that fit."""

from __future__ import annotations

_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))

LONG = 120
"""Seconds from which a span is told in larger units; below, everybody knows how long it is."""


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, whose plural has an `s`: `1 session`, `0 sessions`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def span(seconds: float) -> str:
    """Return a span of time, which is not negative, in its two largest units: `23 h 56 min`, `45 s`, `1.5 s`.

    What is left of the smaller one is left out, so that a span never seems longer than it is.
    """
    if seconds < LONG:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    at = next(at for at, (_, size) in enumerate(_UNITS) if seconds >= size)
    told, left = [], int(seconds)
    for unit, size in _UNITS[at : at + 2]:
        count, left = divmod(left, size)
        told += [f"{count} {unit}"] if count else []
    return " ".join(told)
