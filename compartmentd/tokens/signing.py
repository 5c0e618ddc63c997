"""Which key signed a token, among those of its entry that may have."""

from __future__ import annotations

from typing import Any

import msgspec

from compartmentd.policy.codes import Code
from compartmentd.tokens.entry import REMOTE, IssuerEntry, of_tenant
from compartmentd.tokens.jws import Compact, Header, Segments
from compartmentd.tokens.keyset import Key, KeySet
from compartmentd.tokens.material import canonical, signature_holds
from compartmentd.tokens.rejected import MissingKey, Reason, Rejected, invalid, listed, quoted

MAX_TRIED = 8
"""Keys tried for a token that names none: a stranger can ask for as many operations with public keys."""


def verifying_key(parts: Compact, keys: KeySet, entry: IssuerEntry) -> Key | Rejected:
    """Return the key of the entry that made the token's signature."""
    candidates = candidates_for(parts.header, parts.claims, keys, entry)
    if isinstance(candidates, Rejected):
        return candidates
    return signer(parts.header, parts.segments, candidates, entry)


def candidates_for(
    header: Header, claims: dict[str, Any], keys: KeySet, entry: IssuerEntry
) -> tuple[Key, ...] | Rejected:
    """Return the keys of the entry that may have signed a token of this header: 1 to `MAX_TRIED`."""
    known = keys.algorithms(entry.name)
    if not known:
        detail = f"there are no keys for {quoted(entry.name)} yet"
        return _missing(header, entry, Rejected(Code.KEYS_UNAVAILABLE, Reason.NO_KEYS, detail))
    if header.algorithm not in known and not _may_come(header.algorithm, entry):
        detail = f"the token's `alg` is {quoted(header.algorithm)}; {quoted(entry.name)} can verify {listed(known)}"
        return invalid(Reason.WRONG_ALGORITHM, detail)
    fitting = keys.candidates(entry.name, header.algorithm, header.kid)
    candidates = tuple(key for key in fitting if _signs_for(key, claims))
    if not candidates:
        detail = f"no key of {quoted(entry.name)} has the token's `kid`, for {quoted(header.algorithm)}"
        if fitting:
            detail = (
                f"the key of {quoted(entry.name)} that has the token's `kid` is for another issuer's tokens"
            )
        return _missing(header, entry, invalid(Reason.UNKNOWN_KEY, detail))
    if len(candidates) > MAX_TRIED:
        detail = f"the header fits {len(candidates)} keys, and at most {MAX_TRIED} are tried: give it a `kid`"
        return invalid(Reason.AMBIGUOUS_KEY, detail)
    return candidates


def signer(
    header: Header, segments: Segments, candidates: tuple[Key, ...], entry: IssuerEntry
) -> Key | Rejected:
    """Return the one of these keys of the entry that made the signature."""
    for key in candidates:
        if signature_holds(header.algorithm, key.material, segments.signed, segments.signature):
            return key
    # Missing here as well: a provider may give another key the `kid` of an old one, or none at all.
    detail = f"the signature is not by a key of {quoted(entry.name)}"
    return _missing(header, entry, invalid(Reason.BAD_SIGNATURE, detail))


def _signs_for(key: Key, claims: dict[str, Any]) -> bool:
    """Tell whether the key may sign for the token's `iss`, which its entry has accepted.

    Entra's key sets for all tenants hold keys of single ones, too, that no other tenant's token may be signed by.
    """
    if key.issuer is None:
        return True
    tenant = claims.get("tid")
    return isinstance(tenant, str) and of_tenant(key.issuer, tenant) == claims.get("iss")


def _may_come(algorithm: str, entry: IssuerEntry) -> bool:
    """Tell whether the provider may publish a key for an algorithm that no key of now is for."""
    return entry.keys.kind in REMOTE and algorithm in map(canonical, entry.algorithms)


def _missing(header: Header, entry: IssuerEntry, rejected: Rejected) -> Rejected:
    if entry.keys.kind not in REMOTE:
        return rejected
    return msgspec.structs.replace(rejected, missing=MissingKey(entry.name, header.kid))
