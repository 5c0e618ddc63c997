"""Questions in rules: a condition that needs an answer from outside is unknown, and says what to ask.

A question is asked only where its answer can matter: `all` of a question and of something false needs none, and
neither does `any` of a question and of something true. What matters depends on the direction, since `not` turns it
round, so both are followed: the answers that could make a rule true, and those that could make it false.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from compartmentd.policy.decision import Question


class Pendency(msgspec.Struct, frozen=True, gc=False):
    """How a rule that is unknown depends on questions.

    `to_hold` are the questions that are not answered yet and could make the rule true, `to_fail` those that could
    make it false; empty where no answers could. `could_hold` and `could_fail` say the same of all questions, those
    too that were asked in vain: a rule that could hold is unknown because of an outage, and not for good.
    """

    to_hold: tuple[Question, ...]
    to_fail: tuple[Question, ...]
    could_hold: bool
    could_fail: bool

    def negated(self) -> Pendency:
        """Return the same for `not`."""
        return Pendency(self.to_fail, self.to_hold, self.could_fail, self.could_hold)


def ask(question: Question) -> Pendency:
    """Return the pendency of a condition whose answer is not there yet."""
    return Pendency((question,), (question,), could_hold=True, could_fail=True)


ASKED_IN_VAIN = Pendency((), (), could_hold=True, could_fail=True)
"""The pendency of a condition whose question could not be answered: the hook fails, the time is over."""


def of_all(undecided: Iterable[Pendency | None]) -> Pendency | None:
    """Return the pendency of an `all`, given those of its parts that are unknown; no part is false.

    All of them have to become true for the whole to be true, one of them false for it to be false.
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


def of_any(undecided: Iterable[Pendency | None]) -> Pendency | None:
    """Return the pendency of an `any`, given those of its parts that are unknown; no part is true."""
    negated = of_all(None if part is None else part.negated() for part in undecided)
    return None if negated is None else negated.negated()


def _union(groups: Iterable[tuple[Question, ...]]) -> tuple[Question, ...]:
    return tuple(dict.fromkeys(question for group in groups for question in group))
