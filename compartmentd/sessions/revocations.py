"""Tokens that no longer count although they are valid: those of a user or session that logged out or was revoked.

A revocation names tokens of one issuer by subject, session or id, and reaches those issued at `before` or
earlier; it is kept until none of them can live. By the issuer and not by its entry: the operator may rename an
entry, and the tokens stay the same.

INVARIANT: forgetting never lets a token in. A revocation is dropped when its tokens are too old for every entry;
where too many are kept, the oldest is replaced by a floor, under which every token of that issuer is revoked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

import msgspec

from compartmentd.policy.codes import Code
from compartmentd.tokens.verify import Verified

CAPACITY = 200_000
"""Revocations kept at most, some 60 MB of them; reached by 140 logouts a minute with a `max_age` of a day."""

MARGIN = 3600.0
"""Seconds for which a revocation is kept beyond its tokens: for leeway, and for a wall clock that is set back."""

Kind: TypeAlias = Literal["subject", "session", "token", "sessionless", "all"]
"""What the value of a record is: a subject, a `sid`, a `jti`; a subject whose tokens name no `sid`; nothing."""

Name: TypeAlias = tuple[Kind, str]


class Revocation(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for. `sub`, `sid` or `jti` names the tokens; `before` is wall time in seconds.

    `sub` and `sid` together, as logout tokens have them, name the session's tokens and the subject's tokens
    without a `sid`, which may be of that session: not all providers put it into access tokens.
    """

    issuer: str
    before: float
    code: Literal[Code.LOGGED_OUT, Code.REVOKED]
    sub: str | None = None
    sid: str | None = None
    jti: str | None = None

    def __post_init__(self) -> None:
        """Hold a revocation to name something, since one that names nothing would seem to have been done."""
        if not self.names:
            raise ValueError("a revocation names a subject, a session or a token")

    @property
    def names(self) -> tuple[Name, ...]:
        """What it names; a token that has one of these names is revoked."""
        if self.jti is not None:
            return (("token", self.jti),)
        if self.sid is None:
            return () if self.sub is None else (("subject", self.sub),)
        session: Name = ("session", self.sid)
        return (session,) if self.sub is None else (session, ("sessionless", self.sub))

    def covers(self, verified: Verified, issuer: str) -> bool:
        """Tell whether a token of this issuer is revoked by it."""
        known = issuer == self.issuer and verified.claims["iat"] <= self.before
        return known and not set(self.names).isdisjoint(names_of(verified))


def names_of(verified: Verified) -> Iterator[Name]:
    """Yield what a revocation may call this token by.

    A subject is known by the claim that the entry takes it from, and by `sub`, which logout tokens have.
    """
    claims = verified.claims
    subjects = {verified.subject.sub}
    if isinstance(sub := claims.get("sub"), str):
        subjects.add(sub)
    for subject in subjects:
        yield ("subject", subject)
    if isinstance(jti := claims.get("jti"), str):
        yield ("token", jti)
    if isinstance(sid := claims.get("sid"), str):
        yield ("session", sid)
    else:
        for subject in subjects:
            yield ("sessionless", subject)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One name that is revoked, as it is kept; `added` is the wall time at which it came in."""

    issuer: str
    kind: Kind
    value: str
    before: float
    code: Literal[Code.LOGGED_OUT, Code.REVOKED]
    added: float

    def __repr__(self) -> str:
        """Return what a log or an assertion may show: nobody's name."""
        return f"Record(kind={self.kind!r}, before={self.before!r})"


class Revocations:
    """All revocations that may still matter, by what they name.

    `max_age` is the longest of all entries ever told (`keep_for`), in seconds.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        # In the order of `added`: what comes in, or comes again, goes to the end.
        self._records: dict[tuple[str, Name], Record] = {}
        self._floors: dict[str, Record] = {}
        self.max_age = 0.0

    def __len__(self) -> int:
        """Return how many records are kept."""
        return len(self._records) + len(self._floors)

    def keep_for(self, max_age: float) -> None:
        """Keep revocations for tokens of this age, too: an entry lets them live so long."""
        self.max_age = max(self.max_age, max_age)

    def add(self, revocation: Revocation, now: float) -> None:
        """Take a revocation in; of two of one name the later counts."""
        self.expire(now)
        for kind, value in revocation.names:
            self._put(
                Record(
                    issuer=revocation.issuer,
                    kind=kind,
                    value=value,
                    before=revocation.before,
                    code=revocation.code,
                    added=now,
                )
            )

    def covering(self, verified: Verified, issuer: str) -> Record | None:
        """Return the record that revokes a token of this issuer, `None` if the token counts."""
        if not self._records and not self._floors:
            return None
        issued = verified.claims["iat"]
        for name in names_of(verified):
            record = self._records.get((issuer, name))
            if record is not None and issued <= record.before:
                return record
        floor = self._floors.get(issuer)
        return floor if floor is not None and issued <= floor.before else None

    def expire(self, now: float) -> None:
        """Drop what can concern no living token any more."""
        last = now - self.max_age - MARGIN
        while self._records:
            name, record = next(iter(self._records.items()))
            if max(record.added, record.before) >= last:
                break
            del self._records[name]
        for issuer, floor in tuple(self._floors.items()):
            if floor.before < last:
                del self._floors[issuer]

    # --- keeping over a restart -------------------------------------------------------------------------------

    def records(self) -> tuple[Record, ...]:
        """Return everything that is kept, in the order in which `restore` wants it."""
        return (*self._floors.values(), *self._records.values())

    def restore(self, records: Iterable[Record]) -> None:
        """Take in what `records` returned before."""
        for record in records:
            if record.kind == "all":
                self._raise_floor(record)
            else:
                self._put(record)

    def _put(self, record: Record) -> None:
        key = (record.issuer, (record.kind, record.value))
        known = self._records.get(key)
        if known is not None and known.before >= record.before:
            return
        self._records.pop(key, None)
        self._records[key] = record
        if len(self._records) > self._capacity:
            oldest = self._records.pop(next(iter(self._records)))
            self._raise_floor(msgspec.structs.replace(oldest, kind="all", value="", code=Code.REVOKED))

    def _raise_floor(self, record: Record) -> None:
        known = self._floors.get(record.issuer)
        if known is None or known.before < record.before:
            self._floors[record.issuer] = record
