"""What a rule needs of the place where it is used, named rules included."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, TypeAlias

from compartmentd.compiler.report import Report
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

Kind: TypeAlias = Literal["text", "param", "member_of", "server", "members"]


class Need(NamedTuple):
    """Something that not every place has.

    `text` holds placeholders; `name` and `test` are those of a parameter's test; `negated` says that it
    stands under a `not`, and `via` names the rule through which the place came to it.
    """

    kind: Kind
    span: Span
    text: Text = ("",)
    name: str = ""
    test: Test | None = None
    negated: bool = False
    via: str | None = None


class NamedRules:
    """The named rules with what each needs, however deep; one that leads to itself is reported."""

    def __init__(self, rules: Mapping[str, Rule], report: Report) -> None:
        self.rules = rules
        self._needs: dict[str, tuple[Need, ...]] = {}
        self._cut: set[str] = set()
        for name in rules:
            if name not in self._needs:
                self._visit(name, [], report)

    def needs(self, rule: Rule) -> Iterator[Need]:
        """Yield what the rule needs; what it needs through a named rule stands where that is used."""
        return self._needs_of(rule, negated=False)

    def _visit(self, name: str, trail: list[str], report: Report) -> None:
        trail.append(name)
        for used, span in _used(self.rules[name]):
            if used in trail:
                circle = " → ".join([*trail[trail.index(used) :], used])
                report.error(
                    span, "rule.cycle", f"rule `{used}` leads to itself: {circle}", "break the circle"
                )
                self._cut.add(used)
            elif used not in self._needs and used in self.rules:
                self._visit(used, trail, report)
        trail.pop()
        self._needs[name] = tuple(dict.fromkeys(self._needs_of(self.rules[name], negated=False)))

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
                yield from (need._replace(negated=negated) for need in _direct(rule))


def _direct(rule: Rule) -> Iterator[Need]:
    match rule:
        case Scopes():
            yield from (Need("text", rule.span, text) for text in rule.scopes if len(text) > 1)
        case Claim():
            yield from (Need("text", rule.span, text) for text in rule.path[1:] if len(text) > 1)
            yield from _values(rule.test)
        case Parameter():
            yield Need("param", rule.span, name=rule.name, test=rule.test)
            yield from _values(rule.test)
        case MemberOf():
            yield Need("member_of", rule.span, rule.room)
        case ByServer():
            yield Need("server", rule.span)
        case Members():
            yield Need("members", rule.span)


def _values(test: Test) -> Iterator[Need]:
    if isinstance(test, Equals | Contains):
        yield from (
            Need("text", test.span, value.parts) for value in test.values if isinstance(value, Filled)
        )


def _used(rule: Rule) -> Iterator[tuple[str, Span]]:
    match rule:
        case Named():
            yield rule.name, rule.span
        case All() | AnyOf():
            for part in rule.parts:
                yield from _used(part)
        case Not():
            yield from _used(rule.part)
