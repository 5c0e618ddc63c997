"""Sets of characters as sorted, disjoint, inclusive ranges of code points; the characters of room names."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TypeAlias

Ranges: TypeAlias = tuple[tuple[int, int], ...]
"""Inclusive pairs of code points, sorted, disjoint and not touching."""

MAX_CODE_POINT = 0x10FFFF

ROOM_CHARACTERS: Ranges = ((0x20, 0x7E), (0xA0, 0xD7FF), (0xE000, MAX_CODE_POINT))
"""The characters of room names: all but control characters (Unicode's Cc) and lone surrogates."""

MAX_ROOM_BYTES = 256
"""The longest room name, in bytes of UTF-8."""

_READABLE = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_.:/"
"""Characters for examples, the most readable first."""


def union(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Return the set of all characters in the given ranges, which may overlap and be in any order."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return tuple(merged)


@lru_cache(maxsize=8192)
def intersection(left: Ranges, right: Ranges) -> Ranges:
    """Return the characters that are in both sets."""
    found: list[tuple[int, int]] = []
    i = j = 0
    while i < len(left) and j < len(right):
        low = max(left[i][0], right[j][0])
        high = min(left[i][1], right[j][1])
        if low <= high:
            found.append((low, high))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return tuple(found)


def complement(ranges: Ranges) -> Ranges:
    """Return the characters of room names that are not in the set."""
    gaps: list[tuple[int, int]] = []
    start = 0
    for low, high in ranges:
        if start < low:
            gaps.append((start, low - 1))
        start = high + 1
    if start <= MAX_CODE_POINT:
        gaps.append((start, MAX_CODE_POINT))
    return intersection(tuple(gaps), ROOM_CHARACTERS)


def contains(ranges: Ranges, code_point: int) -> bool:
    """Return whether a character is in the set."""
    return any(low <= code_point <= high for low, high in ranges)


def charset_from_text(text: str) -> Ranges:
    """Return the set of the characters of a string."""
    return union((ord(character), ord(character)) for character in text)


def utf8_length(code_point: int) -> int:
    """Return how many bytes of UTF-8 the character takes."""
    return 1 + (code_point > 0x7F) + (code_point > 0x7FF) + (code_point > 0xFFFF)


@lru_cache(maxsize=8192)
def pick_specimen(ranges: Ranges) -> tuple[int, str] | None:
    """Return a character of the set to show in an example, after its UTF-8 length; `None` for an empty set.

    INVARIANT: no character of the set is shorter in UTF-8, so examples made of specimens are the shortest.
    """
    if not ranges:
        return None
    for character in _READABLE:
        if contains(ranges, ord(character)):
            return 1, character
    # Ranges are sorted and UTF-8 length grows with the code point, so no character is shorter than the first.
    # A space is the last choice among characters of one byte, since it is hard to see in a message.
    low, high = ranges[0]
    if low == 0x20:
        second = low + 1 if high > low else ranges[1][0] if len(ranges) > 1 else low
        low = second if utf8_length(second) == 1 else low
    return utf8_length(low), chr(low)


def is_valid_room_name(room: str) -> bool:
    """Return whether a string can name a room: 1 to 256 bytes of UTF-8, made of `ROOM_CHARACTERS`."""
    if not room or len(room) > MAX_ROOM_BYTES:
        return False
    if room.isascii():
        return room.isprintable()  # in ASCII, exactly the control characters are not printable
    return all(contains(ROOM_CHARACTERS, ord(c)) for c in room) and len(room.encode()) <= MAX_ROOM_BYTES
