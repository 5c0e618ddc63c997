"""What a character of a text costs under a `pattern`.

A regular expression takes linear time, but its automaton may have too many states to be kept, and then each
character costs a step for each instruction of its program. Patterns that are small, or in which each character can
be read in one way only, have as few states as positions, and cost one step.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from compartmentd.util.regex import compile_pattern

_STEP, _INSTRUCTION = 2.0, 8.0
"""Nanoseconds for a character: a step of the automaton; and without one, an instruction."""

_SMALL = 12
"""Instructions up to which an automaton is small: a byte takes 2 ns with `[ab]*a[ab]{10}`, 180 with `{20}`."""

_CLASSES = {
    "d": frozenset("0123456789"),
    "w": frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"),
}
_ITEM = re.compile(
    r"""(?: (?P<literal> [^\\^$.|?*+()\[\]{}] )
          | \\ (?P<escaped> [dDsSwW\\^$.|?*+()\[\]{}/-] )
          | (?P<any> \. )
          | \[ (?P<not> \^ )? (?P<set> (?: [^\\\[\]^-] (?:-[^\\\[\]^-])? | \\[dsw\\^$.|?*+()\[\]{}/-] )+ -? ) \] )
        (?P<count> [?*+] | \{\d+(?:,\d*)?\} )?""",
    re.VERBOSE,
)
_MEMBER = re.compile(r"\\(?P<escaped>.)|(?P<first>.)-(?P<last>.)|(?P<single>.)", re.DOTALL)


class _Item(NamedTuple):
    """A set of characters and how often it stands there; `None` for a set that may overlap with any."""

    characters: frozenset[str] | None
    optional: bool
    varies: bool

    def overlaps(self, other: _Item) -> bool:
        """Return whether a character may be read as either."""
        if self.characters is None or other.characters is None:
            return True
        return not self.characters.isdisjoint(other.characters)


@lru_cache(maxsize=4096)
def estimate_character_cost(pattern: str) -> float:
    """Return the nanoseconds for each character of a text that is searched for a pattern of RE2."""
    size = compile_pattern(pattern).programsize
    if size <= _SMALL or _is_unambiguous(pattern):
        return _STEP
    return _INSTRUCTION * float(size)


def _is_unambiguous(pattern: str) -> bool:
    """Return whether a pattern is a sequence of sets of characters in which each text can be read in one way only.

    Groups and alternatives are not understood. A pattern that may begin anywhere is one only if it is a single set.
    """
    items = _split_items(pattern.removeprefix("^").removesuffix("$"))
    if items is None:
        return False
    if not pattern.startswith("^"):
        return len(items) <= 1 and not any(item.varies for item in items)
    for index, item in enumerate(items):
        if item.varies:
            for following in items[index + 1 :]:
                if item.overlaps(following):
                    return False
                if not following.optional:
                    break
    return True


def _split_items(text: str) -> list[_Item] | None:
    items: list[_Item] = []
    at = 0
    while at < len(text):
        found = _ITEM.match(text, at)
        if found is None:
            return None
        count = found["count"] or ""
        least, _, most = count.strip("{}").partition(",")
        varies = count in ("?", "*", "+") or ("," in count and least != most)
        optional = count in ("?", "*") or (count[:1] == "{" and int(least) == 0)
        items.append(_Item(_list_characters(found), optional, varies))
        at = found.end()
    return items


def _list_characters(found: re.Match[str]) -> frozenset[str] | None:
    if found["any"] or found["not"]:
        return None
    if found["set"]:
        members = [_list_members(member) for member in _MEMBER.finditer(found["set"])]
        known = [member for member in members if member is not None]
        return frozenset().union(*known) if len(known) == len(members) else None
    return _list_escaped(found["escaped"]) if found["escaped"] else _list_ascii(found["literal"])


def _list_members(found: re.Match[str]) -> frozenset[str] | None:
    if found["escaped"]:
        return _list_escaped(found["escaped"])
    if found["single"]:
        return _list_ascii(found["single"])
    first, last = ord(found["first"]), ord(found["last"])
    return frozenset(map(chr, range(first, last + 1))) if last < 0x80 else None


def _list_escaped(letter: str) -> frozenset[str] | None:
    return None if letter in "DsSW" else _CLASSES.get(letter, frozenset(letter))


def _list_ascii(character: str) -> frozenset[str] | None:
    return frozenset(character) if character.isascii() else None
