"""Where in a token a claim is: the names that lead to it, from the top."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

ClaimPath: TypeAlias = tuple[str, ...]
"""One name at least. A name is never split: a claim may have a dot or a slash in its name."""

UNREADABLE: Final[Any] = object()
"""Stands for the value at a path that leads through a value which is not an object; it equals nothing else."""


def read_claim(claims: Mapping[str, Any], path: ClaimPath) -> Any:
    """Return the value at a path: `None` where nothing or null is there, else the value or `UNREADABLE`."""
    value = claims.get(path[0])
    for name in path[1:]:
        if value is None:
            return None
        if not isinstance(value, dict):
            return UNREADABLE
        value = value.get(name)
    return value


def describe_path(path: ClaimPath) -> str:
    """Return a path as it is written in a configuration: a name, or a list of names."""
    return path[0] if len(path) == 1 else f"[{', '.join(path)}]"
