"""Regular expressions that an operator writes: RE2 only, whose time is linear in what it reads."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import re2  # type: ignore[import-untyped]  # it ships no types

_OPTIONS = re2.Options()
# RE2 would print what it refuses to standard error, beside the located problem that is made of it.
_OPTIONS.log_errors = False


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> Any:
    """Return a pattern that RE2 takes, ready to search with; its `$` is the end of the text only."""
    return re2.compile(pattern, _OPTIONS)


def pattern_problem(pattern: str) -> str | None:
    """Return what is wrong with a pattern, or `None` where RE2 takes it."""
    try:
        re2.compile(pattern, _OPTIONS)
    except re2.error as error:
        reason = error.args[0] if error.args else "not a pattern"
        return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
    return None
