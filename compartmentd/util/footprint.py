"""The memory that JSON values take, and the names of members that many of them share.

Used for what is kept of verified tokens: its bound is in bytes, so it is counted from the values themselves. Tokens
of one provider have the same names of claims, and one string for each name is half of what their claims take.
"""

from __future__ import annotations

from sys import getsizeof
from typing import Any

MOST_NAMES = 4096
"""Names that are shared; further ones are kept by each object that has them, and counted with it."""

LONGEST_NAME = 64
"""Characters of a shared name. Names of claims are shorter, those that are URLs are not longer."""

# Not `sys.intern`: on Python 3.12 an interned string is never freed, and names come from clients.
_NAMES: dict[str, str] = {}


def share_names(members: dict[str, Any]) -> dict[str, Any]:
    """Return an equal object in which the names of members, at every depth of objects, are shared strings.

    Args:
        members: An object that is about to be kept; objects in lists are left as they are.
    """
    shared = {}
    for name, value in members.items():
        known = _NAMES.get(name)
        if known is None:
            known = name
            if len(_NAMES) < MOST_NAMES and len(name) <= LONGEST_NAME:
                _NAMES[name] = name
        shared[known] = share_names(value) if type(value) is dict else value
    return shared


def measure_memory(value: Any) -> int:
    """Return the bytes that a JSON value takes, without the names that are shared."""
    total = 0
    waiting = [value]
    while waiting:
        each = waiting.pop()
        total += getsizeof(each)
        if type(each) is dict:
            total += sum([getsizeof(name) for name in each if _NAMES.get(name) is not name])
            waiting += each.values()
        elif type(each) is list:
            waiting += each
    return total
