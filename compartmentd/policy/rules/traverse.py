"""Walks through the parts of a rule without recursion, however deep it is nested."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from compartmentd.policy.model import All, AnyOf, MemberOf, Named, Not, Rule


def walk_rule(rule: Rule) -> Iterator[Rule]:
    """Yield the rule and every rule inside it, in the order written, without following named rules."""
    waiting = [rule]
    while waiting:
        each = waiting.pop()
        yield each
        if isinstance(each, (All, AnyOf)):
            waiting += reversed(each.parts)
        elif isinstance(each, Not):
            waiting.append(each.part)


def collect_names(rule: Rule) -> tuple[str, ...]:
    """Return the names of the rules that a rule refers to, each once."""
    return tuple(dict.fromkeys(part.name for part in walk_rule(rule) if isinstance(part, Named)))


def resolve_rule(rule: Rule, rules: Mapping[str, Rule]) -> Rule:
    """Follow references (`{rule: NAME}`) to the rule at their end; a reference to no rule is returned as it is."""
    if type(rule) is not Named:  # mostly so; a failing `isinstance` takes 100 ns with a struct
        return rule
    seen: set[str] = set()
    while isinstance(rule, Named) and rule.name in rules and rule.name not in seen:
        seen.add(rule.name)
        rule = rules[rule.name]
    return rule


def find_names_with_member_of(rules: Mapping[str, Rule]) -> frozenset[str]:
    """Return the names of the rules that depend on membership in another room, directly or through other rules."""
    uses = {name: collect_names(rule) for name, rule in rules.items()}
    found = {
        name for name, rule in rules.items() if any(isinstance(part, MemberOf) for part in walk_rule(rule))
    }
    used_by: dict[str, list[str]] = {}
    for name, used in uses.items():
        for each in used:
            used_by.setdefault(each, []).append(name)
    waiting = list(found)
    while waiting:
        for name in used_by.get(waiting.pop(), ()):
            if name not in found:
                found.add(name)
                waiting.append(name)
    return frozenset(found)


def has_member_of(rule: Rule, named: frozenset[str]) -> bool:
    """Return whether a rule depends on membership in another room.

    Args:
        rule: The rule.
        named: The names of the rules that do (`find_names_with_member_of`).
    """
    return any(
        isinstance(part, MemberOf) or (isinstance(part, Named) and part.name in named)
        for part in walk_rule(rule)
    )
