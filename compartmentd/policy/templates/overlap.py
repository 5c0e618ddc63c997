"""Finds rooms that two templates share, and strings that a template reads in two ways, each with an example.

Both searches walk over pairs of states that read the same string, the shortest string (in bytes) first. So an
example is as short as possible, and no string longer than a room name is considered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from compartmentd.policy.model import Param, RoomTemplate, Text
from compartmentd.policy.templates.automaton import Automaton, build_automaton
from compartmentd.policy.templates.charset import MAX_ROOM_BYTES, intersection, pick_specimen
from compartmentd.policy.templates.prefilter import find_compatible_pairs
from compartmentd.policy.templates.repeats import can_be_cut_into_known_parts, find_collision
from compartmentd.policy.templates.shape import build_shape

_Pair: TypeAlias = tuple[int, int, bool]
"""The states of two automata after the same string, and whether they read it differently."""

_Step: TypeAlias = tuple[int, str, _Pair]
"""The bytes of a character, the character, and the pair of states after it."""


class Ambiguity(NamedTuple):
    """A text with more than one reading; `example` is a string with two, or `None` if only no proof was found."""

    example: str | None


def find_ambiguity(
    pattern: Text, params: Mapping[str, Param], *, limit: int | None = None
) -> Ambiguity | None:
    """Return how a text can be read with two different sets of values, or `None` if it cannot.

    Args:
        pattern: The text.
        params: Its parameters by name.
        limit: The greatest length of the string in bytes. By default the length of a room name and of the literals
            together, which fits strings that are filled from a room's parameters.
    """
    names = pattern[1::2]
    if len(set(names)) < 2:
        return None
    shape = build_shape(pattern, params)
    if shape.can_be_cut() or shape.mirror().can_be_cut():
        return None
    repeated = len(set(names)) < len(names)
    if repeated and can_be_cut_into_known_parts(pattern, params):
        return None
    literals = len("".join(pattern[::2]).encode(errors="surrogatepass"))
    longest = MAX_ROOM_BYTES + literals if limit is None else limit
    automaton = Automaton(pattern, params)
    example = _find_shortest(automaton, automaton, differing=True, limit=longest)
    if example is None:
        return None
    return Ambiguity(find_collision(pattern, params) if repeated else example)


def find_template_ambiguity(template: RoomTemplate) -> str | None:
    """Return a room that a template reads in two ways, or `None` if there is none."""
    params = {param.name: param for param in template.params}
    found = find_ambiguity(template.pattern, params, limit=MAX_ROOM_BYTES)
    return None if found is None else found.example  # a parameter stands once in a template, so there is one


def find_example(pattern: Text, params: Mapping[str, Param]) -> str | None:
    """Return the shortest room that the text matches, or `None` if it matches no room name."""
    automaton = Automaton(pattern, params)
    return find_shared_room(automaton, automaton)


def find_conflicts(templates: Sequence[RoomTemplate]) -> Iterator[tuple[RoomTemplate, RoomTemplate, str]]:
    """Yield the pairs of templates (in the order given) that share a room, each with an example.

    A template without parameters takes precedence over one with parameters, so such a pair is no conflict. Literals
    rule out most pairs; only the rest is searched.
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
        room = find_shared_room(automaton(left), automaton(right))
        if room is not None:
            yield templates[left], templates[right], room


def find_reached_templates(
    room: Text, params: Mapping[str, Param], templates: Iterable[RoomTemplate]
) -> list[RoomTemplate]:
    """Return the templates that can match a room written with placeholders, as in `member_of`."""
    start = Automaton(room, params)
    return [
        template for template in templates if find_shared_room(start, build_automaton(template)) is not None
    ]


def find_shared_room(left: Automaton, right: Automaton) -> str | None:
    """Return the shortest room that both read, or `None` if there is none."""
    return _find_shortest(left, right, differing=False, limit=MAX_ROOM_BYTES)


def _find_twins(templates: Sequence[RoomTemplate]) -> Iterator[tuple[RoomTemplate, RoomTemplate, str]]:
    """Yield the pairs of templates without parameters that are the same room."""
    seen: dict[Text, RoomTemplate] = {}
    for template in templates:
        if not template.params and seen.setdefault(template.pattern, template) is not template:
            yield seen[template.pattern], template, template.pattern[0]


def _find_shortest(left: Automaton, right: Automaton, *, differing: bool, limit: int) -> str | None:
    """Return the shortest string that both read, or `None`; if `differing`, with a character in different segments.

    Strings are tried by length in bytes: `waiting[n]` holds the pairs of states that are reached with n bytes, each
    with the pair before it and the character between.
    """
    waiting: dict[int, list[tuple[_Pair, _Pair | None, str]]] = {0: [((0, 0, False), None, "")]}
    came: dict[_Pair, tuple[_Pair | None, str]] = {}
    while waiting:
        length = min(waiting)  # of at most four: a character has up to four bytes
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
