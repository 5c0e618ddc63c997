"""Finds the known word nearest to a misspelt one."""

from __future__ import annotations

from collections.abc import Iterable


def find_nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known word that was probably meant, or `None` if none is near.

    Args:
        word: The word.
        known: The known words.
        cutoff: How near a word must be, from 0 for any to 1 for the same.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake needs it; a clean check starts faster

    words = {name.lower(): name for name in known}
    found = get_close_matches(word.lower()[:128], list(words), n=1, cutoff=cutoff)
    return words[found[0]] if found else None
