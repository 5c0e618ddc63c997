"""Finds values of conditions that were probably meant as parameters of the room's name, and are plain text."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

from compartmentd.policy.model import All, AnyOf, Claim, Contains, Equals, Not, Rule
from compartmentd.problems import Span

_SIGNS = re.compile(r":(\w+)|\$(\w+)|%(\w+)%|<(\w+)>|\[(\w+)\]|\{(\w+)\}")
"""A parameter as other systems write it, and `{{name}}`, which is the text `{name}`."""


class Unfilled(NamedTuple):
    """A value that is not replaced."""

    span: Span
    message: str
    help: str


def find_unfilled(rule: Rule, params: Collection[str], *, parameters_used: bool) -> Iterator[Unfilled]:
    """Yield the values that look like a parameter.

    Args:
        rule: The rule of a room; named rules in it are not followed, since they serve several rooms.
        params: The names of the room's parameters.
        parameters_used: Whether the rule asks for a parameter anywhere. Then a value that merely is the name of one
            is probably meant as it stands.
    """
    match rule:
        case All() | AnyOf():
            for part in rule.parts:
                yield from find_unfilled(part, params, parameters_used=parameters_used)
        case Not():
            yield from find_unfilled(rule.part, params, parameters_used=parameters_used)
        case Claim(test=Equals() | Contains() as test):
            for value in test.values:
                name = _find_name(value, params, bare=not parameters_used) if isinstance(value, str) else None
                if name is not None:
                    message = f"`{value}` is text here, and not the parameter `{name}` of the room"
                    yield Unfilled(test.span, message, f'write "{{{name}}}" if the parameter is meant')


def _find_name(value: str, params: Collection[str], *, bare: bool) -> str | None:
    found = _SIGNS.fullmatch(value)
    name = value if found is None else next(part for part in found.groups() if part is not None)
    return name if name in params and (bare or found is not None) else None
