"""The result of `explain-token`, as text and as JSON.

Of the token it shows the header, `iss`, `aud`, the scopes, the names of the claims, and the values that a condition
compared or that name a room. It is for the terminal of somebody who has the token, and never logged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
import msgspec

from compartmentd.analysis.reach import NamespaceReach
from compartmentd.policy.decision import Decision, Reason, Truth
from compartmentd.policy.seen import Seen
from compartmentd.problems import Span
from compartmentd.telemetry.decision_feed import reason_as_json, span_as_json
from compartmentd.tokens.diagnosis import Diagnosis, StepOutcome
from compartmentd.tokens.rejected import quote, quote_list
from compartmentd.tokens.verify import Verified

_MARKS: Mapping[StepOutcome, str] = {"passed": "✓", "failed": "✗", "skipped": "·"}
_TRUTHS: Mapping[Truth, str] = {Truth.TRUE: "✓", Truth.FALSE: "✗", Truth.UNKNOWN: "?"}
_COLOURS = {"✓": "green", "✗": "red", "·": None, "?": "yellow"}
_INDENT = "    "
_MOST_SKIPPED = 5
"""Values that are shown of one template."""


class TokenReport(msgspec.Struct, frozen=True, kw_only=True):
    """The diagnosis of a token, with what it may do if it is accepted.

    `scopes` is `None` if it is rejected; `scopes_uncertain` is set if a claim that lists scopes has the wrong type.
    `decisions` are by place, such as a namespace; so are `seen`, what their conditions saw, and `reach`, the rooms.
    `notes` say why there are no keys, `remarks` what stood around the token, `remedies` what helps against a failed
    check, `scope_remedy` which claim could hold scopes.
    """

    diagnosis: Diagnosis
    notes: tuple[str, ...] = ()
    scopes: tuple[str, ...] | None = None
    scopes_uncertain: bool = False
    decisions: Mapping[str, Decision] = {}
    remarks: tuple[str, ...] = ()
    remedies: Mapping[str, tuple[str, ...]] = {}
    scope_remedy: str | None = None
    seen: Mapping[str, Mapping[Span, str]] = {}
    reach: Mapping[str, NamespaceReach] = {}

    @property
    def ok(self) -> bool:
        """Whether the token is accepted, and allowed at least one of the decisions, if there are any."""
        decisions = self.decisions.values()
        counts = isinstance(self.diagnosis.verdict, Verified)
        return counts and (not decisions or any(decision.allowed for decision in decisions))

    # --- JSON ------------------------------------------------------------------------------------------------

    def as_json(self) -> dict[str, Any]:
        """Return the document of `--format json`."""
        entry = self.diagnosis.entry
        return {
            "ok": self.ok,
            "token": self._collect_shown(),
            "entry": None if entry is None else entry.name,
            "checks": [
                {
                    "check": finding.check,
                    "outcome": finding.outcome,
                    "detail": finding.detail,
                    "reason": finding.reason,
                    "remedies": list(self.remedies.get(finding.check, ())),
                }
                for finding in self.diagnosis.findings
            ],
            "notes": list(self.notes),
            "remarks": list(self.remarks),
            "scopes": None if self.scopes is None else list(self.scopes),
            "scopes_uncertain": self.scopes_uncertain,
            "scope_remedy": self.scope_remedy,
            "decisions": {
                place: {
                    **_build_decision(decision, self.seen.get(place, {})),
                    **(_build_reach(self.reach[place]) if place in self.reach else {}),
                }
                for place, decision in self.decisions.items()
            },
        }

    def _collect_shown(self) -> dict[str, Any]:
        header, claims = self.diagnosis.header, self.diagnosis.claims or {}
        return {
            "alg": None if header is None else header.algorithm,
            "kid": None if header is None else header.kid,
            "typ": None if header is None else header.typ,
            "iss": claims.get("iss") if isinstance(claims.get("iss"), str) else None,
            "aud": _read_audience(claims),
            "claims": sorted(claims),
        }

    # --- text ------------------------------------------------------------------------------------------------

    def as_text(self) -> str:
        """Return the lines of `--format text`; every text from the token is quoted and bounded."""
        return "\n".join([*self._format_token(), "", *self._format_checks(), *self._format_abilities()])

    def _format_token(self) -> Iterator[str]:
        shown = self._collect_shown()
        parts = {name: shown[name] for name in ("iss", "alg", "kid", "typ") if shown[name] is not None}
        told = [f"{name} {quote(value)}" for name, value in parts.items()]
        told += [f"aud {quote_list(shown['aud'])}"] if shown["aud"] else []
        yield f"token   {', '.join(told) or 'cannot be read'}"
        yield from (f"{_INDENT}{remark}" for remark in self.remarks)
        if shown["claims"]:
            yield f"claims  {quote_list(shown['claims'], most=50)}"

    def _format_checks(self) -> Iterator[str]:
        width = max(len(finding.check) for finding in self.diagnosis.findings)
        for finding in self.diagnosis.findings:
            mark = _MARKS[finding.outcome]
            yield f"{_colour_mark(mark)} {finding.check:<{width}}  {finding.detail}"
            if finding.check == "key" and finding.outcome == "failed":
                yield from (f"{_INDENT}{note}" for note in self.notes)
            yield from (f"{_INDENT}→ {remedy}" for remedy in self.remedies.get(finding.check, ()))

    def _format_abilities(self) -> Iterator[str]:
        if self.scopes is None:
            return
        yield ""
        yield f"scopes  {self._format_scopes()}"
        if self.scopes_uncertain:
            yield f"{_INDENT}a claim that lists scopes has the wrong type or is not in the token"
        if self.scope_remedy is not None:
            yield f"{_INDENT}→ {self.scope_remedy}"
        for place, decision in self.decisions.items():
            yield ""
            outcome = _colour_mark("✓") if decision.allowed else _colour_mark("✗")
            yield f"{outcome} {place}{'' if decision.allowed else f'  {decision.code}'}"
            yield from _format_reasons(decision.reasons, 1, self.seen.get(place, {}))
            if place in self.reach:
                yield from _format_reach(self.reach[place])

    def _format_scopes(self) -> str:
        if self.scopes:
            return quote_list(self.scopes, most=50)
        entry = self.diagnosis.entry
        sources = () if entry is None else entry.scopes
        return f"none: they are read from {quote_list(sources)}"


def _read_audience(claims: Mapping[str, Any]) -> list[str]:
    audience = claims.get("aud")
    values = [audience] if isinstance(audience, str) else audience
    return [item for item in values if isinstance(item, str)] if isinstance(values, list) else []


def _build_decision(decision: Decision, seen: Mapping[Span, str]) -> dict[str, Any]:
    return {
        "allowed": decision.allowed,
        "code": decision.code,
        "reasons": [reason_as_json(reason, seen) for reason in decision.reasons],
        "lines": [span_as_json(span) for span in decision.spans],
    }


def _build_reach(reach: NamespaceReach) -> dict[str, Any]:
    return {
        "auto_join": [
            {"template": row.template, "joined": list(row.joined), "skipped": list(row.skipped)}
            for row in reach.auto_joins
        ],
        "rooms": [
            {
                "room": row.room,
                "template": row.template,
                "example": row.example,
                **_build_decision(row.decision, _map_seen(row.seen)),
            }
            for row in reach.rooms
        ],
    }


def _map_seen(seen: Sequence[Seen]) -> Mapping[Span, str]:
    return {each.span: each.text for each in seen}


def _format_reach(reach: NamespaceReach) -> Iterator[str]:
    for row in reach.auto_joins:
        mark = _colour_mark("✓" if row.joined else "·")
        yield f"{_INDENT}{mark} auto-join of {row.template}: {quote_list(row.joined) if row.joined else 'no room'}"
        yield from (f"{_INDENT * 2}skipped {text}" for text in row.skipped[:_MOST_SKIPPED])
        if len(row.skipped) > _MOST_SKIPPED:
            yield f"{_INDENT * 2}and {len(row.skipped) - _MOST_SKIPPED} more"
    for room in reach.rooms:
        decision = room.decision
        of = "an example of" if room.example else "of"
        told = "" if room.room == room.template else f"  ({of} {room.template})"
        code = "" if decision.allowed else f"  {decision.code}"
        yield f"{_INDENT}{_colour_mark('✓' if decision.allowed else '✗')} join {quote(room.room)}{told}{code}"
        if not decision.allowed:
            yield from _format_reasons(decision.reasons, 2, _map_seen(room.seen))


def _format_reasons(reasons: Sequence[Reason], depth: int, seen: Mapping[Span, str]) -> Iterator[str]:
    for reason in reasons:
        place = "" if reason.span is None else f"  ({reason.span})"
        yield f"{_INDENT * depth}{_colour_mark(_TRUTHS[reason.truth])} {reason.text}{place}"
        if reason.span is not None and reason.truth is not Truth.TRUE and reason.span in seen:
            yield f"{_INDENT * (depth + 1)}{seen[reason.span]}"
        yield from _format_reasons(reason.parts, depth + 1, seen)


def _colour_mark(mark: str) -> str:
    return click.style(mark, fg=_COLOURS[mark])
