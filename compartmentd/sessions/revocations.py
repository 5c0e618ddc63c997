"""Tokens that no longer count although they are valid: those of a user or session that logged out or was revoked.

A revocation names tokens of one issuer by subject, session or id, and reaches those issued at `before` or
earlier, and those that do not tell when; it is kept until none of them can live. By the issuer and not by its
entry: the operator may rename an entry, and the tokens stay the same.

INVARIANT: forgetting never lets a token in. A revocation is dropped when its tokens are too old for every entry;
where too many are kept, the oldest is replaced by a floor, under which every token of that issuer is revoked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf
from typing import Literal, TypeAlias

import msgspec

from compartmentd.policy.codes import Code
from compartmentd.tokens.claims import read_name
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.rejected import Rejected, RejectReason
from compartmentd.tokens.verify import Verified

CAPACITY = 200_000
"""Revocations kept at most, some 60 MB of them; reached by 140 logouts a minute with a `max_age` of a day."""

MARGIN = 3600.0
"""Seconds for which a revocation is kept beyond its tokens: for leeway, and for a wall clock that is set back."""

RevocationKind: TypeAlias = Literal["sub", "sid", "jti", "sub_without_sid", "all"]
"""The name of the tokens: their subject, their session, their id; their subject, if they do not tell their session
(not every provider puts `sid` into access tokens); nothing, which means every token of the issuer."""

TokenName: TypeAlias = tuple[RevocationKind, str]


class Revocation(msgspec.Struct, frozen=True, kw_only=True):
    """Names tokens that no longer count. `value` is that of the claim, empty for `all`.

    `before` and `at`, when it came in, are wall time in seconds. `code` is what their holders are told:
    `logged_out` or `revoked`.
    """

    issuer: str
    kind: RevocationKind
    value: str
    before: float
    code: Code
    at: float

    def __post_init__(self) -> None:
        """Hold it to what the clients' protocol knows: it may come from a file."""
        if self.code not in {Code.LOGGED_OUT, Code.REVOKED}:
            raise ValueError("a revocation's code is `logged_out` or `revoked`")

    def __repr__(self) -> str:
        """Return what a log or an assertion may show: nobody's name."""
        return f"Revocation(kind={self.kind!r}, before={self.before!r}, code={self.code.value!r})"

    def covers(self, verified: Verified, issuer: str) -> bool:
        """Return whether a token of this issuer is revoked by it."""
        if issuer != self.issuer or read_issue_time(verified) > self.before:
            return False
        return self.kind == "all" or (self.kind, self.value) in list_names(verified)


def read_issue_time(verified: Verified) -> float:
    """Return when a token was issued, in seconds: before everything else if it does not tell."""
    return float(verified.claims.get("iat", -inf))


def list_names(verified: Verified) -> Iterator[TokenName]:
    """Yield what a revocation may call this token by.

    A subject is known by the claim that the entry takes it from, and by `sub`, which logout tokens have.
    """
    claims = verified.claims
    subjects = {verified.subject.sub}
    if (sub := read_name(claims.get("sub"))) is not None:
        subjects.add(sub)
    for subject in subjects:
        yield ("sub", subject)
    if isinstance(jti := claims.get("jti"), str):
        yield ("jti", jti)
    if isinstance(sid := claims.get("sid"), str):
        yield ("sid", sid)
    else:
        for subject in subjects:
            yield ("sub_without_sid", subject)


class Revocations:
    """All revocations that may still matter, by what they name.

    `max_age` is the longest life of a token of all entries ever told (`keep_for`), in seconds.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        # In the order of `at`: what comes in, or comes again, goes to the end.
        self._named: dict[tuple[str, TokenName], Revocation] = {}
        self._floors: dict[str, Revocation] = {}
        self.max_age = 0.0

    def __len__(self) -> int:
        """Return how many are kept."""
        return len(self._named) + len(self._floors)

    def keep_for(self, max_age: float) -> None:
        """Keep revocations for tokens of this age, too: an entry lets them live so long."""
        self.max_age = max(self.max_age, max_age)

    def add(self, revocation: Revocation) -> bool:
        """Add a revocation; of two of one name the one with the later `before` counts.

        Returns whether it made another one reach every token of its issuer: too many are kept (`CAPACITY`).
        """
        if revocation.kind == "all":
            self._raise_floor(revocation)
            return False
        key = (revocation.issuer, (revocation.kind, revocation.value))
        known = self._named.get(key)
        if known is not None and known.before >= revocation.before:
            return False
        self._named.pop(key, None)
        self._named[key] = revocation
        if len(self._named) <= self._capacity:
            return False
        oldest = self._named.pop(next(iter(self._named)))
        self._raise_floor(msgspec.structs.replace(oldest, kind="all", value="", code=Code.REVOKED))
        return True

    def find_covering(self, verified: Verified, issuer: str) -> Revocation | None:
        """Return the revocation that covers a token of this issuer, `None` if the token counts."""
        if not self._named and not self._floors:
            return None
        issued = read_issue_time(verified)
        for name in list_names(verified):
            revocation = self._named.get((issuer, name))
            if revocation is not None and issued <= revocation.before:
                return revocation
        floor = self._floors.get(issuer)
        return floor if floor is not None and issued <= floor.before else None

    def find_for(self, verified: Verified, keys: KeySet) -> Revocation | None:
        """Return the revocation that covers a token, `None` if the token counts.

        Args:
            verified: The token.
            keys: The keys in force, whose entries say of which issuer it is.
        """
        entry = keys.entries.get(verified.subject.entry)
        # Without an entry: a reload has just removed it, and judging the session will end it.
        return None if entry is None else self.find_covering(verified, entry.issuer)

    def refuse_revoked(self, verified: Verified | Rejected, keys: KeySet) -> Verified | Rejected:
        """Refuse a token that was revoked; every verified token that lets somebody in passes here.

        Args:
            verified: The token as it was verified, or rejected.
            keys: The keys by which it was verified.

        Returns:
            What was given, or the rejection of a revoked token.
        """
        if isinstance(verified, Rejected):
            return verified
        revocation = self.find_for(verified, keys)
        if revocation is None:
            return verified
        return Rejected(revocation.code, RejectReason(revocation.code.value), _REVOKED[revocation.code])

    def expire(self, now: float) -> None:
        """Drop what can concern no living token any more."""
        last = now - self.max_age - MARGIN
        while self._named:
            key, revocation = next(iter(self._named.items()))
            if max(revocation.at, revocation.before) >= last:
                break
            del self._named[key]
        for issuer, floor in tuple(self._floors.items()):
            if max(floor.at, floor.before) < last:
                del self._floors[issuer]

    def list_all(self) -> tuple[Revocation, ...]:
        """Return all of them, in the order in which `restore` wants them."""
        return (*self._floors.values(), *self._named.values())

    def restore(self, revocations: Iterable[Revocation]) -> None:
        """Take in what `list_all` returned before a restart."""
        for revocation in revocations:
            self.add(revocation)

    def _raise_floor(self, floor: Revocation) -> None:
        known = self._floors.get(floor.issuer)
        if known is None:
            self._floors[floor.issuer] = floor
            return
        higher = floor if known.before < floor.before else known
        # A token that does not tell its age may outlive `before`, so what came in last decides how long it is kept.
        self._floors[floor.issuer] = msgspec.structs.replace(higher, at=max(known.at, floor.at))


_REVOKED = {
    Code.LOGGED_OUT: "the token was issued before its user logged out",
    Code.REVOKED: "the token is among those that were revoked",
}
