"""The naive twin of the rules: written from the description of the rules alone, on the shapes of the file.

`True`, `False` and `None` (unknown). It knows nothing of reasons, blame or time's next moment, shares no code with
the decision core, and takes no short cut.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Truth = bool | None


@dataclass
class World:
    """All that a rule can look at. `params` holds an `int` for an integer parameter, else a `str`."""

    claims: dict[str, Any] | None  # None: there is no token
    scopes: frozenset[str] = frozenset()
    scopes_uncertain: bool = False
    params: dict[str, str | int] = field(default_factory=dict)
    memberships: frozenset[str] = frozenset()
    by_server: bool = False
    rules: Mapping[str, Any] = field(default_factory=dict)
    now: float = 0.0
    entry: str = "corp"


def truth(form: Any, world: World) -> Truth:
    """Return what the rule comes to."""
    if isinstance(form, str):
        return _word(form, world)
    word = next(iter(form))
    given = form[word]
    if word == "all":
        return _and([truth(part, world) for part in given])
    if word == "any":
        return _or([truth(part, world) for part in given])
    if word == "not":
        inner = truth(given, world)
        return None if inner is None else not inner
    if word == "rule":
        return truth(world.rules[given], world)
    if word == "member_of":
        return _filled(given, world) in world.memberships
    if word == "issuer":
        return None if world.claims is None else world.entry in ([given] if isinstance(given, str) else given)
    if word == "scope":
        return _scope(given, world)
    if word == "all_scopes":
        return _and([_scope(each, world) for each in given])
    if word == "any_scope":
        return _or([_scope(each, world) for each in given])
    test = {key: value for key, value in form.items() if key != word}
    if word == "param":
        return _param(world.params[given], test, world)
    return _claim(given, test, world)


def _word(word: str, world: World) -> Truth:
    return {
        "public": True,
        "authenticated": world.claims is not None,
        "nobody": False,
        "server": world.by_server,
    }[word]


def _and(parts: list[Truth]) -> Truth:
    if False in parts:
        return False
    return None if None in parts else True


def _or(parts: list[Truth]) -> Truth:
    if True in parts:
        return True
    return None if None in parts else False


def _filled(text: str, world: World) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: str(world.params[found[1]]), text)


def _scope(scope: str, world: World) -> Truth:
    if world.claims is None:
        return None
    if _filled(scope, world) in world.scopes:
        return True
    return None if world.scopes_uncertain else False


def _claim(path: Any, test: dict[str, Any], world: World) -> Truth:
    if world.claims is None:
        return None
    names = path if isinstance(path, list) else [path]
    here: Any = world.claims
    moved = world.claims.get("_claim_names")
    named = moved is not None and (not isinstance(moved, dict) or names[0] in moved)
    if named and world.claims.get(names[0]) is None:
        return None
    for index, name in enumerate(names):
        if not isinstance(here, dict):
            return None
        here = here.get(_filled(name, world) if index else name)
        if here is None:
            return test == {"exists": False}
    return _test(here, test, world)


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number" if math.isfinite(value) else "nothing"
    return {str: "string", list: "array", dict: "object"}.get(type(value), "null")


def _wanted(value: Any, world: World) -> list[Any]:
    """Return what a test's value stands for: an integer parameter by itself is a number and a string."""
    if not isinstance(value, str):
        return [value]
    alone = re.fullmatch(r"\{(\w+)\}", value)
    if alone and isinstance(world.params[alone[1]], int):
        return [world.params[alone[1]], str(world.params[alone[1]])]
    return [_filled(value, world)]


def _same(left: Any, right: Any) -> bool:
    return _type(left) == _type(right) and left == right


def _test(value: Any, test: dict[str, Any], world: World) -> Truth:
    ((word, given),) = test.items()
    if word == "exists":
        return bool(given)
    if word in ("equals", "one_of"):
        wanted = [each for one in (given if word == "one_of" else [given]) for each in _wanted(one, world)]
        if _type(value) not in {_type(each) for each in wanted}:
            return None
        return any(_same(value, each) for each in wanted)
    if word in ("contains", "contains_any"):
        wanted = [
            each for one in (given if word == "contains_any" else [given]) for each in _wanted(one, world)
        ]
        if _type(value) not in ("array", "object"):
            return None
        items = list(value)
        if any(_same(item, each) for item in items for each in wanted):
            return True
        return False if all(_type(item) in {_type(each) for each in wanted} for item in items) else None
    if word == "matches":
        return bool(re.fullmatch(given, value)) if _type(value) == "string" else None
    if _type(value) != "number":
        return None
    if word == "is":
        return value <= world.now if given == "past" else value > world.now
    return value >= given if word == "at_least" else value <= given


def _param(value: str | int, test: dict[str, Any], world: World) -> Truth:
    """Test a parameter: an integer passes if the integer or its decimal form does, and fails if neither can."""
    readings = [value, str(value)] if isinstance(value, int) else [value]
    found = [_test(reading, test, world) for reading in readings]
    if True in found:
        return True
    return False if False in found else None
