"""The result of `explain-token`, as text and as JSON.

Of the token it shows only the header, `iss`, `aud`, the scopes and the names of the claims.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
import msgspec

from compartmentd.policy.decision import Decision, Reason, Truth
from compartmentd.telemetry.decision_feed import reason_as_json, span_as_json
from compartmentd.tokens.diagnosis import Diagnosis, StepOutcome
from compartmentd.tokens.rejected import quote, quote_list
from compartmentd.tokens.verify import Verified

_MARKS: Mapping[StepOutcome, str] = {"passed": "✓", "failed": "✗", "skipped": "·"}
_TRUTHS: Mapping[Truth, str] = {Truth.TRUE: "✓", Truth.FALSE: "✗", Truth.UNKNOWN: "?"}
_COLOURS = {"✓": "green", "✗": "red", "·": None, "?": "yellow"}
_INDENT = "    "


class TokenReport(msgspec.Struct, frozen=True, kw_only=True):
    """The diagnosis of a token, with what it may do if it is accepted.

    `scopes` is `None` if it is rejected; `scopes_uncertain` is set if a claim that lists scopes has the wrong type.
    `decisions` are by place, such as a namespace. `notes` say why there are no keys.
    """

    diagnosis: Diagnosis
    notes: tuple[str, ...] = ()
    scopes: tuple[str, ...] | None = None
    scopes_uncertain: bool = False
    decisions: Mapping[str, Decision] = {}

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
                }
                for finding in self.diagnosis.findings
            ],
            "notes": list(self.notes),
            "scopes": None if self.scopes is None else list(self.scopes),
            "scopes_uncertain": self.scopes_uncertain,
            "decisions": {place: _build_decision(decision) for place, decision in self.decisions.items()},
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
        if shown["claims"]:
            yield f"claims  {quote_list(shown['claims'], most=50)}"

    def _format_checks(self) -> Iterator[str]:
        width = max(len(finding.check) for finding in self.diagnosis.findings)
        for finding in self.diagnosis.findings:
            mark = _MARKS[finding.outcome]
            yield f"{_colour_mark(mark)} {finding.check:<{width}}  {finding.detail}"
            if finding.check == "key" and finding.outcome == "failed":
                yield from (f"{_INDENT}{note}" for note in self.notes)

    def _format_abilities(self) -> Iterator[str]:
        if self.scopes is None:
            return
        yield ""
        yield f"scopes  {self._format_scopes()}"
        if self.scopes_uncertain:
            yield f"{_INDENT}a claim that lists scopes has the wrong type or is not in the token"
        for place, decision in self.decisions.items():
            yield ""
            outcome = _colour_mark("✓") if decision.allowed else _colour_mark("✗")
            yield f"{outcome} {place}{'' if decision.allowed else f'  {decision.code}'}"
            yield from _format_reasons(decision.reasons, 1)

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


def _build_decision(decision: Decision) -> dict[str, Any]:
    return {
        "allowed": decision.allowed,
        "code": decision.code,
        "reasons": [reason_as_json(reason) for reason in decision.reasons],
        "lines": [span_as_json(span) for span in decision.spans],
    }


def _format_reasons(reasons: Sequence[Reason], depth: int) -> Iterator[str]:
    for reason in reasons:
        place = "" if reason.span is None else f"  ({reason.span})"
        yield f"{_INDENT * depth}{_colour_mark(_TRUTHS[reason.truth])} {reason.text}{place}"
        yield from _format_reasons(reason.parts, depth + 1)


def _colour_mark(mark: str) -> str:
    return click.style(mark, fg=_COLOURS[mark])
