"""From a token's text to whose it is: the one way in for every token, whatever brought it.

The order is what keeps it safe. The entry is chosen by the exact `iss` before anything else of the token
counts, so nothing of one issuer (key, algorithm, audience) can meet a token of another. The signature comes
before every claim, so what a stranger writes into a token changes no answer but `token_invalid`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import msgspec

from compartmentd.names import EntryName, Subject
from compartmentd.policy.codes import Code
from compartmentd.policy.principal import Principal, scopes_of
from compartmentd.tokens.claims import check_first, check_lasting
from compartmentd.tokens.compact import Compact, take_apart
from compartmentd.tokens.entry import REMOTE, IssuerEntry, Use
from compartmentd.tokens.keyset import Key, KeySet
from compartmentd.tokens.material import canonical, signature_holds
from compartmentd.tokens.rejected import MissingKey, Reason, Rejected, invalid, listed, quoted

MAX_TRIED = 8
"""Keys tried for a token that names none: a stranger can ask for as many operations with public keys."""


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """A token that counts. `ends_at` is wall time in seconds, the earlier of `exp` and `iat` + `max_age`.

    `payload` is the JSON text of the claims, `typ` the header's; with them the token can be judged again
    under another key set, without the token itself.
    """

    subject: Subject
    claims: dict[str, Any]
    payload: bytes
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
    """Judge a token for a use, at a time; `accept` narrows the entries (those of a namespace).

    Total: any text gives a value, never an exception.
    """
    parts = take_apart(token)
    if isinstance(parts, Rejected):
        return parts
    entry = _choose_entry(parts.claims, keys, use, accept)
    if isinstance(entry, Rejected):
        return entry
    key = verifying_key(parts, keys, entry)
    if isinstance(key, Rejected):
        return key
    ends_at = check_first(parts.claims, parts.typ, entry, now)
    if isinstance(ends_at, Rejected):
        return ends_at
    return Verified(
        subject=Subject(entry.name, parts.claims[entry.subject]),
        claims=parts.claims,
        payload=parts.payload,
        typ=parts.typ,
        algorithm=parts.algorithm,
        thumbprint=key.thumbprint,
        ends_at=ends_at,
    )


def judge_again(
    verified: Verified, keys: KeySet, use: Use, now: float, accept: Collection[EntryName] | None = None
) -> Verified | Rejected:
    """Judge a token verified earlier under the entries and keys of now, as a reload does for live sessions.

    The signature needs no second look; the key that made it must still be there, for that algorithm. A token
    that only ran out is `token_expired`; whatever else it fails by now, it was good before: `revoked`.
    """
    entry = _choose_entry(verified.claims, keys, use, accept)
    if isinstance(entry, Rejected):
        return _revoked(entry)
    same_entry = entry.name == verified.subject.entry
    if not same_entry or not keys.has(entry.name, verified.thumbprint, verified.algorithm):
        detail = f"{quoted(verified.subject.entry)} no longer has the key that verified the token"
        return Rejected(Code.REVOKED, Reason.KEY_REMOVED, detail)
    ends_at = check_lasting(verified.claims, verified.typ, entry, now)
    if isinstance(ends_at, Rejected):
        return _revoked(ends_at)
    subject = Subject(entry.name, verified.claims[entry.subject])
    if subject != verified.subject:
        return Rejected(
            Code.REVOKED, Reason.BAD_SUBJECT, f"{quoted(entry.name)} takes the subject elsewhere now"
        )
    return verified if ends_at == verified.ends_at else msgspec.structs.replace(verified, ends_at=ends_at)


def _revoked(rejected: Rejected) -> Rejected:
    if rejected.code is Code.TOKEN_EXPIRED:
        return rejected
    return msgspec.structs.replace(rejected, code=Code.REVOKED)


def principal_of(verified: Verified, entry: IssuerEntry) -> Principal:
    """Return the verified token's holder, as rules see it; `entry` is the one that verified it."""
    scopes, uncertain = scopes_of(verified.claims, entry.scopes)
    return Principal(
        subject=verified.subject,
        claims=verified.claims,
        scopes=scopes,
        scopes_uncertain=uncertain,
        ends_at=verified.ends_at,
    )


# --- the entry ----------------------------------------------------------------------------------------------


def _choose_entry(
    claims: dict[str, Any], keys: KeySet, use: Use, accept: Collection[EntryName] | None
) -> IssuerEntry | Rejected:
    issuer = claims.get("iss")
    if not isinstance(issuer, str):
        return invalid(Reason.UNKNOWN_ISSUER, "the token has no `iss` that is a string")
    entry = keys.by_issuer(issuer)
    if entry is None:
        return invalid(Reason.UNKNOWN_ISSUER, _unknown_issuer(issuer, keys.issuers))
    if use not in entry.use:
        detail = f"tokens of {quoted(entry.name)} are for {listed(entry.use)}, not for {quoted(use)}"
        return invalid(Reason.NOT_FOR_THIS_USE, detail)
    if accept is not None and entry.name not in accept:
        accepted = listed(accept) if accept else "none"
        detail = f"tokens of {quoted(entry.name)} are not accepted here; accepted are those of {accepted}"
        return invalid(Reason.NOT_ACCEPTED_HERE, detail)
    return entry


def _unknown_issuer(issuer: str, known: Iterable[str]) -> str:
    # A scan of prefixes and no edit distance: anyone can send an unknown issuer, and a long one.
    message = f"no entry has the token's `iss`, {quoted(issuer)}"
    nearest = max(known, key=lambda name: _common(name, issuer), default=None)
    return message if nearest is None else f"{message}; the nearest that is configured is {quoted(nearest)}"


def _common(name: str, issuer: str) -> int:
    pairs = enumerate(zip(name, issuer, strict=False))
    return next((index for index, (ours, theirs) in pairs if ours != theirs), min(len(name), len(issuer)))


# --- the key ------------------------------------------------------------------------------------------------


def verifying_key(parts: Compact, keys: KeySet, entry: IssuerEntry) -> Key | Rejected:
    """Return the key of the entry that made the token's signature."""
    known = keys.algorithms(entry.name)
    if not known:
        detail = f"there are no keys for {quoted(entry.name)} yet"
        return _missing(parts, entry, Rejected(Code.KEYS_UNAVAILABLE, Reason.NO_KEYS, detail))
    if parts.algorithm not in known and not _may_come(parts.algorithm, entry):
        detail = (
            f"the token's `alg` is {quoted(parts.algorithm)}; {quoted(entry.name)} can verify {listed(known)}"
        )
        return invalid(Reason.WRONG_ALGORITHM, detail)
    candidates = keys.candidates(entry.name, parts.algorithm, parts.kid)
    if not candidates:
        detail = f"no key of {quoted(entry.name)} has the token's `kid`, for {quoted(parts.algorithm)}"
        return _missing(parts, entry, invalid(Reason.UNKNOWN_KEY, detail))
    if len(candidates) > MAX_TRIED:
        detail = f"the header fits {len(candidates)} keys, and at most {MAX_TRIED} are tried: give it a `kid`"
        return invalid(Reason.AMBIGUOUS_KEY, detail)
    for key in candidates:
        if signature_holds(parts.algorithm, key.material, parts.signed, parts.signature):
            return key
    # Missing here as well: a provider may give another key the `kid` of an old one, or none at all.
    detail = f"the signature is not by a key of {quoted(entry.name)}"
    return _missing(parts, entry, invalid(Reason.BAD_SIGNATURE, detail))


def _may_come(algorithm: str, entry: IssuerEntry) -> bool:
    """Tell whether the provider may publish a key for an algorithm that no key of now is for."""
    return entry.keys.kind in REMOTE and algorithm in map(canonical, entry.algorithms)


def _missing(parts: Compact, entry: IssuerEntry, rejected: Rejected) -> Rejected:
    if entry.keys.kind not in REMOTE:
        return rejected
    return msgspec.structs.replace(rejected, missing=MissingKey(entry.name, parts.kid))
