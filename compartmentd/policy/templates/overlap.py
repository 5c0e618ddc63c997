"""Do two templates share a room, and can one string be read in two ways? Each answer comes with an example.

Both questions are a walk over pairs of states that read the same string, shortest string (in bytes) first, so
an example is as short as there is one, and a string longer than a room name can be is never considered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from compartmentd.policy.model import Param, RoomTemplate, Text
from compartmentd.policy.templates.automaton import Automaton, build_automaton
from compartmentd.policy.templates.charset import MAX_ROOM_BYTES, intersection, pick_specimen
from compartmentd.policy.templates.prefilter import find_compatible_pairs
from compartmentd.policy.templates.shape import build_shape

_Pair: TypeAlias = tuple[int, int, bool]
"""The states of two automata after the same string, and whether they read it differently."""

_Step: TypeAlias = tuple[int, str, _Pair]
"""The bytes of a character, the character, and the pair of states after it."""


def find_ambiguity(pattern: Text, params: Mapping[str, Param], *, limit: int | None = None) -> str | None:
    """Return a string that the text reads with two different sets of values, or `None` where there is none.

    `limit` is the longest string that counts, in bytes; without one, a room name's length and that of the
    literals together, which is right for strings that are filled from a room's parameters. A parameter that
    stands in the text more than once counts as several, unless it is the only one.
    """
    names = set(pattern[1::2])
    if len(names) < 2:
        return None
    shape = build_shape(pattern, params)
    if shape.can_be_cut() or shape.mirror().can_be_cut():
        return None
    literals = len("".join(pattern[::2]).encode(errors="surrogatepass"))
    longest = MAX_ROOM_BYTES + literals if limit is None else limit
    automaton = Automaton(pattern, params)
    return _find_shortest(automaton, automaton, differing=True, limit=longest)


def find_template_ambiguity(template: RoomTemplate) -> str | None:
    """Return a room that the template reads in two ways, or `None`."""
    params = {param.name: param for param in template.params}
    return find_ambiguity(template.pattern, params, limit=MAX_ROOM_BYTES)


def find_example(pattern: Text, params: Mapping[str, Param]) -> str | None:
    """Return the shortest room that the text describes, or `None` where no room name can have its form."""
    automaton = Automaton(pattern, params)
    return _find_shortest(automaton, automaton, differing=False, limit=MAX_ROOM_BYTES)


def find_conflicts(templates: Sequence[RoomTemplate]) -> Iterator[tuple[RoomTemplate, RoomTemplate, str]]:
    """Yield the pairs of templates (in the order given) that share a room, with an example.

    A template without parameters wins over one with, so such a pair is no conflict. Pairs are told apart by
    their literals first; only what these leave open is walked.
    """
    known: dict[int, Automaton] = {}

    def automaton(index: int) -> Automaton:
        if index not in known:
            known[index] = build_automaton(templates[index])
        return known[index]

    yield from _find_twins(templates)
    with_params = [index for index, template in enumerate(templates) if template.params]
    for first, second in find_compatible_pairs([templates[index] for index in with_params]):
        left, right = sorted((with_params[first], with_params[second]))
        room = _find_shortest(automaton(left), automaton(right), differing=False, limit=MAX_ROOM_BYTES)
        if room is not None:
            yield templates[left], templates[right], room


def find_reached_templates(
    room: Text, params: Mapping[str, Param], templates: Iterable[RoomTemplate]
) -> list[RoomTemplate]:
    """Return the templates that a room written with placeholders, as in `member_of`, can belong to."""
    start = Automaton(room, params)
    return [
        template
        for template in templates
        if _find_shortest(start, build_automaton(template), differing=False, limit=MAX_ROOM_BYTES) is not None
    ]


def _find_twins(templates: Sequence[RoomTemplate]) -> Iterator[tuple[RoomTemplate, RoomTemplate, str]]:
    """Yield the templates without parameters that are one and the same room."""
    seen: dict[Text, RoomTemplate] = {}
    for template in templates:
        if not template.params and seen.setdefault(template.pattern, template) is not template:
            yield seen[template.pattern], template, template.pattern[0]


def _find_shortest(left: Automaton, right: Automaton, *, differing: bool, limit: int) -> str | None:
    """Return the shortest string that both read, `differing` in the segment of some character, or `None`.

    Strings are tried by their length in bytes: `waiting[n]` holds what is reached with n bytes, each with the
    pair before and the character between.
    """
    waiting: dict[int, list[tuple[_Pair, _Pair | None, str]]] = {0: [((0, 0, False), None, "")]}
    came: dict[_Pair, tuple[_Pair | None, str]] = {}
    while waiting:
        length = min(waiting)  # of four at most: a character has no more bytes
        for pair, before, character in waiting.pop(length):
            if pair in came:
                continue
            came[pair] = (before, character)
            if pair[2] == differing and length and left.accepts(pair[0]) and right.accepts(pair[1]):
                return _spell(came, pair)
            for size, read, target in _list_steps(left, right, pair, differing=differing):
                if target not in came and length + size <= limit:
                    waiting.setdefault(length + size, []).append((target, pair, read))
    return None


def _list_steps(left: Automaton, right: Automaton, pair: _Pair, *, differing: bool) -> Iterator[_Step]:
    for one in left.moves(pair[0]):
        for other in right.moves(pair[1]):
            found = pick_specimen(intersection(one.ranges, other.ranges))
            if found is not None:
                differ = differing and (pair[2] or one.segment != other.segment)
                yield *found, (one.target, other.target, differ)


def _spell(came: Mapping[_Pair, tuple[_Pair | None, str]], pair: _Pair) -> str:
    characters = []
    at: _Pair | None = pair
    while at is not None:
        at, character = came[at]
        characters.append(character)
    return "".join(reversed(characters))
