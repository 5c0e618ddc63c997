"""Checks rules against the place where they stand: its parameters, and the conditions that have a meaning there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from compartmentd.configuration.compiler.plausible import find_contradiction
from compartmentd.configuration.compiler.report import Report
from compartmentd.configuration.compiler.requirements import NamedRules, Need, NeedKind
from compartmentd.document.nearest import find_nearest
from compartmentd.policy.model import Members, Param, Rule, Text
from compartmentd.policy.rules.placeholders import format_text, list_parameters
from compartmentd.policy.templates.overlap import Ambiguity, find_ambiguity

_NO_VARIABLES = "nothing replaces variables in this file: write the value itself, or a parameter as `{name}`"
_INSTEAD: Mapping[str, str] = {
    "member_of": "only a room's `join` sees in which rooms a session is; write a condition on the token",
    "server": "only a room's `join` knows who made it; write a condition on the token, or `nobody`",
    "members": "only a room has members; write `authenticated`, or a condition on the token",
}
"""What to write in place of a condition that has no meaning there, by the kind of need."""


class Place(NamedTuple):
    """The place of a rule: `key` of `owner`, the room's parameters, and the conditions that have a meaning there.

    `vague` says that only the names of the parameters are known, not their forms.
    """

    key: str
    owner: str
    params: Mapping[str, Param] = {}
    join: bool = False
    publish: bool = False
    vague: bool = False


class Places:
    """Checks rules against their places."""

    def __init__(self, named: NamedRules, report: Report) -> None:
        self.named = named
        self.report = report
        self._ambiguous: dict[tuple[Text, tuple[Param, ...]], Ambiguity | None] = {}
        self._check_named_rules()

    def check(self, rule: Rule, place: Place) -> None:
        """Report each requirement of the rule that the place does not meet, once."""
        if isinstance(rule, Members) and place.publish:
            return
        self.named.check_depth(rule, self.report)
        for need in dict.fromkeys(self.named.needs(rule)):
            self._checks[need.kind](self, need, place)

    def _check_named_rules(self) -> None:
        for rule in self.named.rules.values():
            for need in self.named.needs(rule):
                if need.kind == "members" and need.via is None:
                    help_ = "write `publish: members` in the room itself"
                    self.report.error(
                        need.span, "rule.place", "`members` may not stand in a named rule", help_
                    )

    def _check_text(self, need: Need, place: Place) -> None:
        names = list_parameters(need.text)
        for name in dict.fromkeys(names):
            if name not in place.params:
                self._report_no_parameter(need, name, place)
                return
        if any(literal.endswith("$") for literal in need.text[:-1:2]):
            message = f"`$` stands before a parameter in `{format_text(need.text)}`, and stays there"
            help_ = f"write `{format_text(need.text).replace('${', '{')}`"
            self.report.warning(need.span, "rule.implausible", message, help_)
        if len(set(names)) > 1 and not place.vague:
            self._check_readable(need, place)

    def _check_readable(self, need: Need, place: Place) -> None:
        params = {name: place.params[name] for name in list_parameters(need.text)}
        key = (need.text, tuple(params.values()))
        if key not in self._ambiguous:
            self._ambiguous[key] = find_ambiguity(need.text, params)
        found = self._ambiguous[key]
        if found is not None:
            told = (
                f"can be read in two ways: `{found.example}`"
                if found.example
                else "may be readable in two ways"
            )
            message = f"`{format_text(need.text)}` {told}{_describe_via(need)}"
            help_ = "put a literal between the placeholders that none of them can hold"
            self.report.error(need.span, "rule.ambiguous", message, help_)

    def _check_parameter(self, need: Need, place: Place) -> None:
        if need.name not in place.params:
            self._report_no_parameter(need, need.name, place)
        elif need.test is not None and need.via is None and not place.vague:
            reason = find_contradiction(need.test, place.params[need.name])
            if reason is not None:
                self.report.warning(need.test.span, "rule.never", reason)

    def _report_no_parameter(self, need: Need, name: str, place: Place) -> None:
        message = f"{place.owner} has no parameter `{name}`{_describe_via(need)}"
        variable = any(literal.endswith("$") for literal in need.text[:-1:2])
        help_ = _NO_VARIABLES if variable else _suggest_parameter(name, place.params)
        self.report.error(need.span, "rule.parameter", message, help_)

    def _check_member_of(self, need: Need, place: Place) -> None:
        if not place.join:
            self._report_misplaced(need, "`member_of`", "in the `join` of a room", place)
        elif need.negated:
            help_ = "losing a membership must never open a room"
            self.report.error(
                need.span, "rule.place", f"`member_of` may not stand under `not`{_describe_via(need)}", help_
            )
        else:
            self._check_text(need, place)

    def _check_server(self, need: Need, place: Place) -> None:
        if not place.join:
            self._report_misplaced(need, "`server`", "in the `join` of a room", place)

    def _check_members(self, need: Need, place: Place) -> None:
        if need.via is not None:
            return  # reported where the named rule is written
        if not place.publish:
            self._report_misplaced(need, "`members`", "in the `publish` of a room", place)
        else:
            help_ = "only members publish to a room, so this changes nothing: leave it out here"
            self.report.error(need.span, "rule.place", "`members` stands alone or not at all", help_)

    _checks: Mapping[NeedKind, Callable[[Places, Need, Place], None]] = {
        "text": _check_text,
        "param": _check_parameter,
        "member_of": _check_member_of,
        "server": _check_server,
        "members": _check_members,
    }

    def _report_misplaced(self, need: Need, what: str, where: str, place: Place) -> None:
        message = f"{what} may stand only {where}, not in `{place.key}` of {place.owner}{_describe_via(need)}"
        self.report.error(need.span, "rule.place", message, _INSTEAD[need.kind])


def _describe_via(need: Need) -> str:
    return "" if need.via is None else f" (through rule `{need.via}`)"


def _suggest_parameter(name: str, params: Iterable[str]) -> str:
    names = list(params)
    near = find_nearest(name, names)
    if near is not None:
        return f"did you mean `{near}`?"
    if not names:
        return "parameters are those in a room's name; write `{{` and `}}` for literal braces"
    return f"its parameters are {', '.join(f'`{each}`' for each in names)}"
