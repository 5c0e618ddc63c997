"""The steps of verifying a token, by name and in order, each with the steps that it needs.

`verify` stops at the first step that fails. A diagnosis continues with the steps that do not need a failed one.

The order matters for safety. The entry is chosen by the exact `iss` before anything else in the token is used, so
nothing of one issuer (key, algorithm, audience) is applied to a token of another. The signature is checked before
every claim, so the content of a forged token cannot change the answer from `token_invalid`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from compartmentd.names import EntryName
from compartmentd.tokens.claims import CLAIM_CHECKS, ClaimCheck, TokenClaims
from compartmentd.tokens.entry import IssuerEntry, Use
from compartmentd.tokens.issuing import check_accepted, check_use, find_entry
from compartmentd.tokens.jws import Header, Segments, read_claims, read_header, split_token
from compartmentd.tokens.key import Key
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.rejected import Rejected
from compartmentd.tokens.signing import find_candidates, find_signer


class Verification:
    """The verification of one token: its inputs, and what the steps have found so far.

    `token_claims` is the input of the checks of claims; the first of them builds it.
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
        "segments",
        "token",
        "token_claims",
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
        self.token_claims: TokenClaims | None = None


class VerificationStep(NamedTuple):
    """A step: `run` returns why the token does not pass, or `None`.

    It may run once the steps in `needs` have passed.
    """

    name: str
    run: Callable[[Verification], Rejected | None]
    needs: tuple[str, ...] = ()


def _check_form(verification: Verification) -> Rejected | None:
    return _store(verification, "segments", split_token(verification.token))


def _check_header(verification: Verification) -> Rejected | None:
    return _store(verification, "header", read_header(verification.segments))


def _check_payload(verification: Verification) -> Rejected | None:
    return _store(verification, "claims", read_claims(verification.segments))


def _check_issuer(verification: Verification) -> Rejected | None:
    return _store(verification, "entry", find_entry(verification.claims, verification.keys))


def _check_use(verification: Verification) -> Rejected | None:
    return check_use(verification.entry, verification.use) or check_accepted(
        verification.entry, verification.accept
    )


def _check_key(verification: Verification) -> Rejected | None:
    found = find_candidates(verification.header, verification.claims, verification.keys, verification.entry)
    return _store(verification, "candidates", found)


def _check_signature(verification: Verification) -> Rejected | None:
    found = find_signer(
        verification.header, verification.segments, verification.candidates, verification.entry
    )
    return _store(verification, "key", found)


def _store(verification: Verification, name: str, found: Any) -> Rejected | None:
    if isinstance(found, Rejected):
        return found
    setattr(verification, name, found)
    return None


def _build_claim_step(check: ClaimCheck) -> VerificationStep:
    def take(verification: Verification) -> Rejected | None:
        if verification.token_claims is None:
            verification.token_claims = TokenClaims(
                verification.claims, verification.header.typ, verification.entry, verification.now
            )
        return check.check(verification.token_claims)

    return VerificationStep(check.name, take, ("header", "issuer", *check.needs))


STEPS = (
    VerificationStep("form", _check_form),
    VerificationStep("header", _check_header, ("form",)),
    VerificationStep("payload", _check_payload, ("form",)),
    VerificationStep("issuer", _check_issuer, ("payload",)),
    VerificationStep("use", _check_use, ("issuer",)),
    VerificationStep("key", _check_key, ("header", "issuer")),
    VerificationStep("signature", _check_signature, ("key",)),
    *map(_build_claim_step, CLAIM_CHECKS),
)
"""INVARIANT: each step needs only steps before it (a test checks it)."""
