"""Finds the entry of a token: by its exact `iss`, before anything else in the token is used."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from compartmentd.names import EntryName
from compartmentd.tokens.entry import TENANT, IssuerEntry, Use
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.rejected import Rejected, RejectReason, quote, quote_list, reject


def choose_entry(
    claims: Mapping[str, Any], keys: KeySet, use: Use, accept: Collection[EntryName] | None
) -> IssuerEntry | Rejected:
    """Return the entry of a token, or why there is none for this use.

    Args:
        claims: The token's claims; only `iss` is read.
        keys: The entries in force.
        use: The use of the token.
        accept: The names of the entries that are accepted here; `None` accepts all.
    """
    entry = find_entry(claims, keys)
    if isinstance(entry, Rejected):
        return entry
    return check_use(entry, use) or check_accepted(entry, accept) or entry


def find_entry(claims: Mapping[str, Any], keys: KeySet) -> IssuerEntry | Rejected:
    """Return the entry of the token's `iss`, or why there is none."""
    issuer = claims.get("iss")
    if not isinstance(issuer, str):
        return reject(RejectReason.UNKNOWN_ISSUER, "the token has no `iss` that is a string")
    entry = keys.find_by_issuer(issuer)
    return reject(RejectReason.UNKNOWN_ISSUER, _explain_unknown(issuer, keys)) if entry is None else entry


def check_use(entry: IssuerEntry, use: Use) -> Rejected | None:
    """Return why the entry's tokens are not for this use, or `None` if they are."""
    if use in entry.use:
        return None
    detail = f"tokens of {quote(entry.name)} are for {quote_list(entry.use)}, not for {quote(use)}"
    return reject(RejectReason.NOT_FOR_THIS_USE, detail)


def check_accepted(entry: IssuerEntry, accept: Collection[EntryName] | None) -> Rejected | None:
    """Return why the entry's tokens are not accepted here, or `None` if they are.

    `accept` is as in `choose_entry`.
    """
    if accept is None or entry.name in accept:
        return None
    accepted = quote_list(accept) if accept else "none"
    detail = f"tokens of {quote(entry.name)} are not accepted here; accepted are tokens of {accepted}"
    return reject(RejectReason.NOT_ACCEPTED_HERE, detail)


def _explain_unknown(issuer: str, keys: KeySet) -> str:
    entries = keys.entries.values()
    for entry in entries:
        before, found, after = entry.issuer.partition(TENANT)
        if found and issuer.startswith(before) and issuer.endswith(after):
            return f"the tenant of the token's `iss`, {quote(issuer)}, is not in `tenants` of {quote(entry.name)}"
    message = f"no entry has the token's `iss`, {quote(issuer)}"
    nearest = _find_nearest(issuer, (entry.issuer for entry in entries))
    return message if nearest is None else f"{message}; the nearest that is configured is {quote(nearest)}"


def _find_nearest(issuer: str, known: Iterable[str]) -> str | None:
    # Compares prefixes instead of edit distances: anyone can send a long unknown issuer.
    return max(known, key=lambda name: _count_common(name, issuer), default=None)


def _count_common(name: str, issuer: str) -> int:
    pairs = enumerate(zip(name, issuer, strict=False))
    return next((index for index, (ours, theirs) in pairs if ours != theirs), min(len(name), len(issuer)))
