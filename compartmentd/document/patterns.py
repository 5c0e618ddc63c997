"""Regular expressions that an operator writes: RE2 only, whose time is linear in what it reads."""

from __future__ import annotations

import re2

_OPTIONS = re2.Options()
# RE2 would print what it refuses to standard error, beside the located problem that is made of it.
_OPTIONS.log_errors = False


def pattern_problem(pattern: str) -> str | None:
    """Return what is wrong with a pattern, or `None` where RE2 takes it."""
    try:
        re2.compile(pattern, _OPTIONS)
    except re2.error as error:
        reason = error.args[0] if error.args else "not a pattern"
        return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
    return None
