"""Conditions, the leaves of rules: who asks, scopes, claims, parameters, memberships.

A condition mostly comes to plain true or false, so these two verdicts, with their reasons, are kept once they were
made: to word and build them each time took a third of a decision.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from compartmentd.policy.decision import Reason, Truth
from compartmentd.policy.model import (
    Authenticated,
    ByServer,
    Claim,
    MemberOf,
    Members,
    Nobody,
    Parameter,
    Public,
    Rule,
    Scopes,
)
from compartmentd.policy.principal import moved_elsewhere
from compartmentd.policy.rules import comparisons
from compartmentd.policy.rules.comparisons import HELD, NOT_HELD, Result
from compartmentd.policy.rules.context import EvaluationContext, Verdict, filler, reader, undecided
from compartmentd.policy.rules.describe import missing, worded

_NO_TOKEN = Result(Truth.UNKNOWN, "there is no token")
_MOVED = Result(Truth.UNKNOWN, "the provider did not put the claim into the token (overage)")
_NO_OBJECT = Result(Truth.UNKNOWN, "the path meets something else than an object before its end")
_UNCERTAIN = Result(
    Truth.UNKNOWN, "a claim that scopes are taken from is of the wrong type or not in the token"
)


class Condition(ABC):
    """A condition made ready; a kind of condition says in `result` what it looks at."""

    __slots__ = ("held", "not_held", "rule")

    SCOPE = False
    """Whether the condition is one of scopes: those alone are blamed with `scope_missing`."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.held: Verdict | None = None
        self.not_held: Verdict | None = None

    @abstractmethod
    def result(self, context: EvaluationContext) -> Result:
        """Return what the condition comes to; whatever it raises is unknown."""

    def judge(self, context: EvaluationContext) -> Verdict:
        """Return what the condition comes to, with its reason."""
        try:
            result = self.result(context)
            if result is HELD:
                if self.held is None:
                    self.held = self._verdict(HELD)
                return self.held
            if result is NOT_HELD:
                if self.not_held is None:
                    self.not_held = self._verdict(NOT_HELD)
                return self.not_held
            return self._verdict(result)
        except Exception:  # noqa: BLE001 - whatever went wrong, it is unknown, and unknown never allows
            return undecided(self.rule)

    def _verdict(self, result: Result) -> Verdict:
        """Return a result as a verdict on this condition."""
        parts = (Reason(result.why, result.truth),) if result.why else ()
        reason = Reason(worded(self.rule), result.truth, self.rule.span, parts)
        return Verdict(result.truth, reason, self.SCOPE, result.until)


class _Public(Condition):
    __slots__ = ()

    def result(self, _scene: EvaluationContext) -> Result:
        return HELD


class _Nobody(Condition):
    __slots__ = ()

    def result(self, _scene: EvaluationContext) -> Result:
        return NOT_HELD


class _Authenticated(Condition):
    __slots__ = ()

    def result(self, context: EvaluationContext) -> Result:
        return NOT_HELD if context.who.subject is None else HELD


class _Members(Condition):
    __slots__ = ()

    def result(self, context: EvaluationContext) -> Result:
        return HELD if context.room is not None and context.room in context.memberships else NOT_HELD


class _ByServer(Condition):
    __slots__ = ()

    def result(self, context: EvaluationContext) -> Result:
        return HELD if context.by_server is True else NOT_HELD


class _MemberOf(Condition):
    __slots__ = ("room",)

    def __init__(self, rule: MemberOf) -> None:
        super().__init__(rule)
        self.room = filler(rule.room)

    def result(self, context: EvaluationContext) -> Result:
        return HELD if self.room(context) in context.memberships else NOT_HELD


class _Scopes(Condition):
    __slots__ = ("every", "scopes")

    SCOPE = True

    def __init__(self, rule: Scopes) -> None:
        super().__init__(rule)
        self.every = rule.every
        self.scopes = [filler(scope) for scope in rule.scopes]

    def result(self, context: EvaluationContext) -> Result:
        who = context.who
        if who.subject is None:
            return _NO_TOKEN
        held = [scope(context) in who.scopes for scope in self.scopes]
        if held and (all(held) if self.every else True in held):
            return HELD
        return _UNCERTAIN if who.scopes_uncertain or not held else NOT_HELD


class _Claim(Condition):
    __slots__ = ("holds", "name", "path", "rest", "test")

    def __init__(self, rule: Claim) -> None:
        super().__init__(rule)
        self.path = rule.path
        first, *rest = rule.path
        (self.name,) = first  # which holds no placeholders
        self.rest = [filler(item) for item in rest]
        self.test = rule.test
        self.holds = comparisons.prepared(rule.test, reader)

    def result(self, context: EvaluationContext) -> Result:
        who = context.who
        if who.subject is None:
            return _NO_TOKEN
        value: Any = who.claims.get(self.name)
        if value is None:
            if moved_elsewhere(who.claims, self.name):
                return _MOVED
            return comparisons.absent(self.test, missing(self.path, 0))
        for depth, item in enumerate(self.rest, 1):
            if not isinstance(value, dict):
                return _NO_OBJECT
            value = value.get(item(context))
            if value is None:
                return comparisons.absent(self.test, missing(self.path, depth))
        return self.holds((value,), context, context.now)


class _Parameter(Condition):
    __slots__ = ("holds", "name")

    def __init__(self, rule: Parameter) -> None:
        super().__init__(rule)
        self.name = rule.name
        self.holds = comparisons.prepared(rule.test, reader)

    def result(self, context: EvaluationContext) -> Result:
        return self.holds(context.param(self.name), context, context.now)


CONDITIONS: dict[type, type[Condition]] = {
    Public: _Public,
    Nobody: _Nobody,
    Authenticated: _Authenticated,
    Members: _Members,
    ByServer: _ByServer,
    MemberOf: _MemberOf,
    Scopes: _Scopes,
    Claim: _Claim,
    Parameter: _Parameter,
}
"""How each kind of condition is made ready."""
