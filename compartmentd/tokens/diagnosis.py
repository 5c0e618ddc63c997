"""Runs every check of a token, passed or not: the same steps as `verify`, which stops at the first failure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from compartmentd.tokens.entry import IssuerEntry, Use
from compartmentd.tokens.jws import Header
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.rejected import Rejected, RejectReason
from compartmentd.tokens.steps import STEPS, Verification, VerificationStep
from compartmentd.tokens.verify import Verified, build_verified

StepOutcome: TypeAlias = Literal["passed", "failed", "skipped"]

PASSED: Mapping[str, str] = {
    "form": "it is a signed JWT",
    "header": "its header can be read, and asks for nothing unusual",
    "payload": "its claims are an unambiguous JSON object",
    "issuer": "an entry has its `iss`",
    "use": "the entry is for this use",
    "key": "the entry has a key that fits its header",
    "signature": "the signature is by that key",
    "typ": "its `typ` is among `types` of the entry",
    "kind": "it reports no event, and nothing marks it as an ID token",
    "dates": "`iat`, `exp` and `nbf` are times",
    "begun": "it is already valid",
    "end": "it has neither expired nor become too old",
    "audience": "it is meant for this server",
    "subject": "it names a subject",
    "requirements": "it has what the entry requires",
}
"""The finding of each check that passes."""


class Finding(msgspec.Struct, frozen=True):
    """The result of one check; `detail` is a sentence for the operator, `reason` the stable word for a failure."""

    check: str
    outcome: StepOutcome
    detail: str
    reason: RejectReason | None = None


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """All findings in order, and the result of `verify` for the same token.

    `header`, `claims` and `entry` are set as far as the token could be read; the claims are verified only if
    `verdict` is a `Verified`.
    """

    findings: tuple[Finding, ...]
    verdict: Verified | Rejected
    header: Header | None = None
    claims: Mapping[str, Any] | None = None
    entry: IssuerEntry | None = None

    def __repr__(self) -> str:
        """Return what a log or an assertion may show: no claim."""
        return f"Diagnosis(findings={self.findings!r}, verdict={self.verdict!r})"


def diagnose(token: str, keys: KeySet, use: Use, now: float) -> Diagnosis:
    """Run every check of a token that can be run. Total, like `verify`: any text gives a value.

    Args:
        token: The token's text.
        keys: The entries and keys in force.
        use: The use to check the token for.
        now: Wall time in seconds.
    """
    verification = Verification(token, keys, use, now, None)
    outcomes: dict[str, StepOutcome] = {}
    findings = []
    first: Rejected | None = None
    for step in STEPS:
        lacking = [name for name in step.needs if outcomes[name] != "passed"]
        refused = None if lacking else step.run(verification)
        finding = _build_finding(step, lacking, refused)
        outcomes[step.name] = finding.outcome
        findings.append(finding)
        first = first or refused
    return Diagnosis(
        findings=tuple(findings),
        verdict=build_verified(verification) if first is None else first,
        header=getattr(verification, "header", None),
        claims=getattr(verification, "claims", None),
        entry=getattr(verification, "entry", None),
    )


def _build_finding(step: VerificationStep, lacking: list[str], refused: Rejected | None) -> Finding:
    if lacking:
        return Finding(step.name, "skipped", f"skipped: it needs {lacking[0]}")
    if refused is not None:
        return Finding(step.name, "failed", refused.detail, refused.reason)
    return Finding(step.name, "passed", PASSED[step.name])
