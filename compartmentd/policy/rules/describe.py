"""Describes rules on one line, in the operator's words, for reasons.

`claim [realm_access, roles] contains staff`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

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
from compartmentd.policy.rules.placeholders import format_text


@lru_cache(maxsize=8192)  # few of a policy's rules are evaluated often, and each decision describes several
def describe_rule(rule: Rule) -> str:
    """Return the rule as the operator would write it, without the parts of `all`, `any` and `not`."""
    return _RULES[type(rule)](rule)


@lru_cache(maxsize=1024)
def describe_missing_claim(path: tuple[Text, ...], depth: int) -> str:
    """Return what the token lacks if its claim at `path` has no item number `depth`."""
    name = format_text(path[depth])
    if not depth:
        return f"the token has no claim `{name}`"
    return f"the token's claim `{_format_path(path[:depth])}` has no `{name}`"


def _describe_value(value: Value) -> str:
    if isinstance(value, Filled):
        return format_text(value.parts)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _format_list(items: Sequence[str]) -> str:
    return f"[{', '.join(items)}]"


def _describe_values(one: str, several: str, values: Sequence[Value]) -> str:
    if len(values) == 1:
        return f"{one} {_describe_value(values[0])}"
    return f"{several} {_format_list([_describe_value(value) for value in values])}"


def _format_path(path: tuple[Text, ...]) -> str:
    return format_text(path[0]) if len(path) == 1 else _format_list([format_text(item) for item in path])


def _describe_scopes(rule: Scopes) -> str:
    if len(rule.scopes) == 1:
        return f"scope {format_text(rule.scopes[0])}"
    key = "all_scopes" if rule.every else "any_scope"
    return f"{key} {_format_list([format_text(scope) for scope in rule.scopes])}"


def _describe_bound(test: Bound) -> str:
    return f"at_most {test.at_most}" if test.at_least is None else f"at_least {test.at_least}"


def _describe_test(test: Test) -> str:
    return _TESTS[type(test)](test)


_TESTS: dict[type, Callable[..., str]] = {
    Equals: lambda test: _describe_values("equals", "one_of", test.values),
    Contains: lambda test: _describe_values("contains", "contains_any", test.values),
    Matches: lambda test: f"matches {test.pattern}",
    Bound: _describe_bound,
    Exists: lambda test: f"exists {str(test.wanted).lower()}",
    Moment: lambda test: "is future" if test.future else "is past",
}

_RULES: dict[type, Callable[..., str]] = {
    Public: lambda _: "public",
    Authenticated: lambda _: "authenticated",
    Nobody: lambda _: "nobody",
    Members: lambda _: "members",
    ByServer: lambda _: "server",
    Scopes: _describe_scopes,
    OfIssuer: lambda rule: f"issuer {rule.names[0] if len(rule.names) == 1 else _format_list(rule.names)}",
    Claim: lambda rule: f"claim {_format_path(rule.path)} {_describe_test(rule.test)}",
    Parameter: lambda rule: f"param {rule.name} {_describe_test(rule.test)}",
    MemberOf: lambda rule: f"member_of {format_text(rule.room)}",
    Named: lambda rule: f"rule {rule.name}",
    All: lambda _: "all",
    AnyOf: lambda _: "any",
    Not: lambda _: "not",
}
