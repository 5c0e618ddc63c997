"""Reads rules into the policy's rules; `scopes_of_use` checks them against the place where they stand."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from compartmentd.configuration.compiler.implausible import Doubt, doubt_claim, doubt_scope, doubt_value
from compartmentd.configuration.compiler.report import Report
from compartmentd.document.node import Node
from compartmentd.names import EntryName
from compartmentd.policy.model import (
    All,
    AnyOf,
    Authenticated,
    Bound,
    ByServer,
    Claim,
    Contains,
    Equals,
    Exists,
    Filled,
    Matches,
    MemberOf,
    Members,
    Moment,
    Named,
    Nobody,
    Not,
    OfIssuer,
    Parameter,
    Public,
    Rule,
    Scopes,
    Test,
    Text,
    Value,
)
from compartmentd.policy.rules.placeholders import parse_text
from compartmentd.policy.templates.pattern import PatternProblem
from compartmentd.problems import Span
from compartmentd.util.regex import find_pattern_error

_WORDS: Mapping[str, Callable[..., Rule]] = {
    "public": Public,
    "authenticated": Authenticated,
    "nobody": Nobody,
    "members": Members,
    "server": ByServer,
}


class DeclaredNames(NamedTuple):
    """The declared names of one kind; `complete` says that there are certainly no other ones."""

    names: Collection[str]
    complete: bool = True


class RuleReader:
    """Reads rules that the schema accepted. A broken part becomes `nobody`: its problem is already reported.

    `rules` are the named rules, `issuers` the entries of `issuers`. `places` says where each text with placeholders
    stands, by the place of the rule or test that it belongs to; it grows while rules are read.
    """

    def __init__(self, report: Report, rules: DeclaredNames, issuers: DeclaredNames) -> None:
        self.report = report
        self.rules = rules
        self.issuers = issuers
        self.places: dict[tuple[Span, Text], Span] = {}

    def read_optional(self, parent: Node, key: str) -> Rule:
        """Return the rule under a key, or `nobody`, the default."""
        node = parent.get(key)
        return Nobody(span=parent.key_span) if node is None else self.read(node)

    def read(self, node: Node) -> Rule:
        """Return the rule that a node describes."""
        if node.broken:
            return Nobody(span=node.span)
        if isinstance(node.data, str):
            return _WORDS[node.data](span=node.span)
        kind = next((key for key in self._kinds if key in node.fields), None)
        if kind is None or (part := node.get(kind)) is None:
            return Nobody(span=node.span)
        return self._kinds[kind](self, node, part)

    # Each takes the condition and the value of its kind.

    def _read_scope(self, node: Node, part: Node) -> Rule:
        return Scopes(scopes=(self._read_scope_text(part, node.span),), span=node.span)

    def _read_all_scopes(self, node: Node, part: Node) -> Rule:
        return Scopes(
            scopes=tuple(self._read_scope_text(item, node.span) for item in part.items), span=node.span
        )

    def _read_any_scope(self, node: Node, part: Node) -> Rule:
        return Scopes(
            scopes=tuple(self._read_scope_text(item, node.span) for item in part.items),
            every=False,
            span=node.span,
        )

    def _read_scope_text(self, node: Node, owner: Span) -> Text:
        text = self._read_text(node, owner)
        if any(" " in literal for literal in text[::2]):
            message = f"scope `{node.data}` holds a space, and a scope never does (RFC 6749, 3.3)"
            help_ = "several scopes are `all_scopes: [...]`"
            self.report.warning(node.span, "rule.scope-with-space", message, help_)
        else:
            self._doubt(node, doubt_scope(node.data))
        return text

    def _doubt(self, node: Node, doubt: Doubt | None) -> None:
        if doubt is not None:
            self.report.warning(node.span, "rule.implausible", doubt.message, doubt.help)

    def _read_issuer(self, node: Node, part: Node) -> Rule:
        items = [part] if isinstance(part.data, str) else part.items
        for item in items:
            if item.data not in self.issuers.names and self.issuers.complete:
                self.report.unknown(item.span, "issuer", item.data, self.issuers.names)
        return OfIssuer(names=tuple(EntryName(item.data) for item in items), span=node.span)

    def _read_claim(self, node: Node, part: Node) -> Rule:
        return Claim(path=self._read_path(part, node.span), test=self._test(node), span=node.span)

    def _read_parameter(self, node: Node, part: Node) -> Rule:
        return Parameter(name=part.data, test=self._test(node), span=node.span)

    def _read_member_of(self, node: Node, part: Node) -> Rule:
        return MemberOf(room=self._read_text(part, node.span), span=node.span)

    def _read_named(self, node: Node, part: Node) -> Rule:
        if part.data in self.rules.names:
            return Named(name=part.data, span=node.span)
        # A file that could not be read to its end may contain the rule.
        if self.rules.complete:
            self.report.unknown(part.span, "rule", part.data, self.rules.names)
        return Nobody(span=node.span)

    def _read_all(self, node: Node, part: Node) -> Rule:
        return All(parts=tuple(self.read(item) for item in part.items), span=node.span)

    def _read_any(self, node: Node, part: Node) -> Rule:
        return AnyOf(parts=tuple(self.read(item) for item in part.items), span=node.span)

    def _read_not(self, node: Node, part: Node) -> Rule:
        return Not(part=self.read(part), span=node.span)

    _kinds: Mapping[str, Callable[[RuleReader, Node, Node], Rule]] = {
        "scope": _read_scope,
        "all_scopes": _read_all_scopes,
        "any_scope": _read_any_scope,
        "issuer": _read_issuer,
        "claim": _read_claim,
        "param": _read_parameter,
        "member_of": _read_member_of,
        "rule": _read_named,
        "all": _read_all,
        "any": _read_any,
        "not": _read_not,
    }

    # --- claims, tests and values ---------------------------------------------------------------------------

    def _read_path(self, node: Node, owner: Span) -> tuple[Text, ...]:
        if isinstance(node.data, str):
            self._warn_of_placeholder(node)
            dotted = doubt_claim(node.data)
            if dotted is not None:
                self.report.warning(node.span, "claim.dotted", dotted.message, dotted.help)
            return ((node.data,),)
        first, *rest = node.items or [node]
        # Placeholders are replaced in items after the first only: the first names a claim of the token.
        self._warn_of_placeholder(first)
        return ((str(first.data),), *(self._read_text(item, owner) for item in rest))

    def _warn_of_placeholder(self, node: Node) -> None:
        parts = parse_text(str(node.data))
        if not isinstance(parts, PatternProblem) and len(parts) > 1:
            message = f"`{{{parts[1]}}}` is not replaced in the name of a claim"
            help_ = "a list is a path: items after the first may hold placeholders"
            self.report.warning(node.span, "rule.literal-braces", message, help_)

    def _test(self, node: Node) -> Test:
        kind = next((key for key in self._tests if key in node.fields), None)
        if kind is None or (part := node.get(kind)) is None:
            return Exists(wanted=True, span=node.span)
        return self._tests[kind](self, part, _span_key_and_value(part))

    def _read_equals(self, part: Node, span: Span) -> Test:
        return Equals(values=(self._read_value(part, span),), span=span)

    def _read_one_of(self, part: Node, span: Span) -> Test:
        return Equals(values=tuple(self._read_value(item, span) for item in part.items), span=span)

    def _read_contains(self, part: Node, span: Span) -> Test:
        return Contains(values=(self._read_value(part, span),), span=span)

    def _read_contains_any(self, part: Node, span: Span) -> Test:
        return Contains(values=tuple(self._read_value(item, span) for item in part.items), span=span)

    def _read_matches(self, part: Node, span: Span) -> Test:
        wrong = find_pattern_error(part.data)
        if wrong is not None:
            help_ = "patterns are RE2's: no look-around, no back references"
            self.report.error(
                part.span, "rule.pattern", f"`{part.data}` is not an RE2 pattern: {wrong}", help_
            )
        return Matches(pattern=part.data, span=span)

    def _read_at_least(self, part: Node, span: Span) -> Test:
        return Bound(at_least=part.data, span=span)

    def _read_at_most(self, part: Node, span: Span) -> Test:
        return Bound(at_most=part.data, span=span)

    def _read_exists(self, part: Node, span: Span) -> Test:
        return Exists(wanted=part.data, span=span)

    def _read_is(self, part: Node, span: Span) -> Test:
        return Moment(future=part.data == "future", span=span)

    _tests: Mapping[str, Callable[[RuleReader, Node, Span], Test]] = {
        "equals": _read_equals,
        "one_of": _read_one_of,
        "matches": _read_matches,
        "contains": _read_contains,
        "contains_any": _read_contains_any,
        "at_least": _read_at_least,
        "at_most": _read_at_most,
        "exists": _read_exists,
        "is": _read_is,
    }

    def _read_value(self, node: Node, owner: Span) -> Value:
        if not isinstance(node.data, str):
            scalar: Any = node.data
            return scalar  # type: ignore[no-any-return]  # the schema lets scalars pass only
        self._doubt(node, doubt_value(node.data))
        parts = self._read_text(node, owner)
        return parts[0] if len(parts) == 1 else Filled(parts=parts)

    def _read_text(self, node: Node, owner: Span) -> Text:
        parts = parse_text(node.data)
        if isinstance(parts, PatternProblem):
            self.report.error(node.span, "rule.placeholder", parts.message, parts.help)
            return ("",)
        if len(parts) > 1:
            self.places.setdefault((owner, parts), node.span)
        return parts


def _span_key_and_value(part: Node) -> Span:
    key = part.key_span
    return Span(part.file, key.line, key.column, *part.mark[2:])
