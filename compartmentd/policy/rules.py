"""Rules as three-valued logic (Kleene's), each with its reasons, whom to blame, and until when it holds.

    all   false if a part is false, else unknown if a part is unknown, else true
    any   true if a part is true, else unknown if a part is unknown, else false
    not   of unknown is unknown

Only true allows. Whatever goes wrong while a rule is evaluated is unknown, so no failure becomes permission.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from compartmentd.policy import values
from compartmentd.policy.decision import Reason, Truth
from compartmentd.policy.model import (
    All,
    AnyOf,
    Authenticated,
    ByServer,
    Claim,
    Filled,
    IntegerParam,
    MemberOf,
    Members,
    Named,
    Nobody,
    Not,
    Parameter,
    Public,
    Rule,
    Scopes,
    Value,
)
from compartmentd.policy.principal import Principal, moved_elsewhere
from compartmentd.policy.text import fill
from compartmentd.policy.values import Readings, Result
from compartmentd.policy.wording import missing, worded

TRUE, FALSE, UNKNOWN = Truth.TRUE, Truth.FALSE, Truth.UNKNOWN

_HELD = Result(TRUE)
_NOT_HELD = Result(FALSE)
_NO_TOKEN = Result(UNKNOWN, "there is no token")
_MOVED = Result(UNKNOWN, "the provider did not put the claim into the token (overage)")
_NO_OBJECT = Result(UNKNOWN, "the path meets something else than an object before its end")
_UNCERTAIN = Result(UNKNOWN, "a claim that scopes are taken from is of the wrong type or not in the token")
_FAILED = Result(UNKNOWN, "the condition could not be decided")


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What a rule came to.

    `scopes_alone` tells, of a rule that is not true, that every condition to blame is a scope condition that
    does not stand under a `not`. `until` is the first moment at which time alone could change `truth`.
    """

    truth: Truth
    reason: Reason
    scopes_alone: bool = False
    until: float | None = None


class Scene:
    """All that the rules of one decision look at; named rules are evaluated once and remembered here."""

    __slots__ = (
        "by_server",
        "memberships",
        "named",
        "now",
        "params",
        "room",
        "rules",
        "uses",
        "values",
        "who",
    )

    def __init__(
        self,
        who: Principal,
        now: float,
        rules: Mapping[str, Rule],
        uses: Mapping[str, Sequence[str]],
    ) -> None:
        self.who = who
        self.now = now
        self.rules = rules
        self.uses = uses
        self.named: dict[str, Verdict] = {}
        self.room: str | None = None
        self.by_server = False
        self.memberships: Collection[str] = ()
        self.params: Sequence[Any] = ()
        self.values: Mapping[str, str] = {}

    def readings(self, value: Value) -> Readings:
        """Return what a test's value can be taken for; a string with placeholders is filled in."""
        if not isinstance(value, Filled):
            return (value,)
        first, *rest = value.parts
        if not first and len(rest) == 2 and not rest[1]:
            return self.param(rest[0])  # the placeholder stands alone, so it keeps the parameter's type
        return (fill(value.parts, self.values),)

    def param(self, name: str) -> Readings:
        """Return what a parameter's value can be taken for: an integer is its decimal form, too."""
        value = self.values[name]
        if any(param.name == name and isinstance(param, IntegerParam) for param in self.params):
            return (int(value), value)
        return (value,)

    def settle(self, name: str) -> Verdict:
        """Evaluate a named rule after those that it uses, so a long chain of names needs no deep stack."""
        if name in self.rules and not self.uses.get(name):
            verdict = self.named[name] = evaluate(self.rules[name], self)
            return verdict
        waiting, entered = [name], set()
        while waiting:
            top = waiting[-1]
            if top in self.named:
                waiting.pop()
                continue
            missing = [each for each in self.uses.get(top, ()) if each not in self.named]
            if not missing:
                self.named[top] = evaluate(self.rules[top], self) if top in self.rules else _undecided(None)
            elif top in entered:  # a rule that uses itself; the compiler refuses it
                self.named[top] = _undecided(None)
            else:
                entered.add(top)
                waiting += missing
        return self.named[name]


def evaluate(rule: Rule, scene: Scene) -> Verdict:
    """Return what the rule comes to; never raises."""
    try:
        return _RULES[type(rule)](rule, scene)
    except Exception:  # noqa: BLE001 - whatever went wrong, the condition is unknown, and unknown never allows
        return _undecided(rule)


def all_of(verdicts: Sequence[Verdict], reason: Callable[[Truth, tuple[Reason, ...]], Reason]) -> Verdict:
    """Combine the parts of an `all`, of which there is at least one."""
    if len(verdicts) == 1:
        (only,) = verdicts
        return Verdict(only.truth, reason(only.truth, (only.reason,)), only.scopes_alone, only.until)
    to_blame = [verdict for verdict in verdicts if verdict.truth is not TRUE]
    if not to_blame:
        parts = tuple(verdict.reason for verdict in verdicts)
        return Verdict(TRUE, reason(TRUE, parts), until=earliest(v.until for v in verdicts))
    false = [verdict for verdict in to_blame if verdict.truth is FALSE]
    truth = FALSE if false else UNKNOWN
    return Verdict(
        truth,
        reason(truth, tuple(verdict.reason for verdict in to_blame)),
        all(verdict.scopes_alone for verdict in to_blame),
        _latest(verdict.until for verdict in false) if false else earliest(v.until for v in verdicts),
    )


def earliest(moments: Iterable[float | None]) -> float | None:
    """Return the first of the moments; `None` is one that never comes."""
    return min((moment for moment in moments if moment is not None), default=None)


def _latest(moments: Iterable[float | None]) -> float | None:
    last = None
    for moment in moments:
        if moment is None:
            return None
        last = moment if last is None else max(last, moment)
    return last


def _undecided(rule: Rule | None) -> Verdict:
    """Return the verdict on a rule that could not be evaluated; asks nothing of the rule but its place."""
    return Verdict(UNKNOWN, Reason(_FAILED.why, UNKNOWN, getattr(rule, "span", None)))


# --- conditions ---


def _constant(rule: Rule, truth: Truth) -> Verdict:
    return Verdict(truth, Reason(worded(rule), truth, rule.span))


def _condition(rule: Rule, result: Result, *, scope: bool = False) -> Verdict:
    parts = (Reason(result.why, result.truth),) if result.why else ()
    return Verdict(result.truth, Reason(worded(rule), result.truth, rule.span, parts), scope, result.until)


def _truth(held: bool) -> Truth:
    return TRUE if held else FALSE


def _public(rule: Public, _scene: Scene) -> Verdict:
    return _constant(rule, TRUE)


def _nobody(rule: Nobody, _scene: Scene) -> Verdict:
    return _constant(rule, FALSE)


def _authenticated(rule: Authenticated, scene: Scene) -> Verdict:
    return _constant(rule, _truth(scene.who.subject is not None))


def _members(rule: Members, scene: Scene) -> Verdict:
    return _constant(rule, _truth(scene.room is not None and scene.room in scene.memberships))


def _by_server(rule: ByServer, scene: Scene) -> Verdict:
    return _constant(rule, _truth(scene.by_server is True))


def _member_of(rule: MemberOf, scene: Scene) -> Verdict:
    return _constant(rule, _truth(fill(rule.room, scene.values) in scene.memberships))


def _scopes(rule: Scopes, scene: Scene) -> Verdict:
    return _condition(rule, _scopes_held(rule, scene), scope=True)


def _scopes_held(rule: Scopes, scene: Scene) -> Result:
    who = scene.who
    if who.subject is None:
        return _NO_TOKEN
    held = [fill(scope, scene.values) in who.scopes for scope in rule.scopes]
    if held and (all(held) if rule.every else any(held)):
        return _HELD
    return _UNCERTAIN if who.scopes_uncertain or not held else _NOT_HELD


def _claim(rule: Claim, scene: Scene) -> Verdict:
    return _condition(rule, _claim_result(rule, scene))


def _claim_result(rule: Claim, scene: Scene) -> Result:
    if scene.who.subject is None:
        return _NO_TOKEN
    value: Any = scene.who.claims
    for depth, item in enumerate(rule.path):
        name = fill(item, scene.values)
        if depth and not isinstance(value, dict):
            return _NO_OBJECT
        inner = value.get(name)
        if inner is None:
            if not depth and moved_elsewhere(value, name):
                return _MOVED
            return values.absent(rule.test, missing(rule.path, depth))
        value = inner
    return values.hold(rule.test, (value,), scene.readings, scene.now)


def _parameter(rule: Parameter, scene: Scene) -> Verdict:
    return _condition(rule, values.hold(rule.test, scene.param(rule.name), scene.readings, scene.now))


# --- combinations ---


def _named(rule: Named, scene: Scene) -> Verdict:
    body = scene.named.get(rule.name) or scene.settle(rule.name)
    reason = Reason(worded(rule), body.truth, rule.span, (body.reason,))
    return Verdict(body.truth, reason, body.scopes_alone, body.until)


def _all(rule: All, scene: Scene) -> Verdict:
    if not rule.parts:  # the compiler refuses it; that nothing is asked for must not mean that all is well
        return _undecided(rule)
    verdicts = [evaluate(part, scene) for part in rule.parts]
    return all_of(verdicts, lambda truth, parts: Reason("all", truth, rule.span, parts))


def _any(rule: AnyOf, scene: Scene) -> Verdict:
    verdicts = []
    for part in rule.parts:
        verdict = evaluate(part, scene)
        if verdict.truth is TRUE and verdict.until is None:  # no other part can matter
            return Verdict(TRUE, Reason("any", TRUE, rule.span, (verdict.reason,)))
        verdicts.append(verdict)
    true = [verdict for verdict in verdicts if verdict.truth is TRUE]
    if true:
        reason = Reason("any", TRUE, rule.span, tuple(verdict.reason for verdict in true))
        return Verdict(TRUE, reason, until=_latest(verdict.until for verdict in true))
    unknown = not verdicts or any(verdict.truth is UNKNOWN for verdict in verdicts)
    truth = UNKNOWN if unknown else FALSE
    return Verdict(
        truth,
        Reason("any", truth, rule.span, tuple(verdict.reason for verdict in verdicts)),
        bool(verdicts) and all(verdict.scopes_alone for verdict in verdicts),
        earliest(verdict.until for verdict in verdicts),
    )


_NEGATED = {TRUE: FALSE, FALSE: TRUE, UNKNOWN: UNKNOWN}


def _not(rule: Not, scene: Scene) -> Verdict:
    part = evaluate(rule.part, scene)
    truth = _NEGATED[part.truth]
    return Verdict(truth, Reason("not", truth, rule.span, (part.reason,)), until=part.until)


_RULES: dict[type, Callable[..., Verdict]] = {
    Public: _public,
    Authenticated: _authenticated,
    Nobody: _nobody,
    Members: _members,
    ByServer: _by_server,
    Scopes: _scopes,
    Claim: _claim,
    Parameter: _parameter,
    MemberOf: _member_of,
    Named: _named,
    All: _all,
    AnyOf: _any,
    Not: _not,
}
