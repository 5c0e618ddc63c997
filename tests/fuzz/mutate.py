"""A plain mutator of bytes, for machines without atheris and for the fast tests: no coverage guides it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

_TELLING = (
    b"\x00",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b"\\",
    b"/",
    b",",
    b"-",
    b"0",
    b"9" * 20,
    b"\x1e",
    b"\r\n",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x98\x80",
    b"\\ud800",
    b"1e999",
)


def mutate(seeds: Sequence[bytes], source: random.Random, most: int) -> bytes:
    """Return one of the seeds, changed in some places, of at most so many bytes."""
    made = bytearray(source.choice(seeds) if seeds else b"")
    for _ in range(source.randint(1, 6)):
        source.choice(_EDITS)(made, source, seeds)
    return bytes(made[:most])


def _replace(made: bytearray, source: random.Random, _: Sequence[bytes]) -> None:
    if made:
        made[source.randrange(len(made))] = source.randrange(256)


def _nudge(made: bytearray, source: random.Random, _: Sequence[bytes]) -> None:
    if made:
        at = source.randrange(len(made))
        made[at] = (made[at] + source.choice((-1, 1, 16))) % 256


def _insert(made: bytearray, source: random.Random, _: Sequence[bytes]) -> None:
    at = source.randint(0, len(made))
    made[at:at] = source.choice(_TELLING) if source.random() < 0.6 else source.randbytes(source.randint(1, 4))


def _remove(made: bytearray, source: random.Random, _: Sequence[bytes]) -> None:
    at = source.randint(0, len(made))
    del made[at : at + source.randint(1, 8)]


def _repeat(made: bytearray, source: random.Random, _: Sequence[bytes]) -> None:
    at = source.randint(0, len(made))
    made[at:at] = made[at : at + source.randint(1, 32)] * source.randint(1, 8)


def _cross(made: bytearray, source: random.Random, seeds: Sequence[bytes]) -> None:
    if seeds:
        other = source.choice(seeds)
        made[source.randint(0, len(made)) :] = other[source.randint(0, len(other)) :]


_EDITS: Sequence[Callable[[bytearray, random.Random, Sequence[bytes]], None]] = (
    _replace,
    _nudge,
    _insert,
    _remove,
    _repeat,
    _cross,
)
