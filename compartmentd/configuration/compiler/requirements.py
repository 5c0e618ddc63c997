"""Finds what a rule requires of the place where it is used, including through named rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, TypeAlias

from compartmentd.configuration.compiler.report import Report
from compartmentd.policy.model import (
    All,
    AnyOf,
    ByServer,
    Claim,
    Contains,
    Equals,
    Filled,
    MemberOf,
    Members,
    Named,
    Not,
    Parameter,
    Rule,
    Scopes,
    Test,
    Text,
)
from compartmentd.problems import Span

MAX_DEPTH = 64
"""Rules are evaluated by recursion, for every join and message."""

TextPlaces: TypeAlias = Mapping[tuple[Span, Text], Span]
"""Where a text with placeholders stands, by the place of its rule or test, which may take several lines."""

NeedKind: TypeAlias = Literal["text", "param", "member_of", "server", "members"]


class Need(NamedTuple):
    """A requirement that not every place meets.

    `text` contains placeholders; `name` and `test` belong to a parameter's test; `negated` says that it
    stands under a `not`, and `via` is the named rule through which the place has the requirement.
    """

    kind: NeedKind
    span: Span
    text: Text = ("",)
    name: str = ""
    test: Test | None = None
    negated: bool = False
    via: str | None = None


class NamedRules:
    """The named rules with their requirements, at any depth; reports rules that refer to themselves."""

    def __init__(self, rules: Mapping[str, Rule], report: Report, places: TextPlaces) -> None:
        self.rules = rules
        self.places = places
        self._needs: dict[str, tuple[Need, ...]] = {}
        self._depths: dict[str, int] = {}
        for name in rules:
            if name not in self._needs:
                self._visit(name, report)

    def needs(self, rule: Rule) -> Iterator[Need]:
        """Yield the rule's requirements; those of a named rule have the position where the name is used."""
        return self._needs_of(rule, negated=False)

    def measure_depth(self, rule: Rule) -> int:
        """Return the depth of the rule with its named rules expanded."""
        match rule:
            case All() | AnyOf():
                return 1 + max((self.measure_depth(part) for part in rule.parts), default=0)
            case Not():
                return 1 + self.measure_depth(rule.part)
            case Named():
                return 1 + self._depths.get(rule.name, 0)
        return 1

    def check_depth(self, rule: Rule, report: Report) -> None:
        """Report a rule that is too deep to be evaluated safely."""
        if self.measure_depth(rule) > MAX_DEPTH:
            message = f"the rule is more than {MAX_DEPTH} deep, with the named rules that it uses"
            report.error(rule.span, "rule.depth", message, "make it flatter")

    def _visit(self, start: str, report: Report) -> None:
        # Depth-first without recursion: a chain of rules may be longer than Python's stack.
        trail = {start: _list_used_rules(self.rules[start])}
        while trail:
            name, uses = next(reversed(trail.items()))
            step = next(uses, None)
            if step is None:
                trail.popitem()
                self._finish(name, report)
                continue
            used, span = step
            if used in trail:
                names = list(trail)
                circle = " → ".join([*names[names.index(used) :], used])
                report.error(
                    span, "rule.cycle", f"rule `{used}` leads to itself: {circle}", "break the circle"
                )
            elif used not in self._needs and used in self.rules:
                trail[used] = _list_used_rules(self.rules[used])

    def _finish(self, name: str, report: Report) -> None:
        rule = self.rules[name]
        self._needs[name] = tuple(dict.fromkeys(self._needs_of(rule, negated=False)))
        self.check_depth(rule, report)
        depth = self.measure_depth(rule)
        # A rule that is too deep is reported once, not again for each that uses it.
        self._depths[name] = depth if depth <= MAX_DEPTH else 0

    def _needs_of(self, rule: Rule, *, negated: bool) -> Iterator[Need]:
        match rule:
            case All() | AnyOf():
                for part in rule.parts:
                    yield from self._needs_of(part, negated=negated)
            case Not():
                yield from self._needs_of(rule.part, negated=True)
            case Named():
                for need in self._needs.get(rule.name, ()):
                    yield need._replace(span=rule.span, via=rule.name, negated=negated or need.negated)
            case _:
                for need in _list_direct_needs(rule):
                    span = self.places.get((need.span, need.text), need.span)
                    yield need._replace(negated=negated, span=span)


def _list_direct_needs(rule: Rule) -> Iterator[Need]:
    match rule:
        case Scopes():
            yield from (Need("text", rule.span, text) for text in rule.scopes if len(text) > 1)
        case Claim():
            yield from (Need("text", rule.span, text) for text in rule.path[1:] if len(text) > 1)
            yield from _list_value_needs(rule.test)
        case Parameter():
            yield Need("param", rule.span, name=rule.name, test=rule.test)
            yield from _list_value_needs(rule.test)
        case MemberOf():
            yield Need("member_of", rule.span, rule.room)
        case ByServer():
            yield Need("server", rule.span)
        case Members():
            yield Need("members", rule.span)


def _list_value_needs(test: Test) -> Iterator[Need]:
    if isinstance(test, Equals | Contains):
        yield from (
            Need("text", test.span, value.parts) for value in test.values if isinstance(value, Filled)
        )


def _list_used_rules(rule: Rule) -> Iterator[tuple[str, Span]]:
    match rule:
        case Named():
            yield rule.name, rule.span
        case All() | AnyOf():
            for part in rule.parts:
                yield from _list_used_rules(part)
        case Not():
            yield from _list_used_rules(rule.part)
