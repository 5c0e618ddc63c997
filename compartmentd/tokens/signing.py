"""Finds the key that signed a token, among the keys of its entry."""

from __future__ import annotations

from typing import Any

import msgspec

from compartmentd.policy.codes import Code
from compartmentd.tokens.entry import SECRETS, IssuerEntry, fill_tenant
from compartmentd.tokens.jws import Header, Segments, UnverifiedToken
from compartmentd.tokens.key import Key
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.material import MAX_TRIED, SECRET_BYTES, normalize_algorithm, verify_signature
from compartmentd.tokens.rejected import MissingKey, Rejected, RejectReason, quote, quote_list, reject


def find_verifying_key(parts: UnverifiedToken, keys: KeySet, entry: IssuerEntry) -> Key | Rejected:
    """Return the key of the entry that signed the token, or why there is none."""
    candidates = find_candidates(parts.header, parts.claims, keys, entry)
    if isinstance(candidates, Rejected):
        return candidates
    return find_signer(parts.header, parts.segments, candidates, entry)


def find_candidates(
    header: Header, claims: dict[str, Any], keys: KeySet, entry: IssuerEntry
) -> tuple[Key, ...] | Rejected:
    """Return the entry's keys that may have signed the token (1 to `MAX_TRIED`), or why there are none."""
    known = keys.list_algorithms(entry.name)
    waiting = header.algorithm not in SECRET_BYTES and _may_be_published(header.algorithm, entry)
    if not known or (waiting and SECRET_BYTES.keys() >= set(known)):
        detail = f"there are no keys for {quote(entry.name)} yet"
        return _mark_missing(header, entry, Rejected(Code.KEYS_UNAVAILABLE, RejectReason.NO_KEYS, detail))
    if header.algorithm not in known and not _may_be_published(header.algorithm, entry):
        able = f"{quote(entry.name)} can verify {quote_list(known)}"
        detail = f"the token's `alg` is {quote(header.algorithm)}; {able}"
        return reject(RejectReason.WRONG_ALGORITHM, detail)
    fitting = keys.find_candidates(entry.name, header.algorithm, header.kid)
    candidates = tuple(key for key in fitting if _may_sign_for(key, claims))
    if not candidates:
        detail = f"no key of {quote(entry.name)} has the token's `kid`, for {quote(header.algorithm)}"
        if fitting:
            detail = (
                f"the key of {quote(entry.name)} that has the token's `kid` is for another issuer's tokens"
            )
        return _mark_missing(header, entry, reject(RejectReason.UNKNOWN_KEY, detail))
    if len(candidates) > MAX_TRIED:
        detail = f"the header fits {len(candidates)} keys, and at most {MAX_TRIED} are tried: give it a `kid`"
        return reject(RejectReason.AMBIGUOUS_KEY, detail)
    return candidates


def find_signer(
    header: Header, segments: Segments, candidates: tuple[Key, ...], entry: IssuerEntry
) -> Key | Rejected:
    """Return the candidate that made the signature, or why none did."""
    for key in candidates:
        if verify_signature(header.algorithm, key.material, segments.signed, segments.signature):
            return key
    # Such a key can be missing, too: a provider may give a new key the `kid` of an old one, or no `kid` at all.
    detail = f"the signature is not by a key of {quote(entry.name)}"
    return _mark_missing(header, entry, reject(RejectReason.BAD_SIGNATURE, detail))


def _may_sign_for(key: Key, claims: dict[str, Any]) -> bool:
    """Return whether a key may sign for the token's `iss`, which its entry has accepted.

    Entra's key sets for all tenants also contain keys of single tenants, which must not sign for any other tenant.
    """
    if key.issuer is None:
        return True
    tenant = claims.get("tid")
    return isinstance(tenant, str) and fill_tenant(key.issuer, tenant) == claims.get("iss")


def _may_be_published(algorithm: str, entry: IssuerEntry) -> bool:
    """Return whether the provider may yet publish a key for an algorithm that no current key has."""
    return _is_fetched(algorithm, entry) and algorithm in map(normalize_algorithm, entry.algorithms)


def _is_fetched(algorithm: str, entry: IssuerEntry) -> bool:
    """Return whether keys for an algorithm are fetched; a secret beside such keys never is."""
    beside = entry.sources[-1].kind in SECRETS
    return entry.remote is not None and not (beside and algorithm in SECRET_BYTES)


def _mark_missing(header: Header, entry: IssuerEntry, rejected: Rejected) -> Rejected:
    if not _is_fetched(header.algorithm, entry):
        return rejected
    return msgspec.structs.replace(rejected, missing=MissingKey(entry.name, header.kid))
