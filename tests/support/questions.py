"""A condition that asks, for tests: `{scope: "ask:NAME"}` is unknown until the question NAME is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from compartmentd.policy.decision import Question, Reason, Truth
from compartmentd.policy.model import Scopes
from compartmentd.policy.rules import combinators
from compartmentd.policy.rules.context import CompiledRule, EvaluationContext, Verdict
from compartmentd.policy.rules.questions import UNANSWERED, build_pendency
from compartmentd.sessions.session import Session

PREFIX = "ask:"


def question(name: str) -> Question:
    return Question("test", name)


class HandAsker:
    """Keeps what is asked until the test answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[Question, Session, Callable[[bool | None], None]]] = []

    def ask(self, about: Question, session: Session, answered: Callable[[bool | None], None]) -> None:
        self.asked.append((about, session, answered))

    @property
    def names(self) -> list[str]:
        return [about.name for about, _, _ in self.asked]

    def answer(self, value: bool | None, index: int = 0) -> None:
        self.asked.pop(index)[2](value)


class Asking:
    """A compiled rule whose truth is an answer from outside."""

    def __init__(self, rule: Scopes, name: str) -> None:
        self.rule = rule
        self.question = question(name)

    def evaluate(self, context: EvaluationContext) -> Verdict:
        pendency = None
        if self.question not in context.answers:
            truth, pendency = Truth.UNKNOWN, build_pendency(self.question)
        elif (answer := context.answers[self.question]) is None:
            truth, pendency = Truth.UNKNOWN, UNANSWERED
        else:
            truth = Truth.TRUE if answer else Truth.FALSE
        return Verdict(truth, Reason(f"ask {self.question.name}", truth, self.rule.span), pendency=pendency)


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let scopes that begin with `ask:` be questions."""
    compile_scopes = combinators._RULES[Scopes]

    def compiled(rule: Any) -> CompiledRule:
        (first, *_), *_ = rule.scopes
        if first.startswith(PREFIX):
            return Asking(rule, first.removeprefix(PREFIX))
        return compile_scopes(rule)

    monkeypatch.setitem(combinators._RULES, Scopes, compiled)
