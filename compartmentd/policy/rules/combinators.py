"""Rules as three-valued logic (Kleene's), each with its reasons, whom to blame, and until when it holds.

    all   false if a part is false, else unknown if a part is unknown, else true
    any   true if a part is true, else unknown if a part is unknown, else false
    not   of unknown is unknown

Only true allows. Whatever goes wrong while a rule is judged is unknown, so no failure becomes permission.

A rule is made ready once, when it is first asked, and judged many times: looking up what to do with each part, and
wording it, took two thirds of a decision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from compartmentd.policy.decision import Reason, Truth
from compartmentd.policy.model import All, AnyOf, Named, Not, Rule
from compartmentd.policy.rules.conditions import CONDITIONS
from compartmentd.policy.rules.context import CompiledRule, EvaluationContext, Verdict, build_unknown_verdict
from compartmentd.problems import Span

TRUE, FALSE, UNKNOWN = Truth.TRUE, Truth.FALSE, Truth.UNKNOWN


MAX_COMPILED_RULES = 50_000
"""Rules that are kept ready: 1.5 KiB each, so that those of a hundred thousand templates take memory only while
they are in use. To make one ready takes some 20 µs."""


class CompiledRules:
    """The rules of one policy, each made ready when it is first asked for.

    They are found by the identity of what they were made from, which is kept beside them, so that no other rule
    can come to have it: comparing rules by value costs more than judging them.
    """

    __slots__ = ("_ready", "_rules", "_uses")

    def __init__(self, rules: Mapping[str, Rule], uses: Mapping[str, Sequence[str]]) -> None:
        """`uses` are the named rules that each named rule refers to."""
        self._rules = rules
        self._uses = uses
        self._ready: dict[int, tuple[CompiledRule, Rule]] = {}

    def get_compiled(self, rule: Rule) -> CompiledRule:
        """Return the rule, ready."""
        known = self._ready.get(id(rule))
        if known is None:
            if len(self._ready) >= MAX_COMPILED_RULES:
                self._ready.clear()
            known = self._ready[id(rule)] = compile_rule(rule), rule
        return known[0]

    def find_named(self, name: str) -> CompiledRule | None:
        """Return what a name stands for, ready, or `None` where it stands for nothing."""
        rule = self._rules.get(name)
        return None if rule is None else self.get_compiled(rule)

    def iter_parts(self) -> Iterator[object]:
        """Yield the rules that are ready."""
        return iter(self._ready.values())

    def list_names_used_by(self, name: str) -> Sequence[str]:
        """Return the names that the named rule refers to."""
        return self._uses.get(name, ())


def compile_rule(rule: Rule) -> CompiledRule:
    """Make a rule ready; what cannot be is unknown."""
    try:
        return _RULES[type(rule)](rule)
    except Exception:  # noqa: BLE001 - whatever went wrong, the rule is unknown, and unknown never allows
        return _UnknownRule(rule)


def combine_all(verdicts: Sequence[Verdict], text: str, span: Span) -> Verdict:
    """Combine the parts of an `all`, of which there is at least one; its reason has this text and place."""
    if len(verdicts) == 1:
        (only,) = verdicts
        return Verdict(
            only.truth, Reason(text, only.truth, span, (only.reason,)), only.scopes_alone, only.until
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
    )


def find_earliest(moments: Iterable[float | None]) -> float | None:
    """Return the first of the moments; `None` is one that never comes."""
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
    """What is no rule."""

    __slots__ = ("verdict",)

    def __init__(self, rule: Rule) -> None:
        self.verdict = build_unknown_verdict(rule)

    def evaluate(self, _context: EvaluationContext) -> Verdict:
        return self.verdict


class _Named:
    """Keeps its last verdict, for as long as the body gives the same one: conditions do, as a rule."""

    __slots__ = ("body", "rule", "verdict")

    def __init__(self, rule: Named) -> None:
        self.rule = rule
        self.body: Verdict | None = None
        self.verdict: Verdict | None = None

    def evaluate(self, context: EvaluationContext) -> Verdict:
        body = context.evaluate_named(self.rule.name)
        if self.verdict is None or self.body is not body:
            reason = Reason(f"rule {self.rule.name}", body.truth, self.rule.span, (body.reason,))
            self.verdict = Verdict(body.truth, reason, body.scopes_alone, body.until)
            self.body = body
        return self.verdict


class _All:
    __slots__ = ("parts", "rule")

    def __init__(self, rule: All) -> None:
        if (
            not rule.parts
        ):  # the compiler refuses it; that nothing is asked for must not mean that all is well
            raise ValueError("an `all` of nothing")
        self.rule = rule
        self.parts = tuple([compile_rule(part) for part in rule.parts])

    def evaluate(self, context: EvaluationContext) -> Verdict:
        verdicts = [part.evaluate(context) for part in self.parts]
        return combine_all(verdicts, "all", self.rule.span)


class _Any:
    """Makes its parts ready as they are asked for, since mostly the first one decides.

    It keeps its last verdict that one part alone decided: conditions give the same one again, as a rule, and that
    saves a reason and a verdict, 0.3 µs.
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
                part = self.parts[index] = compile_rule(self.rule.parts[index])  # noqa: PLW2901 - the part itself
            verdict = part.evaluate(context)
            if verdict.truth is TRUE and verdict.until is None:  # no other part can matter
                return self._reuse_verdict(verdict)
            verdicts.append(verdict)
        return self._combine(verdicts)

    def _reuse_verdict(self, by: Verdict) -> Verdict:
        if self.verdict is None or self.decisive is not by:
            self.decisive = by
            self.verdict = Verdict(TRUE, Reason("any", TRUE, self.rule.span, (by.reason,)))
        return self.verdict

    def _combine(self, verdicts: Sequence[Verdict]) -> Verdict:
        """Combine parts none of which is true for ever."""
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
        return Verdict(truth, Reason("not", truth, self.rule.span, (part.reason,)), until=part.until)


_RULES: dict[type, Callable[..., CompiledRule]] = {
    **CONDITIONS,
    Named: _Named,
    All: _All,
    AnyOf: _Any,
    Not: _Not,
}
