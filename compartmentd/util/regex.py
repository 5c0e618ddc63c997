"""Regular expressions in RE2, whose time is linear in the text: the only kind that operators may write."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import re2  # type: ignore[import-untyped]  # it ships no types

_LARGE = 256 << 20
"""Bytes for an expression that RE2's usual 8 MiB are too little for, such as a list of very many values."""


@lru_cache(maxsize=512)
def compile_pattern(pattern: str) -> Any:
    """Return the compiled pattern; its `$` is the end of the text only.

    The cache is bounded: of the patterns of a hundred thousand templates only those in use should take memory.

    Raises:
        re2.error: RE2 does not accept the pattern; see `find_pattern_error`.
    """
    options = _quiet_options()
    try:
        return re2.compile(pattern, options)
    except re2.error:
        options.max_mem = _LARGE
        return re2.compile(pattern, options)


@cache
def compile_bytes_pattern(pattern: bytes) -> Any:
    """Return the compiled pattern of our own making, for bytes; its `.` is any byte. Each is kept for good."""
    options = _quiet_options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.dot_nl = True
    options.never_capture = True
    return re2.compile(pattern, options)


def matches_whole(pattern: str, value: str) -> bool:
    """Return whether the whole value matches the pattern."""
    return compile_pattern(pattern).fullmatch(value) is not None


def escape_literal(text: str) -> str:
    """Return the pattern that matches this text and nothing else."""
    escaped: str = re2.escape(text)
    return escaped


def find_pattern_error(pattern: str) -> str | None:
    """Return the reason why an operator's pattern is refused, `None` if it is accepted.

    RE2's usual memory has to do for it: only patterns of our own making, of a template's values, may take more.
    """
    try:
        re2.compile(pattern, _quiet_options())
    except re2.error as error:
        reason = error.args[0] if error.args else "not a pattern"
        return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
    return None


def _quiet_options() -> Any:
    options = re2.Options()
    # RE2 would print what it refuses to standard error, beside the located problem that is made of it.
    options.log_errors = False
    return options
