"""RE2 expressions, compiled when first needed and remembered while they are in use."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import re2  # type: ignore[import-untyped]  # it ships no types

_LARGE = 256 << 20
"""Bytes for an expression that RE2's usual 8 MiB are too little for, as a list of very many values."""


@lru_cache(maxsize=512)
def compiled(pattern: str) -> Any:
    """Return the compiled expression; raises `re2.error` for one that RE2 does not accept.

    Bounded, since of the expressions of a hundred thousand templates only those in use should take memory.
    """
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error:
        options.max_mem = _LARGE
        return re2.compile(pattern, options)


def full_match(pattern: str, value: str) -> bool:
    """Tell whether the whole value matches the pattern."""
    return compiled(pattern).fullmatch(value) is not None
