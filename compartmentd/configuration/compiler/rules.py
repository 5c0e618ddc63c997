"""Reads rules into the policy's rules; `scopes_of_use` checks them against the place where they stand."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from compartmentd.configuration.compiler.report import Report
from compartmentd.document.node import Node
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


class RuleReader:
    """Reads rules that the schema accepted. A broken part becomes `nobody`: its problem is already reported.

    `names` are the named rules; `complete` says that there are certainly no other ones.
    """

    def __init__(self, report: Report, names: Collection[str], *, complete: bool = True) -> None:
        self.report = report
        self.names = names
        self.complete = complete

    def optional(self, parent: Node, key: str) -> Rule:
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

    def _scope(self, node: Node, part: Node) -> Rule:
        return Scopes(scopes=(self._scope_text(part),), span=node.span)

    def _all_scopes(self, node: Node, part: Node) -> Rule:
        return Scopes(scopes=tuple(self._scope_text(item) for item in part.items), span=node.span)

    def _any_scope(self, node: Node, part: Node) -> Rule:
        return Scopes(
            scopes=tuple(self._scope_text(item) for item in part.items), every=False, span=node.span
        )

    def _scope_text(self, node: Node) -> Text:
        text = self._text(node)
        if any(" " in literal for literal in text[::2]):
            message = f"scope `{node.data}` holds a space, and a scope never does (RFC 6749, 3.3)"
            help_ = "several scopes are `all_scopes: [...]`"
            self.report.warning(node.span, "rule.scope-with-space", message, help_)
        return text

    def _claim(self, node: Node, part: Node) -> Rule:
        return Claim(path=self._path(part), test=self._test(node), span=node.span)

    def _param(self, node: Node, part: Node) -> Rule:
        return Parameter(name=part.data, test=self._test(node), span=node.span)

    def _member_of(self, node: Node, part: Node) -> Rule:
        return MemberOf(room=self._text(part), span=node.span)

    def _named(self, node: Node, part: Node) -> Rule:
        if part.data in self.names:
            return Named(name=part.data, span=node.span)
        # A file that could not be read to its end may contain the rule.
        if self.complete:
            self.report.unknown(part.span, "rule", part.data, self.names)
        return Nobody(span=node.span)

    def _all(self, node: Node, part: Node) -> Rule:
        return All(parts=tuple(self.read(item) for item in part.items), span=node.span)

    def _any(self, node: Node, part: Node) -> Rule:
        return AnyOf(parts=tuple(self.read(item) for item in part.items), span=node.span)

    def _not(self, node: Node, part: Node) -> Rule:
        return Not(part=self.read(part), span=node.span)

    _kinds: Mapping[str, Callable[[RuleReader, Node, Node], Rule]] = {
        "scope": _scope,
        "all_scopes": _all_scopes,
        "any_scope": _any_scope,
        "claim": _claim,
        "param": _param,
        "member_of": _member_of,
        "rule": _named,
        "all": _all,
        "any": _any,
        "not": _not,
    }

    # --- claims, tests and values ---------------------------------------------------------------------------

    def _path(self, node: Node) -> tuple[Text, ...]:
        if isinstance(node.data, str):
            self._warn_of_placeholder(node)
            return ((node.data,),)
        first, *rest = node.items or [node]
        # Placeholders are replaced in items after the first only: the first names a claim of the token.
        self._warn_of_placeholder(first)
        return ((str(first.data),), *(self._text(item) for item in rest))

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
        return self._tests[kind](self, part, _whole(part))

    def _equals(self, part: Node, span: Span) -> Test:
        return Equals(values=(self._value(part),), span=span)

    def _one_of(self, part: Node, span: Span) -> Test:
        return Equals(values=tuple(self._value(item) for item in part.items), span=span)

    def _contains(self, part: Node, span: Span) -> Test:
        return Contains(values=(self._value(part),), span=span)

    def _contains_any(self, part: Node, span: Span) -> Test:
        return Contains(values=tuple(self._value(item) for item in part.items), span=span)

    def _matches(self, part: Node, span: Span) -> Test:
        wrong = find_pattern_error(part.data)
        if wrong is not None:
            help_ = "patterns are RE2's: no look-around, no back references"
            self.report.error(
                part.span, "rule.pattern", f"`{part.data}` is not an RE2 pattern: {wrong}", help_
            )
        return Matches(pattern=part.data, span=span)

    def _at_least(self, part: Node, span: Span) -> Test:
        return Bound(at_least=part.data, span=span)

    def _at_most(self, part: Node, span: Span) -> Test:
        return Bound(at_most=part.data, span=span)

    def _exists(self, part: Node, span: Span) -> Test:
        return Exists(wanted=part.data, span=span)

    def _is(self, part: Node, span: Span) -> Test:
        return Moment(future=part.data == "future", span=span)

    _tests: Mapping[str, Callable[[RuleReader, Node, Span], Test]] = {
        "equals": _equals,
        "one_of": _one_of,
        "matches": _matches,
        "contains": _contains,
        "contains_any": _contains_any,
        "at_least": _at_least,
        "at_most": _at_most,
        "exists": _exists,
        "is": _is,
    }

    def _value(self, node: Node) -> Value:
        if not isinstance(node.data, str):
            scalar: Any = node.data
            return scalar  # type: ignore[no-any-return]  # the schema lets scalars pass only
        parts = self._text(node)
        return parts[0] if len(parts) == 1 else Filled(parts=parts)

    def _text(self, node: Node) -> Text:
        parts = parse_text(node.data)
        if isinstance(parts, PatternProblem):
            self.report.error(node.span, "rule.placeholder", parts.message, parts.help)
            return ("",)
        return parts


def _whole(part: Node) -> Span:
    key = part.key_span
    return Span(part.file, key.line, key.column, *part.mark[2:])
