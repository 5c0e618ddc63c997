"""Every check of a token that comes in, by name and in order; what each needs of those before it.

`verify` stops at the first that fails. A diagnosis goes on, with all that does not need what failed.

The order is what keeps it safe. The entry is chosen by the exact `iss` before anything else of the token
counts, so nothing of one issuer (key, algorithm, audience) can meet a token of another. The signature comes
before every claim, so what a stranger writes into a token changes no answer but `token_invalid`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from compartmentd.names import EntryName
from compartmentd.tokens.claims import CLAIM_CHECKS, ClaimCheck, TokenClaims
from compartmentd.tokens.entry import IssuerEntry, Use
from compartmentd.tokens.issuing import entry_of, refused_here, refused_use
from compartmentd.tokens.jws import Header, Segments, read_header, read_payload, split
from compartmentd.tokens.keyset import Key, KeySet
from compartmentd.tokens.rejected import Rejected
from compartmentd.tokens.signing import candidates_for, signer


class Judging:
    """One token being judged: what it is judged by, and what the steps have found so far.

    `said` is what the checks of claims look at; it is there once the first of them may run.
    """

    __slots__ = (
        "accept",
        "candidates",
        "claims",
        "entry",
        "header",
        "key",
        "keys",
        "now",
        "said",
        "segments",
        "token",
        "use",
    )

    segments: Segments
    header: Header
    claims: dict[str, Any]
    entry: IssuerEntry
    candidates: tuple[Key, ...]
    key: Key

    def __init__(
        self, token: str, keys: KeySet, use: Use, now: float, accept: Collection[EntryName] | None
    ) -> None:
        self.token = token
        self.keys = keys
        self.use = use
        self.now = now
        self.accept = accept
        self.said: TokenClaims | None = None


class Step(NamedTuple):
    """A check: it returns why the token does not pass, or `None`; it may run once those that it `needs` passed."""

    name: str
    take: Callable[[Judging], Rejected | None]
    needs: tuple[str, ...] = ()


def _form(judging: Judging) -> Rejected | None:
    return _keep(judging, "segments", split(judging.token))


def _header(judging: Judging) -> Rejected | None:
    return _keep(judging, "header", read_header(judging.segments))


def _payload(judging: Judging) -> Rejected | None:
    return _keep(judging, "claims", read_payload(judging.segments))


def _issuer(judging: Judging) -> Rejected | None:
    return _keep(judging, "entry", entry_of(judging.claims, judging.keys))


def _use(judging: Judging) -> Rejected | None:
    return refused_use(judging.entry, judging.use) or refused_here(judging.entry, judging.accept)


def _key(judging: Judging) -> Rejected | None:
    found = candidates_for(judging.header, judging.claims, judging.keys, judging.entry)
    return _keep(judging, "candidates", found)


def _signature(judging: Judging) -> Rejected | None:
    found = signer(judging.header, judging.segments, judging.candidates, judging.entry)
    return _keep(judging, "key", found)


def _keep(judging: Judging, name: str, found: Any) -> Rejected | None:
    if isinstance(found, Rejected):
        return found
    setattr(judging, name, found)
    return None


def _of_claims(check: ClaimCheck) -> Step:
    def take(judging: Judging) -> Rejected | None:
        if judging.said is None:
            judging.said = TokenClaims(judging.claims, judging.header.typ, judging.entry, judging.now)
        return check.refuses(judging.said)

    return Step(check.name, take, ("header", "issuer", *check.needs))


STEPS = (
    Step("form", _form),
    Step("header", _header, ("form",)),
    Step("payload", _payload, ("form",)),
    Step("issuer", _issuer, ("payload",)),
    Step("use", _use, ("issuer",)),
    Step("key", _key, ("header", "issuer")),
    Step("signature", _signature, ("key",)),
    *map(_of_claims, CLAIM_CHECKS),
)
"""INVARIANT: each needs only steps that stand before it (held by a test)."""
