"""Checks rules against the issuers of a namespace: a subject is unique only within its entry.

Two identity providers may both know a `sub` of `ann`. Where a namespace takes tokens of both, a rule that compares
the subject, or an auto-join by it, gives each the rooms of the other, unless a condition names the issuer too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from compartmentd.configuration.compiler.report import Report
from compartmentd.policy.claim_path import ClaimPath, describe_path
from compartmentd.policy.model import (
    All,
    AnyOf,
    Claim,
    Exists,
    Named,
    Namespace,
    Not,
    OfIssuer,
    RoomTemplate,
    Rule,
)
from compartmentd.policy.rules.traverse import walk_rule
from compartmentd.problems import Span
from compartmentd.tokens.entry import IssuerEntry

_ISS = (("iss",),)
"""The path of the claim that names the issuer itself; comparing it serves as well."""


class RuleIssuers:
    """Checks the rules of namespaces; `named` are the named rules, none of which leads to itself."""

    def __init__(self, named: Mapping[str, Rule], entries: Iterable[IssuerEntry], report: Report) -> None:
        self.named = named
        self.subjects = {entry.name: entry.subject for entry in entries}
        self.report = report
        self._told: set[Span] = set()
        self._naming: dict[str, bool] = {}

    def check(self, namespaces: Iterable[Namespace]) -> None:
        """Warn of each comparison of a bare subject, and of each issuer whose tokens a namespace does not take."""
        for namespace in namespaces:
            rules = list(_list_rules(namespace))
            self._check_names(rules, namespace)
            if len(namespace.issuers) > 1:
                subjects = {self.subjects[name] for name in namespace.issuers if name in self.subjects}
                seen: set[tuple[str, bool]] = set()
                for claim in (claim for rule in rules for claim in self._find_bare(rule, subjects, seen)):
                    self._warn_of_subject(claim.span, namespace, f"`{describe_path(_read_path(claim))}`")
                for room in namespace.rooms:
                    self._check_auto_join(room, namespace, subjects)

    def _check_names(self, rules: Iterable[Rule], namespace: Namespace) -> None:
        waiting, seen = list(rules), set()
        while waiting:
            for part in walk_rule(waiting.pop()):
                if isinstance(part, Named) and part.name not in seen and part.name in self.named:
                    seen.add(part.name)
                    waiting.append(self.named[part.name])
                elif isinstance(part, OfIssuer) and not set(part.names) & set(namespace.issuers):
                    several = ", ".join(f"`{name}`" for name in part.names)
                    message = f"this never holds in `{namespace.name}`, which takes no tokens of {several}"
                    wanted = ", ".join((*namespace.issuers, *part.names))
                    help_ = f"write `issuers: [{wanted}]` in the namespace, or take the condition out"
                    self._warn(part.span, "rule.never", message, help_)

    def _check_auto_join(self, room: RoomTemplate, namespace: Namespace, subjects: set[ClaimPath]) -> None:
        if room.auto_join is None:
            return
        found = [path for _, path in room.auto_join.claims if path in subjects]
        # A comparison of the same subject in `join` is the same mistake, and told already.
        if (
            found
            and not self._names_issuer(room.join)
            and not any(self._find_bare(room.join, subjects, set()))
        ):
            what = f"auto-join by `{describe_path(found[0])}`: it"
            self._warn_of_subject(room.auto_join.span, namespace, what)

    def _warn_of_subject(self, span: Span, namespace: Namespace, what: str) -> None:
        first, second, *_ = namespace.issuers
        message = (
            f"{what} may be one user of `{first}` and another of `{second}`, "
            f"and `{namespace.name}` takes tokens of both"
        )
        help_ = f"name the issuer too, as in `{{all: [{{issuer: {first}}}, ...]}}`"
        self._warn(span, "rule.bare-subject", message, help_)

    def _find_bare(
        self, rule: Rule, subjects: set[ClaimPath], seen: set[tuple[str, bool]], *, guarded: bool = False
    ) -> Iterator[Claim]:
        """Find the comparisons of a subject that no condition on the issuer stands beside.

        Args:
            rule: The rule.
            subjects: The paths of the claims that name the user.
            seen: The named rules that were looked at, each with `guarded`; it grows.
            guarded: Whether a condition on the issuer stands beside the rule.
        """
        match rule:
            case Claim() if not guarded and not isinstance(rule.test, Exists):
                if _read_path(rule) in subjects:
                    yield rule
            case All() | AnyOf():
                if isinstance(rule, All):
                    guarded = guarded or any(map(self._names_issuer, rule.parts))
                for part in rule.parts:
                    yield from self._find_bare(part, subjects, seen, guarded=guarded)
            case Not():
                yield from self._find_bare(rule.part, subjects, seen, guarded=guarded)
            case Named() if rule.name in self.named and (rule.name, guarded) not in seen:
                seen.add((rule.name, guarded))
                yield from self._find_bare(self.named[rule.name], subjects, seen, guarded=guarded)

    def _names_issuer(self, rule: Rule) -> bool:
        """Return whether the rule can be true only after a condition has looked at the issuer."""
        match rule:
            case OfIssuer():
                return True
            case Claim():
                return rule.path == _ISS
            case All():
                return any(map(self._names_issuer, rule.parts))
            case AnyOf():
                return all(map(self._names_issuer, rule.parts))
            case Not():
                return self._names_issuer(rule.part)
            case Named() if rule.name in self.named:
                if rule.name not in self._naming:
                    self._naming[rule.name] = self._names_issuer(self.named[rule.name])
                return self._naming[rule.name]
        return False

    def _warn(self, span: Span, code: str, message: str, help_: str) -> None:
        if span not in self._told:
            self._told.add(span)
            self.report.warning(span, code, message, help_)


def _read_path(claim: Claim) -> ClaimPath:
    """Return the path of a condition's claim; a name with placeholders is in no entry's path."""
    return tuple(item[0] if len(item) == 1 else "" for item in claim.path)


def _list_rules(namespace: Namespace) -> Iterator[Rule]:
    yield namespace.connect
    yield namespace.publish
    for room in namespace.rooms:
        yield room.join
        yield room.publish
    for events in (namespace.events, *(room.events for room in namespace.rooms)):
        yield from (event.publish for event in events.values() if event.publish is not None)
