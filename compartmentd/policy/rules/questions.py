"""Questions in rules: a condition that needs an answer from outside is unknown, and names its question.

A question is asked only if its answer can matter: `all` of a question and a false condition needs no answer,
nor does `any` of a question and a true one. Which answers matter depends on the direction, which `not`
reverses, so both are tracked: the answers that could make a rule true, and those that could make it false.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from compartmentd.policy.decision import Question


class Pendency(msgspec.Struct, frozen=True, gc=False):
    """How an unknown rule depends on questions.

    `to_hold` are the unanswered questions that could make the rule true, `to_fail` those that could make it false;
    empty if no answers could. `could_hold` and `could_fail` also take the questions into account that could not be
    answered: a rule that could hold is unknown only because of an outage.
    """

    to_hold: tuple[Question, ...]
    to_fail: tuple[Question, ...]
    could_hold: bool
    could_fail: bool

    def negate(self) -> Pendency:
        """Return the pendency of the negated rule."""
        return Pendency(self.to_fail, self.to_hold, self.could_fail, self.could_hold)


def build_pendency(question: Question) -> Pendency:
    """Return the pendency of a condition whose question has not been asked yet."""
    return Pendency((question,), (question,), could_hold=True, could_fail=True)


UNANSWERED = Pendency((), (), could_hold=True, could_fail=True)
"""The pendency of a condition whose question could not be answered: the hook failed or timed out."""


def combine_pendencies_of_all(undecided: Iterable[Pendency | None]) -> Pendency | None:
    """Return the pendency of an `all` without false parts, given the pendencies of its unknown parts.

    The whole becomes true if all of them become true, and false if one of them becomes false.
    """
    parts = list(undecided)
    known = [part for part in parts if part is not None]
    if not known:
        return None
    everywhere = len(known) == len(parts)
    to_hold = everywhere and all(part.to_hold for part in known)
    return Pendency(
        to_hold=_union(part.to_hold for part in known) if to_hold else (),
        to_fail=_union(part.to_fail for part in known),
        could_hold=everywhere and all(part.could_hold for part in known),
        could_fail=any(part.could_fail for part in known),
    )


def combine_pendencies_of_any(undecided: Iterable[Pendency | None]) -> Pendency | None:
    """Return the pendency of an `any` without true parts, given the pendencies of its unknown parts."""
    negated = combine_pendencies_of_all(None if part is None else part.negate() for part in undecided)
    return None if negated is None else negated.negate()


def _union(groups: Iterable[tuple[Question, ...]]) -> tuple[Question, ...]:
    return tuple(dict.fromkeys(question for group in groups for question in group))
