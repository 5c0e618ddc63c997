"""Rules as three-valued logic (Kleene's), each with its reasons, the parts to blame, and the time until it changes.

    all   false if a part is false, else unknown if a part is unknown, else true
    any   true if a part is true, else unknown if a part is unknown, else false
    not   of unknown is unknown

Only true allows. Any failure while a rule is evaluated gives unknown, so no failure becomes a permission.

A rule is compiled once, when it is first needed, and evaluated many times: finding the code for each part and
describing it took two thirds of a decision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from compartmentd.policy.decision import Reason, Truth
from compartmentd.policy.model import All, AnyOf, Named, Not, Rule
from compartmentd.policy.rules.conditions import CONDITIONS
from compartmentd.policy.rules.context import CompiledRule, EvaluationContext, Verdict, build_unknown_verdict
from compartmentd.policy.rules.questions import combine_pendencies_of_all, combine_pendencies_of_any
from compartmentd.problems import Span

TRUE, FALSE, UNKNOWN = Truth.TRUE, Truth.FALSE, Truth.UNKNOWN


MAX_COMPILED_RULES = 50_000
"""Compiled rules that are kept, at 1.5 KiB each, so that the rules of a hundred thousand templates take memory only
while they are in use. Compiling one takes some 20 µs."""


class CompiledRules:
    """The rules of one policy, each compiled when it is first needed.

    A compiled rule is found by the identity of its source, since comparing rules by value costs more than
    evaluating them. The source is kept beside it, so that no other rule can get the same identity.
    """

    __slots__ = ("_compiled", "_names_used", "_rules")

    def __init__(self, rules: Mapping[str, Rule], names_used: Mapping[str, Sequence[str]]) -> None:
        """Keep the named rules; `names_used` are the names that each of them refers to."""
        self._rules = rules
        self._names_used = names_used
        self._compiled: dict[int, tuple[CompiledRule, Rule]] = {}

    def get_compiled(self, rule: Rule) -> CompiledRule:
        """Return the compiled form of a rule."""
        known = self._compiled.get(id(rule))
        if known is None:
            if len(self._compiled) >= MAX_COMPILED_RULES:
                self._compiled.clear()
            known = self._compiled[id(rule)] = compile_rule(rule), rule
        return known[0]

    def find_named(self, name: str) -> CompiledRule | None:
        """Return the compiled rule of a name, or `None` if no rule has it."""
        rule = self._rules.get(name)
        return None if rule is None else self.get_compiled(rule)

    def iter_parts(self) -> Iterator[object]:
        """Yield the compiled rules, which can be numerous, so that they can be freed a few at a time."""
        return iter(self._compiled.values())

    def list_names_used_by(self, name: str) -> Sequence[str]:
        """Return the names of the rules that a named rule refers to."""
        return self._names_used.get(name, ())


def compile_rule(rule: Rule) -> CompiledRule:
    """Compile a rule; one that cannot be compiled evaluates to unknown."""
    try:
        return _RULES[type(rule)](rule)
    except Exception:  # noqa: BLE001 - whatever the cause, the rule is unknown, and unknown never allows
        return _UnknownRule(rule)


def combine_all(verdicts: Sequence[Verdict], text: str, span: Span) -> Verdict:
    """Combine the verdicts on the parts of an `all`.

    Args:
        verdicts: The verdicts, at least one.
        text: The text of the combined reason.
        span: The place of the combined reason.
    """
    if len(verdicts) == 1:
        (only,) = verdicts
        return Verdict(
            only.truth,
            Reason(text, only.truth, span, (only.reason,)),
            only.scopes_alone,
            only.until,
            only.pendency,
            only.blame_until,
        )
    to_blame = [verdict for verdict in verdicts if verdict.truth is not TRUE]
    if not to_blame:
        parts = tuple([verdict.reason for verdict in verdicts])
        return Verdict(
            TRUE, Reason(text, TRUE, span, parts), until=find_earliest([v.until for v in verdicts])
        )
    false = [verdict for verdict in to_blame if verdict.truth is FALSE]
    truth = FALSE if false else UNKNOWN
    return Verdict(
        truth,
        Reason(text, truth, span, tuple([verdict.reason for verdict in to_blame])),
        all(verdict.scopes_alone for verdict in to_blame),
        _find_latest(verdict.until for verdict in false)
        if false
        else find_earliest([v.until for v in verdicts]),
        None if false else combine_pendencies_of_all(verdict.pendency for verdict in to_blame),
        # Any part that changes may join those to blame, or leave them.
        find_earliest([moment for v in verdicts for moment in (v.until, v.blame_until)]),
    )


def find_earliest(moments: Iterable[float | None]) -> float | None:
    """Return the earliest of some times; `None` stands for never."""
    first = None
    for moment in moments:
        if moment is not None and (first is None or moment < first):
            first = moment
    return first


def _find_latest(moments: Iterable[float | None]) -> float | None:
    last = None
    for moment in moments:
        if moment is None:
            return None
        last = moment if last is None else max(last, moment)
    return last


class _UnknownRule:
    """A rule that could not be compiled: always unknown."""

    __slots__ = ("verdict",)

    def __init__(self, rule: Rule) -> None:
        self.verdict = build_unknown_verdict(rule)

    def evaluate(self, _context: EvaluationContext) -> Verdict:
        return self.verdict


class _Named:
    """A reference to a named rule.

    It reuses its last verdict while the rule gives the same one, as conditions mostly do.
    """

    __slots__ = ("body", "rule", "verdict")

    def __init__(self, rule: Named) -> None:
        self.rule = rule
        self.body: Verdict | None = None
        self.verdict: Verdict | None = None

    def evaluate(self, context: EvaluationContext) -> Verdict:
        body = context.evaluate_named(self.rule.name)
        if self.verdict is None or self.body is not body:
            reason = Reason(f"rule {self.rule.name}", body.truth, self.rule.span, (body.reason,))
            self.verdict = Verdict(
                body.truth, reason, body.scopes_alone, body.until, body.pendency, body.blame_until
            )
            self.body = body
        return self.verdict


class _All:
    __slots__ = ("parts", "rule")

    def __init__(self, rule: All) -> None:
        # The compiler refuses an empty `all`; a rule without conditions must not allow.
        if not rule.parts:
            raise ValueError("an `all` of nothing")
        self.rule = rule
        self.parts = tuple([compile_rule(part) for part in rule.parts])

    def evaluate(self, context: EvaluationContext) -> Verdict:
        verdicts = [part.evaluate(context) for part in self.parts]
        return combine_all(verdicts, "all", self.rule.span)


class _Any:
    """An `any`. It compiles its parts as they are needed, since mostly the first one decides.

    It reuses its last verdict that one part alone decided: conditions mostly give the same one again, and that
    saves building a reason and a verdict, 0.3 µs.
    """

    __slots__ = ("decisive", "parts", "rule", "verdict")

    def __init__(self, rule: AnyOf) -> None:
        self.rule = rule
        self.parts: list[CompiledRule | None] = [None] * len(rule.parts)
        self.decisive: Verdict | None = None
        self.verdict: Verdict | None = None

    def evaluate(self, context: EvaluationContext) -> Verdict:
        verdicts = []
        for index, part in enumerate(self.parts):
            if part is None:
                part = self.parts[index] = compile_rule(self.rule.parts[index])  # noqa: PLW2901 - the same part, compiled
            verdict = part.evaluate(context)
            if verdict.truth is TRUE and verdict.until is None:  # no other part can matter
                return self._reuse_verdict(verdict)
            verdicts.append(verdict)
        return self._combine(verdicts)

    def _reuse_verdict(self, decisive: Verdict) -> Verdict:
        """Return the verdict for a part that decides alone: the last one, if it is of the same part."""
        if self.verdict is None or self.decisive is not decisive:
            self.decisive = decisive
            self.verdict = Verdict(TRUE, Reason("any", TRUE, self.rule.span, (decisive.reason,)))
        return self.verdict

    def _combine(self, verdicts: Sequence[Verdict]) -> Verdict:
        """Combine the verdicts on parts, none of which is true for ever."""
        truths = [verdict.truth for verdict in verdicts]
        if TRUE in truths:
            true = [verdict for verdict in verdicts if verdict.truth is TRUE]
            reason = Reason("any", TRUE, self.rule.span, tuple([verdict.reason for verdict in true]))
            return Verdict(TRUE, reason, until=_find_latest(verdict.until for verdict in true))
        truth = UNKNOWN if UNKNOWN in truths or not truths else FALSE
        return Verdict(
            truth,
            Reason("any", truth, self.rule.span, tuple([verdict.reason for verdict in verdicts])),
            bool(truths) and False not in [verdict.scopes_alone for verdict in verdicts],
            find_earliest([verdict.until for verdict in verdicts]),
            combine_pendencies_of_any(v.pendency for v in verdicts if v.truth is UNKNOWN)
            if truth is UNKNOWN
            else None,
            find_earliest([verdict.blame_until for verdict in verdicts]),
        )


_NEGATED = {TRUE: FALSE, FALSE: TRUE, UNKNOWN: UNKNOWN}


class _Not:
    __slots__ = ("part", "rule")

    def __init__(self, rule: Not) -> None:
        self.rule = rule
        self.part = compile_rule(rule.part)

    def evaluate(self, context: EvaluationContext) -> Verdict:
        part = self.part.evaluate(context)
        truth = _NEGATED[part.truth]
        reason = Reason("not", truth, self.rule.span, (part.reason,))
        pendency = None if part.pendency is None else part.pendency.negate()
        return Verdict(truth, reason, until=part.until, pendency=pendency)


_RULES: dict[type, Callable[..., CompiledRule]] = {
    **CONDITIONS,
    Named: _Named,
    All: _All,
    AnyOf: _Any,
    Not: _Not,
}
