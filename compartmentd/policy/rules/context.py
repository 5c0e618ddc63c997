"""What the rules of one decision look at, and what each rule comes to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol, TypeAlias

import msgspec

from compartmentd.policy.decision import Reason, Truth
from compartmentd.policy.model import Filled, Rule, Text, Value
from compartmentd.policy.principal import Principal
from compartmentd.policy.rules.comparisons import Readings
from compartmentd.policy.templates.matching import NO_PARAMETERS, Signature


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What a rule came to.

    `scopes_alone` tells, of a rule that is not true, that every condition to blame is a scope condition that
    does not stand under a `not`. `until` is the first moment at which time alone could change `truth`.
    """

    truth: Truth
    reason: Reason
    scopes_alone: bool = False
    until: float | None = None


class CompiledRule(Protocol):
    """A rule made ready to be judged again and again: what is the same each time is worked out beforehand."""

    def evaluate(self, context: EvaluationContext) -> Verdict:
        """Return what the rule comes to; raises nothing, but for a stack that is too deep."""


class RuleSource(Protocol):
    """Gives rules that are ready."""

    def get_compiled(self, rule: Rule) -> CompiledRule:
        """Return the rule, ready."""

    def find_named(self, name: str) -> CompiledRule | None:
        """Return what a name stands for, ready, or `None` where it stands for nothing."""

    def list_names_used_by(self, name: str) -> Sequence[str]:
        """Return the names that the named rule refers to."""


class EvaluationContext(msgspec.Struct, gc=False):
    """All that the rules of one decision look at; named rules are judged once and remembered here.

    A struct, and one that the collector does not follow, since it is made for each decision and dies with it:
    80 ns, where an object with an `__init__` took 220.
    """

    rules: RuleSource
    who: Principal
    now: float
    by_server: bool = False
    room: str | None = None
    memberships: Collection[str] = ()
    signature: Signature = NO_PARAMETERS
    values: tuple[str, ...] = ()
    verdicts: dict[str, Verdict] | None = None

    def get_value(self, name: str) -> str:
        """Return a parameter's value; raises `ValueError` where there is none of that name."""
        return self.values[self.signature.names.index(name)]

    def get_readings(self, name: str) -> Readings:
        """Return what a parameter's value can be taken for: an integer is its decimal form, too."""
        names, integers = self.signature
        value = self.values[names.index(name)]
        return (int(value), value) if name in integers else (value,)

    def evaluate_named(self, name: str) -> Verdict:
        """Return what a named rule comes to, which is judged when it is first asked for."""
        verdicts = self.verdicts
        if verdicts is None:
            verdicts = self.verdicts = {}
        elif name in verdicts:
            return verdicts[name]
        if self.rules.list_names_used_by(name):
            self._evaluate_in_order(name, verdicts)
        else:
            verdicts[name] = self._evaluate_body(name)
        return verdicts[name]

    def _evaluate_in_order(self, name: str, verdicts: dict[str, Verdict]) -> None:
        """Judge a named rule after those that it uses, so a long chain of names needs no deep stack."""
        waiting, entered = [name], set()
        while waiting:
            top = waiting[-1]
            if top in verdicts:
                waiting.pop()
                continue
            missing = [each for each in self.rules.list_names_used_by(top) if each not in verdicts]
            if not missing:
                verdicts[top] = self._evaluate_body(top)
            elif top in entered:  # a rule that uses itself; the compiler refuses it
                verdicts[top] = build_unknown_verdict(None)
            else:
                entered.add(top)
                waiting += missing

    def _evaluate_body(self, name: str) -> Verdict:
        body = self.rules.find_named(name)
        return build_unknown_verdict(None) if body is None else body.evaluate(self)


TextFiller: TypeAlias = Callable[[EvaluationContext], str]
"""Puts the values of a context into a text; raises `ValueError` where a parameter has none."""


def compile_text(text: Text) -> TextFiller:
    """Return what puts the values in the places of their parameters."""
    if len(text) == 1:
        (constant,) = text
        return lambda _context: constant
    if len(text) == 3:
        before, name, behind = text
        return lambda context: f"{before}{context.get_value(name)}{behind}"

    def filled(context: EvaluationContext) -> str:
        parts = list(text)
        parts[1::2] = [context.get_value(each) for each in text[1::2]]
        return "".join(parts)

    return filled


def compile_value(value: Value) -> Callable[[EvaluationContext], Readings]:
    """Return what gives, in a context, what a test's value can be taken for; one with placeholders is filled in."""
    if not isinstance(value, Filled):
        constant = (value,)
        return lambda _context: constant
    if len(value.parts) == 3 and not value.parts[0] and not value.parts[2]:
        name = value.parts[1]
        return lambda context: context.get_readings(
            name
        )  # the placeholder stands alone, so it keeps the parameter's type
    filled = compile_text(value.parts)
    return lambda context: (filled(context),)


FAILED = "the condition could not be decided"


def build_unknown_verdict(rule: Rule | None) -> Verdict:
    """Return the verdict on a rule that could not be judged; asks nothing of the rule but its place."""
    return Verdict(Truth.UNKNOWN, Reason(FAILED, Truth.UNKNOWN, getattr(rule, "span", None)))
