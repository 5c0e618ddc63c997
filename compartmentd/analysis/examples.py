"""Makes examples for a policy: rooms that its templates take, and people whom its rules let in.

They are proposals for somebody who tries the policy. Nothing is decided by them: whether a person may enter a room
is for `policy.decide` to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from typing import Any

from compartmentd.policy.model import (
    All,
    AnyOf,
    Bound,
    Claim,
    Contains,
    Equals,
    Exists,
    Filled,
    IntegerParam,
    Matches,
    Moment,
    Namespace,
    Nobody,
    OneOfParam,
    Param,
    PatternParam,
    Policy,
    RoomTemplate,
    Rule,
    Scopes,
    Text,
    Value,
)
from compartmentd.policy.rules.traverse import resolve_rule, walk_rule
from compartmentd.policy.ruleset import Ruleset
from compartmentd.util.regex import matches_whole

ROOMS = 2
"""Examples for each template with parameters."""

TEMPLATES = 50
"""Templates of a namespace for which examples are made: nobody tries more of them by hand."""

_WORDS = ("apollo", "zeus", "general", "random", "7", "42", "A1", "a", "b", "2026-01-31")
_PEOPLE = ("ann", "bob")
_OTHERS = ("cem", "dora", "eli", "fay")
"""People with values of claims that rules name and that neither of the first two has."""
_TEXTS = (*_WORDS, *_PEOPLE, "x", "ann@example.com", "https://example.com")
_PAST, _FUTURE = 946_684_800, 4_102_444_800
"""Moments (seconds) that are past or future for everybody who reads this: the beginnings of 2000 and of 2100."""

Claims = dict[str, Any]


def suggest_rooms(ruleset: Ruleset, namespace: Namespace) -> dict[str, tuple[str, ...]]:
    """Return rooms to try by the name of their template; each of them is taken by that template."""
    return {
        template.name: tuple(islice(_fill_template(ruleset, namespace, template), ROOMS))
        for template in namespace.rooms[:TEMPLATES]
    }


def _fill_template(ruleset: Ruleset, namespace: Namespace, template: RoomTemplate) -> Iterator[str]:
    sources = find_sources(template, ruleset.policy.rules)
    users = {name for name, paths in sources.items() if ("sub",) in paths}
    made = [list(_list_values(param, is_user=param.name in users)) for param in template.params]
    if not made:
        yield template.name
        return
    # Of a parameter with fewer values than the others the first stands for those that are missing; of two users in
    # one room the second is another.
    found: set[str] = set()
    for row in zip_longest(*(_rotate(values, index) for index, values in enumerate(made))):
        filled = [values[0] if value is None else value for value, values in zip(row, made, strict=True)]
        name = _join(template.pattern, dict(zip(template.pattern[1::2], filled, strict=True)))
        match = None if name in found else ruleset.find(namespace.name, name)
        if match is not None and match.template.name == template.name:
            found.add(name)
            yield name


def _rotate(values: Sequence[str], by: int) -> list[str]:
    by %= len(values)
    return [*values[by:], *values[:by]]


def find_sources(template: RoomTemplate, rules: Mapping[str, Rule]) -> dict[str, list[tuple[str, ...]]]:
    """Return the claims (by path) from which a person's values of each parameter are known.

    They are those of `auto_join`, and those of conditions that compare a claim with the parameter alone.
    """
    found: dict[str, list[tuple[str, ...]]] = {}
    if template.auto_join is not None:
        for param, path in template.auto_join.claims:
            found.setdefault(param, []).append(path)
    for part in walk_rule(resolve_rule(template.join, rules)):
        if isinstance(part, Claim) and isinstance(part.test, (Equals, Contains)):
            path = tuple(item[0] for item in part.path if len(item) == 1)
            for value in part.test.values:
                name = _get_lone_param(value)
                if name is not None and len(path) == len(part.path):
                    found.setdefault(name, []).append(path)
    return {name: list(dict.fromkeys(paths)) for name, paths in found.items()}


def _get_lone_param(value: Value) -> str | None:
    """Return the parameter of a value that is nothing but a placeholder."""
    if isinstance(value, Filled) and len(value.parts) == 3 and not value.parts[0] and not value.parts[2]:
        return value.parts[1]
    return None


def _list_values(param: Param, *, is_user: bool = False) -> Iterator[str]:
    """Yield values to try for a parameter, likely ones first; there is always one that it takes."""
    if isinstance(param, OneOfParam):
        yield from param.values[:3]
    elif isinstance(param, IntegerParam):
        high = param.low + 100 if param.high is None else param.high
        yield from dict.fromkeys(str(n) for n in (7, 42, param.low, high) if param.low <= n <= high)
    else:
        yield from (_PEOPLE if is_user else ())
        yield from _WORDS
        yield _write_shortest(param)


def _write_shortest(param: PatternParam) -> str:
    """Return a text of the pattern's own form: each class as seldom as it may stand."""
    text = "".join(_choose(item.ranges) * item.least for item in param.items)
    if text or not param.items:
        return text
    return next((_choose(item.ranges) for item in param.items if item.most != 0), "")


def _choose(ranges: Sequence[tuple[int, int]]) -> str:
    for wanted in map(ord, "a1A-_"):
        if any(low <= wanted <= high for low, high in ranges):
            return chr(wanted)
    return chr(ranges[0][0]) if ranges else ""


def _join(text: Text, values: Mapping[str, str]) -> str:
    return "".join(values[part] if index % 2 else part for index, part in enumerate(text))


# --- people -----------------------------------------------------------------------------------------------------


def suggest_people(ruleset: Ruleset) -> dict[str, Claims]:
    """Return claims by a person's name.

    The rules let the first in where claims can do it, the second into some rooms, and the last nowhere. Those
    between are like the second, with values that the rules name and the first two lack: a rule that names a teacher
    and a pupil is tried with both.
    """
    policy = ruleset.policy
    people = _write_people(ruleset, {"ann": {}, "bob": {}})
    lacking = _find_lacking(policy, people.values())
    others = {
        name: {path: values[index] for path, values in lacking.items() if index < len(values)}
        for index, name in enumerate(_OTHERS)
    }
    others = {name: given for name, given in others.items() if given}
    made = _write_people(ruleset, {"ann": {}, **others}) if others else {}
    return {**people, **{name: made[name] for name in others}, "visitor": {"sub": "visitor"}}


_Path = tuple[str, ...]


def _write_people(ruleset: Ruleset, people: Mapping[str, Mapping[_Path, Value]]) -> dict[str, Claims]:
    """Return the claims of people, of whom the first is let in; `people` has what each of them must have."""
    policy = ruleset.policy
    ann, *others = writers = [_Writer(policy, name, given) for name, given in people.items()]
    for namespace in policy.namespaces.values():
        rooms = suggest_rooms(ruleset, namespace)
        for writer in writers:
            writer.satisfy(namespace.connect, {})
            writer.satisfy(namespace.publish, {})
        for template in namespace.rooms[:TEMPLATES]:
            examples = rooms[template.name]
            if not examples:
                continue
            matches = [ruleset.find(namespace.name, room) for room in (examples[0], examples[-1])]
            first, last = (
                {} if match is None else dict(zip(match.signature.names, match.values, strict=True))
                for match in matches
            )
            ann.satisfy(template.join, first)
            ann.satisfy(template.publish, first)
            for writer in others:
                writer.satisfy(template.publish, last)
            ann.fill_sources(template, first)
            for writer in writers:  # so that they have a room to meet in, and one that is Ann's alone
                writer.fill_sources(template, last)
    return {name: writer.claims for name, writer in zip(people, writers, strict=True)}


def _find_lacking(policy: Policy, people: Iterable[Claims]) -> dict[_Path, list[str]]:
    """Return by a claim's path the texts that rules compare it with and that nobody has."""
    held: dict[_Path, list[Any]] = {}
    lacking: dict[_Path, list[str]] = {}
    known = list(people)
    for part in (part for rule in _list_rules(policy) for part in walk_rule(rule)):
        if not isinstance(part, Claim) or not isinstance(part.test, (Equals, Contains)):
            continue
        path = tuple(item[0] for item in part.path if len(item) == 1)
        if len(path) != len(part.path) or path == ("sub",):
            continue
        if path not in held:
            held[path] = [_get(claims, path) for claims in known]
        for value in part.test.values:
            if isinstance(value, str) and not any(_has(each, value) for each in held[path]):
                values = lacking.setdefault(path, [])
                if value not in values:
                    values.append(value)
    return lacking


def _list_rules(policy: Policy) -> Iterator[Rule]:
    yield from policy.rules.values()
    for namespace in policy.namespaces.values():
        yield from (namespace.connect, namespace.publish)
        places: list[Namespace | RoomTemplate] = [namespace, *namespace.rooms[:TEMPLATES]]
        yield from (event.publish for place in places for event in place.events.values() if event.publish)
        for template in namespace.rooms[:TEMPLATES]:
            yield from (template.join, template.publish)


def _get(claims: Claims, path: _Path) -> Any:
    value: Any = claims
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _has(held: Any, value: str) -> bool:
    return held == value or (isinstance(held, list) and value in held)


class _Writer:
    """Writes the claims of a person; what was written first stays."""

    def __init__(self, policy: Policy, sub: str, given: Mapping[_Path, Value]) -> None:
        self._rules = policy.rules
        self.claims: Claims = {"sub": sub}
        self._scopes: dict[str, None] = {}
        lists = {
            tuple(item[0] for item in part.path)
            for rule in _list_rules(policy)
            for part in walk_rule(rule)
            if isinstance(part, Claim) and isinstance(part.test, Contains)
        }
        for path, value in given.items():
            self._write(list(path), value, is_list=path in lists)

    def satisfy(self, rule: Rule, values: Mapping[str, str]) -> None:
        """Add what makes the rule true, where claims can; of `any` its first part that somebody can satisfy."""
        waiting = [rule]
        while waiting:
            part = resolve_rule(waiting.pop(), self._rules)
            if isinstance(part, All):
                waiting += reversed(part.parts)
            elif isinstance(part, AnyOf):
                able = [each for each in part.parts if not isinstance(each, Nobody)]
                waiting += able[:1]
            elif isinstance(part, Scopes):
                for scope in part.scopes if part.every else part.scopes[:1]:
                    self._scopes[_fill(scope, values)] = None
                self.claims["scope"] = " ".join(self._scopes)
            elif isinstance(part, Claim):
                self._write(
                    [_fill(item, values) for item in part.path],
                    _make_value(part, values),
                    is_list=isinstance(part.test, Contains),
                )

    def fill_sources(self, template: RoomTemplate, values: Mapping[str, str]) -> None:
        """Add the values of a room to the claims from which its parameters are known."""
        listed = [part for part in walk_rule(template.join) if isinstance(part, Claim)]
        for name, paths in find_sources(template, self._rules).items():
            for path in paths:
                tests = [part.test for part in listed if tuple(item[0] for item in part.path) == path]
                is_list = not any(isinstance(test, Equals) for test in tests)
                self._write(list(path), values.get(name), is_list=is_list)

    def _write(self, path: list[str], value: Any, *, is_list: bool) -> None:
        if value is None:
            return
        place: Any = self.claims
        for name in path[:-1]:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                return
        present = place.get(path[-1])
        if present is None:
            place[path[-1]] = [value] if is_list else value
        elif isinstance(present, list) and value not in present:
            present.append(value)


def _fill(text: Text, values: Mapping[str, str]) -> str:
    return "".join(values.get(part, "x") if index % 2 else part for index, part in enumerate(text))


def _make_value(claim: Claim, values: Mapping[str, str]) -> Any:
    """Return a value that passes the test of a condition; `None` where none is known, or none is wanted."""
    match claim.test:
        case Equals(values=wanted) | Contains(values=wanted):
            first = wanted[0]
            return _fill(first.parts, values) if isinstance(first, Filled) else first
        case Matches(pattern=pattern):
            return next((text for text in _TEXTS if matches_whole(pattern, text)), None)
        case Bound(at_least=low, at_most=high):
            return high if low is None else low
        case Exists(wanted=wanted):
            return "x" if wanted else None
        case Moment(future=future):
            return _FUTURE if future else _PAST
    return None
