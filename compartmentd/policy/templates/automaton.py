"""A template, or any text with placeholders, as a small nondeterministic automaton over code points.

A move reads one character and carries the segment of the text (literal or parameter, counted from 0) that the
character belongs to: two readings of a string differ exactly if some character belongs to different segments.
Counts are unrolled into states; a count beyond the length of a room name is a loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from compartmentd.policy.model import CharClass, IntegerParam, Param, PatternParam, RoomTemplate, Text
from compartmentd.policy.templates.charset import MAX_ROOM_BYTES, ROOM_CHARACTERS, Ranges, intersection
from compartmentd.policy.templates.integers import spell_integers


class Transition(NamedTuple):
    """Reads one character of `ranges`, as part of a segment, and leads to the state `target`."""

    ranges: Ranges
    segment: int
    target: int


class Automaton:
    """States are numbers; 0 is the initial state, `final` the accepting one.

    `moves` and `accepts` follow silent moves (those that read nothing), so a caller sees none of them.
    """

    def __init__(self, pattern: Text, params: Mapping[str, Param]) -> None:
        self._moves: list[list[Transition]] = [[]]
        self._silent: list[list[int]] = [[]]
        self._seen: dict[int, tuple[tuple[Transition, ...], bool]] = {}
        self.final = self._add_text(pattern, params)

    def moves(self, state: int) -> tuple[Transition, ...]:
        """Return the moves that are possible in a state."""
        return self._resolve(state)[0]

    def accepts(self, state: int) -> bool:
        """Return whether the text may end in a state."""
        return self._resolve(state)[1]

    def _resolve(self, state: int) -> tuple[tuple[Transition, ...], bool]:
        known = self._seen.get(state)
        if known is None:
            reached = self._follow_silent_moves(state)
            moves = tuple(move for each in sorted(reached) for move in self._moves[each])
            known = self._seen[state] = (moves, self.final in reached)
        return known

    def _follow_silent_moves(self, state: int) -> set[int]:
        # Silent moves lead only to states that were added later, so this ends.
        reached, waiting = {state}, [state]
        while waiting:
            targets = self._silent[waiting.pop()]
            reached.update(targets)
            waiting += targets
        return reached

    # --- building: each method takes the state to begin in and returns the state where it ends ---

    def _add_state(self) -> int:
        self._moves.append([])
        self._silent.append([])
        return len(self._moves) - 1

    def _add_move(self, state: int, ranges: Ranges, segment: int, target: int) -> None:
        possible = intersection(ranges, ROOM_CHARACTERS)
        if possible:
            self._moves[state].append(Transition(possible, segment, target))

    def _add_step(self, state: int, ranges: Ranges, segment: int) -> int:
        target = self._add_state()
        self._add_move(state, ranges, segment, target)
        return target

    def _add_text(self, pattern: Text, params: Mapping[str, Param]) -> int:
        state = 0
        for segment, part in enumerate(pattern):
            state = (
                self._add_param(state, params[part], segment)
                if segment % 2
                else self._add_word(state, part, segment)
            )
        return state

    def _add_word(self, state: int, word: str, segment: int) -> int:
        for character in word:
            state = self._add_step(state, ((ord(character), ord(character)),), segment)
        return state

    def _add_param(self, state: int, param: Param, segment: int) -> int:
        if isinstance(param, PatternParam):
            for item in param.items:
                state = self._add_item(state, item, segment)
            return state
        if isinstance(param, IntegerParam):
            options: list[tuple[Ranges, ...]] = [
                tuple(((ord(a), ord(b)),) for a, b in spelling) for spelling in spell_integers(param)
            ]
        else:
            options = [tuple(((ord(c), ord(c)),) for c in value) for value in param.values]
        return self._add_choice(state, options, segment)

    def _add_item(self, state: int, item: CharClass, segment: int) -> int:
        for _ in range(item.least):
            state = self._add_step(state, item.ranges, segment)
        # A new state: a loop on the state before it would also be open to the parts that end there.
        state = self._add_silent_move(state)
        if item.most is None or item.most >= MAX_ROOM_BYTES:
            self._add_move(state, item.ranges, segment, state)
            return self._add_silent_move(state)
        steps = [state]
        for _ in range(item.most - item.least):
            steps.append(self._add_step(steps[-1], item.ranges, segment))
        for step in steps[:-1]:
            self._silent[step].append(steps[-1])
        return steps[-1]

    def _add_silent_move(self, state: int) -> int:
        target = self._add_state()
        self._silent[state].append(target)
        return target

    def _add_choice(self, state: int, options: list[tuple[Ranges, ...]], segment: int) -> int:
        """Add one path for each option; options with a common prefix share its states."""
        end = self._add_state()
        shared: dict[tuple[int, Ranges], int] = {}
        for option in dict.fromkeys(options):
            at = state
            for ranges in option:
                if (at, ranges) not in shared:
                    shared[at, ranges] = self._add_step(at, ranges, segment)
                at = shared[at, ranges]
            self._silent[at].append(end)
        return end


def build_automaton(template: RoomTemplate) -> Automaton:
    """Return the automaton of the rooms that a template declares."""
    return Automaton(template.pattern, {param.name: param for param in template.params})
