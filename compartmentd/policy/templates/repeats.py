"""Texts in which a placeholder stands more than once: whether two sets of values give the same string.

An automaton does not know that two parts of a string must be equal, so what it finds may be no string of the text.
A text is shown to be readable by cutting it at literals, or not to be by two sets of short values with one string.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from compartmentd.policy.model import Param, Text
from compartmentd.policy.templates.automaton import Automaton
from compartmentd.policy.templates.charset import Ranges, contains
from compartmentd.policy.templates.shape import Shape, build_shape

_MOST_COMBINATIONS = 20_000
"""Sets of values that are tried; each costs about a microsecond."""

_LONGEST_VALUE = 6
_MOST_CHARACTERS = 6


def can_be_cut_into_known_parts(pattern: Text, params: Mapping[str, Param]) -> bool:
    """Return whether literals cut the text into parts that each have at most one value that is not known yet.

    Of a part with one unknown value, however often it stands there, the length tells the value.
    """
    parts = _cut(pattern, build_shape(pattern, params))
    known: set[str] = set()
    while True:
        learnt = {name for part in parts if len(set(part) - known) == 1 for name in part} - known
        if not learnt:
            return known.issuperset(pattern[1::2])
        known |= learnt


def _cut(pattern: Text, shape: Shape) -> list[list[str]]:
    """Return the names of each part that ends at a literal whose first character no value before it contains."""
    parts: list[list[str]] = [[]]
    alphabets: list[Ranges] = []
    for name, alphabet, literal in zip(pattern[1::2], shape.alphabets, pattern[2::2], strict=True):
        parts[-1].append(name)
        alphabets.append(alphabet)
        if literal and not any(contains(each, ord(literal[0])) for each in alphabets):
            parts.append([])
            alphabets = []
    return [part for part in parts if part]


def find_collision(pattern: Text, params: Mapping[str, Param]) -> str | None:
    """Return the shortest string found that two sets of short values give, or `None` if none was found."""
    names = list(dict.fromkeys(pattern[1::2]))
    most = int(_MOST_COMBINATIONS ** (1 / len(names)))
    literals = "".join(pattern[::2])
    values = [list(_list_short_values(params[name], literals, most)) for name in names]
    seen: dict[str, Sequence[str]] = {}
    found: list[str] = []
    for each in product(*values):
        parts = list(pattern)
        chosen = dict(zip(names, each, strict=True))
        parts[1::2] = [chosen[name] for name in pattern[1::2]]
        text = "".join(parts)
        if text and seen.setdefault(text, each) != each:
            found.append(text)
    return min(found, key=lambda text: (len(text), text), default=None)


def _list_short_values(param: Param, literals: str, most: int) -> Iterator[str]:
    """Yield the shortest values of a parameter, of characters that stand in the literals or begin its ranges."""
    automaton = Automaton(("", param.name, ""), {param.name: param})
    waiting: list[tuple[int, str]] = [(0, "")]
    told: set[str] = set()
    for state, text in waiting:
        if automaton.accepts(state) and text not in told:
            told.add(text)
            yield text
        if len(told) >= most or len(waiting) > 50 * most:
            return
        if len(text) < _LONGEST_VALUE:
            for move in automaton.moves(state):
                waiting += [(move.target, text + character) for character in _pick(move.ranges, literals)]


def _pick(ranges: Ranges, literals: str) -> list[str]:
    chosen = [character for character in dict.fromkeys(literals) if contains(ranges, ord(character))]
    chosen += [chr(low) for low, _ in ranges]
    chosen += [chr(low + 1) for low, high in ranges if high > low]
    return list(dict.fromkeys(chosen))[:_MOST_CHARACTERS]
