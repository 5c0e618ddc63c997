"""Policies without YAML: rules, templates and people in the shortest words, for tests of the decision core.

`rule` reads the same shapes as the file (`{"any": [{"scope": "a"}, "public"]}`), by a reader of its own that
checks nothing: some tests are about policies that the compiler would refuse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from compartmentd.names import EntryName, NamespaceName, Subject
from compartmentd.policy import model
from compartmentd.policy.claim_path import ClaimPath
from compartmentd.policy.decide import decide
from compartmentd.policy.decision import Connect, Decision, Facts, Join, Publish
from compartmentd.policy.model import (
    ApiRules,
    AutoJoin,
    Event,
    IntegerParam,
    Limits,
    Namespace,
    OneOfParam,
    Param,
    PatternParam,
    Policy,
    RoomTemplate,
    Rule,
    Text,
)
from compartmentd.policy.principal import Principal, collect_scopes
from compartmentd.policy.rules.placeholders import parse_text
from compartmentd.policy.ruleset import Ruleset
from compartmentd.policy.templates.pattern import PatternProblem, build_default_param, parse_pattern
from compartmentd.problems import Span

NOW = 1_800_000_000.0
"""The moment of every test that does not say another."""

ENTRY = EntryName("corp")
HALL = NamespaceName("/hall")

_LINES = count(1)

_WORDS: dict[str, type] = {
    "public": model.Public,
    "authenticated": model.Authenticated,
    "nobody": model.Nobody,
    "members": model.Members,
    "server": model.ByServer,
}


def span() -> Span:
    """Return a span of its own, so that every part of a policy can be told apart in a decision."""
    line = next(_LINES)
    return Span("policy.yaml", line, 1, line, 9)


def text(written: str) -> Text:
    """Return a string with placeholders as the model holds it."""
    parsed = parse_text(written)
    assert not isinstance(parsed, PatternProblem), parsed
    return parsed


def value(written: Any) -> model.Value:
    """Return a test's value; a string with placeholders is filled in later."""
    parts = text(written) if isinstance(written, str) else ()
    if len(parts) == 1:
        return parts[0]
    return model.Filled(parts) if parts else written


def condition(form: Mapping[str, Any]) -> model.Test:
    """Return the test of a condition: `{"equals": 3}`."""
    ((word, given),) = form.items()
    at = span()
    if word == "matches":
        return model.Matches(pattern=given, span=at)
    several = tuple(value(each) for each in given) if isinstance(given, list) else (value(given),)
    if word in ("equals", "one_of"):
        return model.Equals(values=several, span=at)
    if word in ("contains", "contains_any"):
        return model.Contains(values=several, span=at)
    if word == "exists":
        return model.Exists(wanted=given, span=at)
    if word == "is":
        return model.Moment(future=given == "future", span=at)
    return model.Bound(**{word: given}, span=at)


def rule(form: Any) -> Rule:
    """Return a rule, from the shape that it has in a file."""
    at = span()
    if isinstance(form, str):
        return _WORDS[form](span=at)
    (word, given), *rest = form.items()
    if word == "scope":
        return model.Scopes(scopes=(text(given),), span=at)
    if word in ("all_scopes", "any_scope"):
        return model.Scopes(scopes=tuple(map(text, given)), every=word == "all_scopes", span=at)
    if word == "issuer":
        names = given if isinstance(given, list) else [given]
        return model.OfIssuer(names=tuple(map(EntryName, names)), span=at)
    if word == "claim":
        path = given if isinstance(given, list) else [given]
        items = ((path[0],), *map(text, path[1:]))
        return model.Claim(path=items, test=condition(dict(rest)), span=at)
    if word == "param":
        return model.Parameter(name=given, test=condition(dict(rest)), span=at)
    if word == "member_of":
        return model.MemberOf(room=text(given), span=at)
    if word == "rule":
        return model.Named(name=given, span=at)
    if word == "not":
        return model.Not(part=rule(given), span=at)
    parts = tuple(rule(part) for part in given)
    return model.All(parts=parts, span=at) if word == "all" else model.AnyOf(parts=parts, span=at)


def param(name: str, form: Any = None) -> Param:
    """Return a parameter: a pattern, a list of strings, a pair of bounds, or `None` for the default form."""
    if form is None:
        return build_default_param(name, span())
    if isinstance(form, str):
        items = parse_pattern(form)
        assert not isinstance(items, PatternProblem), items
        return PatternParam(name=name, items=items, span=span())
    if isinstance(form, list):
        return OneOfParam(name=name, values=tuple(form), span=span())
    low, high = form
    return IntegerParam(name=name, low=low, high=high, span=span())


def template(
    name: str,
    params: Mapping[str, Any] | None = None,
    *,
    join: Any = "authenticated",
    publish: Any = "nobody",
    events: Mapping[str, Any] | Sequence[str] = (),
    auto_join: Mapping[str, str | ClaimPath] | None = None,
    capacity: int | None = None,
    limits: Limits | None = None,
) -> RoomTemplate:
    """Return a room template; `auto_join` maps parameters to claims or paths, and is empty for `true`."""
    pattern = text(name)
    claims = tuple(
        (each, (path,) if isinstance(path, str) else path) for each, path in (auto_join or {}).items()
    )
    return RoomTemplate(
        name=name,
        pattern=pattern,
        params=tuple(param(each, (params or {}).get(each)) for each in pattern[1::2]),
        join=rule(join),
        publish=rule(publish),
        events=_events(events),
        echo=False,
        auto_join=None if auto_join is None else AutoJoin(claims=claims, span=span()),
        capacity=capacity,
        limits=limits or Limits(),
        span=span(),
    )


def namespace(
    *rooms: RoomTemplate,
    name: NamespaceName = HALL,
    connect: Any = "public",
    publish: Any = "nobody",
    events: Mapping[str, Any] | Sequence[str] = (),
    limits: Limits | None = None,
) -> Namespace:
    """Return a namespace that takes the tokens of `ENTRY`."""
    return Namespace(
        name=name,
        issuers=(ENTRY,),
        connect=rule(connect),
        publish=rule(publish),
        events=_events(events),
        api=ApiRules(read=rule("nobody"), publish=rule("nobody"), manage=rule("nobody")),
        limits=limits or Limits(),
        rooms=rooms,
        span=span(),
    )


def policy(
    *namespaces: Namespace, rules: Mapping[str, Any] | None = None, admin_access: Any = "nobody"
) -> Policy:
    """Return a policy; `rules` are named rules in the file's shape."""
    return Policy(
        rules={name: rule(form) for name, form in (rules or {}).items()},
        namespaces={each.name: each for each in namespaces},
        schemas={},
        admin_access=rule(admin_access),
    )


def ruleset(*rooms: RoomTemplate, rules: Mapping[str, Any] | None = None, **of_namespace: Any) -> Ruleset:
    """Return the ruleset of a policy with the one namespace `HALL`."""
    return Ruleset.build(policy(namespace(*rooms, **of_namespace), rules=rules))


def person(sub: str = "ann", *, ends_at: float | None = None, entry: str = ENTRY, **claims: Any) -> Principal:
    """Return the principal of a token with these claims; its scopes come from `scope` and `scp`."""
    scopes, uncertain = collect_scopes(claims, ("scope", "scp"))
    return Principal(
        subject=Subject(EntryName(entry), sub),
        claims={"sub": sub, **claims},
        scopes=scopes,
        scopes_uncertain=uncertain,
        ends_at=ends_at,
    )


def connect(rules: Ruleset, who: Principal, **facts: Any) -> Decision:
    """Decide a connect to `HALL`."""
    return decide(rules, who, Connect(HALL), Facts(**facts), NOW)


def join(rules: Ruleset, who: Principal, room: str, *, by_server: bool = False, **facts: Any) -> Decision:
    """Decide a join in `HALL`."""
    return decide(rules, who, Join(HALL, room, by_server=by_server), Facts(**facts), NOW)


def publish(rules: Ruleset, who: Principal, room: str | None, event: str, **facts: Any) -> Decision:
    """Decide a publish in `HALL`; the session is in the room unless `memberships` says otherwise."""
    facts.setdefault("memberships", frozenset() if room is None else frozenset({room}))
    return decide(rules, who, Publish(HALL, room, event), Facts(**facts), NOW)


def _events(events: Mapping[str, Any] | Sequence[str]) -> dict[str, Event]:
    forms = events if isinstance(events, Mapping) else dict.fromkeys(events)
    return {
        name: Event(name=name, publish=None if form is None else rule(form), span=span())
        for name, form in forms.items()
    }
