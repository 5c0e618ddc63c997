"""Finds rules that are allowed but can never hold, which is almost certainly a mistake."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from compartmentd.policy.model import (
    All,
    AnyOf,
    Authenticated,
    Bound,
    ByServer,
    Contains,
    Equals,
    Exists,
    Filled,
    IntegerParam,
    JsonScalar,
    Moment,
    Named,
    Nobody,
    Not,
    OneOfParam,
    Param,
    Public,
    Rule,
    Test,
)
from compartmentd.policy.templates.integers import read_integer


def find_contradiction(test: Test, param: Param) -> str | None:
    """Return why no value of the parameter satisfies the test, or `None` if one may."""
    match test:
        case Contains():
            return f"parameter `{param.name}` is no list, so this never holds"
        case Exists(wanted=False):
            return f"parameter `{param.name}` always exists, so this never holds"
        case Bound() | Moment() if not isinstance(param, IntegerParam):
            return f"parameter `{param.name}` is text and no number, so this never holds"
        case Equals(values=values) if not any(_can_equal(value, param) for value in values):
            return f"parameter `{param.name}` never has such a value"
    return None


def _can_equal(value: JsonScalar | Filled, param: Param) -> bool:
    if isinstance(value, Filled):
        return True
    if isinstance(param, IntegerParam):
        return not isinstance(value, bool) and read_integer(_format_digits(value), param) is not None
    if not isinstance(value, str):
        return False
    return value in param.values if isinstance(param, OneOfParam) else True


def _format_digits(value: str | float) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def holds_without_token(rule: Rule, named: Mapping[str, Rule], depth: int = 0) -> bool | None:
    """Return whether the rule holds for a client without a token: true, false, or unknown (`None`)."""
    match rule:
        case Public():
            return True
        case Authenticated() | Nobody() | ByServer():
            return False
        case All():
            return _combine_all(holds_without_token(part, named, depth) for part in rule.parts)
        case AnyOf():
            return _negate(
                _combine_all(_negate(holds_without_token(part, named, depth)) for part in rule.parts)
            )
        case Not():
            return _negate(holds_without_token(rule.part, named, depth))
        case Named() if depth < len(named) and rule.name in named:
            return holds_without_token(named[rule.name], named, depth + 1)
    return None


def _negate(value: bool | None) -> bool | None:
    return None if value is None else not value


def _combine_all(values: Iterable[bool | None]) -> bool | None:
    seen = list(values)
    return False if False in seen else None if None in seen else True
