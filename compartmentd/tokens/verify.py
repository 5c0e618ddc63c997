"""Verifies a token: the only way from its text to its subject, wherever the token came from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from compartmentd.names import EntryName, Subject
from compartmentd.policy.codes import Code
from compartmentd.policy.principal import Principal, collect_scopes
from compartmentd.tokens.claims import TokenClaims, check_lasting, compute_end, read_subject
from compartmentd.tokens.entry import IssuerEntry, Use
from compartmentd.tokens.issuing import choose_entry
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.rejected import Rejected, RejectReason, quote
from compartmentd.tokens.steps import STEPS, Verification
from compartmentd.util.footprint import share_names


class Verified(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A verified token. `ends_at` is wall time in seconds: the earlier of `exp` and the end of `max_age`.

    `typ` is the header's; with it and the claims, which may be packed (`kept_claims`), the token can be verified
    again under another key set, without its text. None of its values can refer back to it, so the garbage collector
    need not track it.
    """

    subject: Subject
    claims: Mapping[str, Any]
    typ: str | None
    algorithm: str
    thumbprint: str
    ends_at: float

    def __repr__(self) -> str:
        """Return what a log or an assertion may show: no claim."""
        return f"Verified(entry={self.subject.entry!r}, ends_at={self.ends_at!r})"


def verify(
    token: str, keys: KeySet, use: Use, now: float, accept: Collection[EntryName] | None = None
) -> Verified | Rejected:
    """Verify a token. Total: any text gives a value, never an exception.

    Args:
        token: The token's text.
        keys: The entries and keys in force.
        use: The use of the token.
        now: Wall time in seconds.
        accept: The names of the entries that are accepted here (those of a namespace); `None` accepts all.
    """
    verification = Verification(token, keys, use, now, accept)
    for step in STEPS:
        refused = step.run(verification)
        if refused is not None:
            return refused
    return build_verified(verification)


def build_verified(verification: Verification) -> Verified:
    """Return the result for a token that has passed every step."""
    claims, entry = share_names(verification.claims), verification.entry
    _share_texts(claims, entry)
    return Verified(
        subject=Subject(entry.name, read_subject(claims, entry)),
        claims=claims,
        typ=verification.header.typ,
        algorithm=verification.header.algorithm,
        thumbprint=verification.key.thumbprint,
        ends_at=compute_end(claims, entry),
    )


def _share_texts(claims: dict[str, Any], entry: IssuerEntry) -> None:
    """Replace texts that the entry has, too, by the entry's own: 150 bytes less for each session."""
    if claims["iss"] == entry.issuer:  # else it is that of one tenant
        claims["iss"] = entry.issuer
    audience = claims.get(entry.audience_claim)
    if isinstance(audience, str) and audience in entry.audience:
        claims[entry.audience_claim] = entry.audience[entry.audience.index(audience)]


def reverify(
    verified: Verified, keys: KeySet, use: Use, now: float, accept: Collection[EntryName] | None = None
) -> Verified | Rejected:
    """Verify a token again under other entries and keys, as a reload does for live sessions.

    The signature is not checked again, but the key that made it must still be present for that algorithm. A
    token that has merely ended is rejected as `token_expired`; any other failure is `revoked`, since the token
    was good before.

    Args:
        verified: The result of the earlier verification.
        keys: The entries and keys in force now.
        use: The use of the token.
        now: Wall time in seconds.
        accept: As in `verify`.
    """
    entry = choose_entry(verified.claims, keys, use, accept)
    if isinstance(entry, Rejected):
        return _mark_revoked(entry)
    same_entry = entry.name == verified.subject.entry
    if not same_entry or not keys.has_key(entry.name, verified.thumbprint, verified.algorithm):
        detail = f"{quote(verified.subject.entry)} no longer has the key that verified the token"
        return Rejected(Code.REVOKED, RejectReason.KEY_REMOVED, detail)
    refused = check_lasting(TokenClaims(verified.claims, verified.typ, entry, now))
    if refused is not None:
        return _mark_revoked(refused)
    subject = Subject(entry.name, read_subject(verified.claims, entry))
    if subject != verified.subject:
        return Rejected(
            Code.REVOKED, RejectReason.BAD_SUBJECT, f"{quote(entry.name)} takes the subject elsewhere now"
        )
    end = compute_end(verified.claims, entry)
    return verified if end == verified.ends_at else msgspec.structs.replace(verified, ends_at=end)


def _mark_revoked(rejected: Rejected) -> Rejected:
    if rejected.code is Code.TOKEN_EXPIRED:
        return rejected
    return msgspec.structs.replace(rejected, code=Code.REVOKED)


def build_principal(verified: Verified, entry: IssuerEntry) -> Principal:
    """Return the principal of a verified token, as rules see it; `entry` is the entry that verified it."""
    scopes, uncertain = collect_scopes(verified.claims, entry.scopes)
    return Principal(
        subject=verified.subject,
        claims=verified.claims,
        scopes=scopes,
        scopes_uncertain=uncertain,
        ends_at=verified.ends_at,
    )
