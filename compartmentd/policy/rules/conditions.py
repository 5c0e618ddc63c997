"""Conditions, the leaves of rules: on the token, its scopes and claims, parameters and memberships.

The result of a condition is mostly plain true or plain false, so these two verdicts, with their reasons, are kept
once they are built: describing and building them each time took a third of a decision.
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
    OfIssuer,
    Parameter,
    Public,
    Rule,
    Scopes,
)
from compartmentd.policy.principal import is_claim_elsewhere
from compartmentd.policy.rules import comparisons
from compartmentd.policy.rules.comparisons import FALSE_RESULT, TRUE_RESULT, Result
from compartmentd.policy.rules.context import (
    EvaluationContext,
    Verdict,
    build_unknown_verdict,
    compile_text,
    compile_value,
)
from compartmentd.policy.rules.describe import describe_missing_claim, describe_rule

_NO_TOKEN = Result(Truth.UNKNOWN, "there is no token")
_MOVED = Result(Truth.UNKNOWN, "the provider did not put the claim into the token (overage)")
_NO_OBJECT = Result(Truth.UNKNOWN, "the path leads through a value that is not an object")
_UNCERTAIN = Result(Truth.UNKNOWN, "a claim that lists scopes has the wrong type or is not in the token")


class Condition(ABC):
    """A compiled condition; each subclass implements `check`."""

    __slots__ = ("false_verdict", "rule", "true_verdict")

    SCOPE = False
    """Whether this is a scope condition: only those are blamed with `scope_missing`."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.true_verdict: Verdict | None = None
        self.false_verdict: Verdict | None = None

    @abstractmethod
    def check(self, context: EvaluationContext) -> Result:
        """Return the result of the condition; an exception counts as unknown."""

    def evaluate(self, context: EvaluationContext) -> Verdict:
        """Return the verdict on the condition, with its reason."""
        try:
            result = self.check(context)
            if result is TRUE_RESULT:
                if self.true_verdict is None:
                    self.true_verdict = self._build_verdict(TRUE_RESULT)
                return self.true_verdict
            if result is FALSE_RESULT:
                if self.false_verdict is None:
                    self.false_verdict = self._build_verdict(FALSE_RESULT)
                return self.false_verdict
            return self._build_verdict(result)
        except Exception:  # noqa: BLE001 - whatever the cause, it is unknown, and unknown never allows
            return build_unknown_verdict(self.rule)

    def _build_verdict(self, result: Result) -> Verdict:
        """Return the verdict that a result gives."""
        parts = (Reason(result.why, result.truth),) if result.why else ()
        reason = Reason(describe_rule(self.rule), result.truth, self.rule.span, parts)
        return Verdict(result.truth, reason, self.SCOPE, result.until)


class _Public(Condition):
    __slots__ = ()

    def check(self, _context: EvaluationContext) -> Result:
        return TRUE_RESULT


class _Nobody(Condition):
    __slots__ = ()

    def check(self, _context: EvaluationContext) -> Result:
        return FALSE_RESULT


class _Authenticated(Condition):
    __slots__ = ()

    def check(self, context: EvaluationContext) -> Result:
        return FALSE_RESULT if context.who.subject is None else TRUE_RESULT


class _Members(Condition):
    __slots__ = ()

    def check(self, context: EvaluationContext) -> Result:
        return (
            TRUE_RESULT if context.room is not None and context.room in context.memberships else FALSE_RESULT
        )


class _ByServer(Condition):
    __slots__ = ()

    def check(self, context: EvaluationContext) -> Result:
        return TRUE_RESULT if context.by_server is True else FALSE_RESULT


class _MemberOf(Condition):
    __slots__ = ("room",)

    def __init__(self, rule: MemberOf) -> None:
        super().__init__(rule)
        self.room = compile_text(rule.room)

    def check(self, context: EvaluationContext) -> Result:
        return TRUE_RESULT if self.room(context) in context.memberships else FALSE_RESULT


class _Scopes(Condition):
    __slots__ = ("every", "scopes")

    SCOPE = True

    def __init__(self, rule: Scopes) -> None:
        super().__init__(rule)
        self.every = rule.every
        self.scopes = [compile_text(scope) for scope in rule.scopes]

    def check(self, context: EvaluationContext) -> Result:
        who = context.who
        if who.subject is None:
            return _NO_TOKEN
        found = [scope(context) in who.scopes for scope in self.scopes]
        if found and (all(found) if self.every else True in found):
            return TRUE_RESULT
        return _UNCERTAIN if who.scopes_uncertain or not found else FALSE_RESULT


class _OfIssuer(Condition):
    __slots__ = ("names",)

    def __init__(self, rule: OfIssuer) -> None:
        super().__init__(rule)
        self.names = frozenset(rule.names)

    def check(self, context: EvaluationContext) -> Result:
        subject = context.who.subject
        if subject is None:
            return _NO_TOKEN
        return TRUE_RESULT if subject.entry in self.names else FALSE_RESULT


class _Claim(Condition):
    __slots__ = ("holds", "name", "path", "rest", "test")

    def __init__(self, rule: Claim) -> None:
        super().__init__(rule)
        self.path = rule.path
        first, *rest = rule.path
        (self.name,) = first  # the first item has no placeholders
        self.rest = [compile_text(item) for item in rest]
        self.test = rule.test
        self.holds = comparisons.compile_test(rule.test, compile_value)

    def check(self, context: EvaluationContext) -> Result:
        who = context.who
        if who.subject is None:
            return _NO_TOKEN
        value: Any = who.claims.get(self.name)
        if value is None:
            if is_claim_elsewhere(who.claims, self.name):
                return _MOVED
            return comparisons.evaluate_absent(self.test, describe_missing_claim(self.path, 0))
        for depth, item in enumerate(self.rest, 1):
            if not isinstance(value, dict):
                return _NO_OBJECT
            value = value.get(item(context))
            if value is None:
                return comparisons.evaluate_absent(self.test, describe_missing_claim(self.path, depth))
        return self.holds((value,), context, context.now)


class _Parameter(Condition):
    __slots__ = ("holds", "name")

    def __init__(self, rule: Parameter) -> None:
        super().__init__(rule)
        self.name = rule.name
        self.holds = comparisons.compile_test(rule.test, compile_value)

    def check(self, context: EvaluationContext) -> Result:
        return self.holds(context.get_readings(self.name), context, context.now)


CONDITIONS: dict[type, type[Condition]] = {
    Public: _Public,
    Nobody: _Nobody,
    Authenticated: _Authenticated,
    Members: _Members,
    ByServer: _ByServer,
    MemberOf: _MemberOf,
    Scopes: _Scopes,
    OfIssuer: _OfIssuer,
    Claim: _Claim,
    Parameter: _Parameter,
}
"""The compiled form of each kind of condition."""
