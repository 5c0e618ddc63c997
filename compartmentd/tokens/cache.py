"""A cache of recently verified tokens, so that a reconnecting crowd costs a hash each and no signature.

A cached result is always what verifying again would return: it is used only until the token ends, for a use that
its entry lists, and while the entry, its fingerprint and the verifying key are in the current key set. Rejections
are not cached, since a new key or a later time may make them wrong.

The cache is bounded by the memory that it takes, since a token takes from 1 to 200 KiB. Beyond it the tokens that
were not used for longest are dropped. Those that have ended are dropped within a minute of their end, and those of
a key or entry that is gone soon after the key set has changed.
"""

from __future__ import annotations

from collections.abc import Collection
from hashlib import sha256
from sys import getsizeof

import msgspec

from compartmentd.names import EntryName
from compartmentd.tokens.entry import Use
from compartmentd.tokens.jws import MAX_TOKEN
from compartmentd.tokens.kept_claims import KeptClaims, keep_named, measure_claims
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.rejected import Rejected
from compartmentd.tokens.verify import Verified, verify

ENTRY_BYTES = 320
"""Bytes that a cached token takes beside its claims and subject: its hash, its place in two tables, the objects
around it. With it the sum was within 10 % of what 2,000 to 29,000 tokens of 230 to 8,000 characters added to a
process."""

PERIOD = 60
"""Seconds: tokens are filed by the period in which they end, and dropped when it is over."""

PARTS = 64
"""A full cache drops one part of so many, half a megabyte of 32, which is some hundred tokens."""

MOST_AT_ONCE = 1000
"""Tokens that one call drops, or looks at, which takes half a millisecond."""


class _CachedToken(msgspec.Struct, frozen=True, gc=False):
    verified: Verified
    fingerprint: bytes
    size: int


class TokenCache:
    """Recently verified tokens that take at most `budget` bytes, by their hash instead of their text.

    `bytes` is what they take now. `hits` and `misses` count the tokens that were found here, and those that had to
    be verified; `crowded_out`, `expired` and `withdrawn` count those that were dropped for want of room, at their
    end, and with their key or entry. Not thread-safe.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.bytes = 0
        self.hits = 0
        self.misses = 0
        self.crowded_out = 0
        self.expired = 0
        self.withdrawn = 0
        # In the order of their use. Not an OrderedDict, which takes 70 bytes more for each.
        self._tokens: dict[bytes, _CachedToken] = {}
        self._ending: dict[int, set[bytes]] = {}
        # INVARIANT: no token is filed in an earlier period, so until that is over nothing is looked at.
        self._earliest = 0
        # The key set by which tokens were looked at last, and those that are to be looked at by it.
        self._keys: KeySet | None = None
        self._unchecked: list[bytes] = []

    def __len__(self) -> int:
        """Return the number of cached tokens."""
        return len(self._tokens)

    def verify(
        self,
        token: str,
        keys: KeySet,
        use: Use,
        now: float,
        accept: Collection[EntryName] | None = None,
        *,
        named: frozenset[str] | None = None,
        unseen: Rejected | None = None,
    ) -> Verified | Rejected:
        """Return what `verify.verify` returns for the same arguments, from the cache if possible.

        Args:
            token: The token's text.
            keys: The entries and keys in force.
            use: The use of the token.
            now: Wall time in seconds.
            accept: The names of the entries that are accepted here; `None` accepts all.
            named: The names of the claims that something reads, so that others may be packed; `None` packs none.
            unseen: What a token that is not in the cache gets instead of being verified.
        """
        if len(token) > MAX_TOKEN:  # rejected without hashing it
            return unseen or verify(token, keys, use, now, accept)
        name = sha256(token.encode("utf-8", "surrogatepass")).digest()
        cached = self._recall(name, keys, now, named)
        if cached is not None and _is_for_use(cached, keys, use, accept):
            self.hits += 1
            return cached
        if unseen is not None:
            return unseen
        self.misses += 1
        verified = verify(token, keys, use, now, accept)
        if isinstance(verified, Rejected):
            return verified
        verified = _pack(verified, named)
        self._remember(name, verified, keys.fingerprints[verified.subject.entry])
        return verified

    def expire(self, keys: KeySet, now: float) -> None:
        """Drop tokens that cannot count any more, some at a time; called again and again, cheap if there are none.

        Args:
            keys: The entries and keys in force.
            now: Wall time in seconds.
        """
        self._drop_ended(now)
        if keys is not self._keys:
            self._keys = keys
            self._unchecked = list(self._tokens)
        if self._unchecked:
            self._drop_withdrawn(keys)

    def _drop_withdrawn(self, keys: KeySet) -> None:
        names = self._unchecked[-MOST_AT_ONCE:]
        del self._unchecked[-MOST_AT_ONCE:]
        for name in names:
            cached = self._tokens.get(name)
            if cached is not None and not _has_key(cached, keys):
                self._drop(name)
                self.withdrawn += 1

    def _drop_ended(self, now: float) -> None:
        if now < (self._earliest + 1) * PERIOD:
            return
        left = MOST_AT_ONCE
        # By the periods that are filed, not by those that passed: a clock that jumps costs no more.
        for period in sorted(period for period in self._ending if (period + 1) * PERIOD <= now):
            for name in tuple(self._ending[period])[:left]:
                self._drop(name)
                self.expired += 1
                left -= 1
            if not left:
                return
        self._earliest = min(self._ending, default=int(now) // PERIOD)

    def _recall(self, name: bytes, keys: KeySet, now: float, named: frozenset[str] | None) -> Verified | None:
        cached = self._tokens.get(name)
        if cached is None:
            return None
        verified = cached.verified
        if not _is_current(cached, keys, now):
            self._drop(name)
            return None
        claims = verified.claims
        if type(claims) is KeptClaims and claims.named != named:
            verified = _pack(verified, named)
            self._remember(name, verified, cached.fingerprint)
        else:
            self._tokens[name] = self._tokens.pop(name)
        return verified

    def _remember(self, name: bytes, verified: Verified, fingerprint: bytes) -> None:
        self._drop(name)
        size = ENTRY_BYTES + getsizeof(verified.subject.sub) + measure_claims(verified.claims)
        if size > self.budget:
            return
        self._tokens[name] = _CachedToken(verified, fingerprint, size)
        self.bytes += size
        period = int(verified.ends_at) // PERIOD
        self._ending.setdefault(period, set()).add(name)
        self._earliest = min(self._earliest, period)
        if self.bytes > self.budget:
            self._make_room()

    def _make_room(self) -> None:
        """Drop the tokens that were not used for longest, a part of all at once: finding the first takes long."""
        surplus = self.bytes - self.budget + self.budget // PARTS
        dropped = []
        oldest = iter(self._tokens.items())
        while surplus > 0:
            name, cached = next(oldest)
            dropped.append(name)
            surplus -= cached.size
        for name in dropped:
            self._drop(name)
        self.crowded_out += len(dropped)

    def _drop(self, name: bytes) -> None:
        """Forget a token, if it is cached."""
        cached = self._tokens.pop(name, None)
        if cached is None:
            return
        self.bytes -= cached.size
        period = int(cached.verified.ends_at) // PERIOD
        names = self._ending[period]
        names.remove(name)
        if not names:
            del self._ending[period]


def _pack(verified: Verified, named: frozenset[str] | None) -> Verified:
    """Return the verified token with its claims packed as the names want it."""
    claims = verified.claims
    if named is not None:
        claims = keep_named(claims, named)
    elif isinstance(claims, KeptClaims):
        claims = claims.unpack()
    return verified if claims is verified.claims else msgspec.structs.replace(verified, claims=claims)


def _is_current(cached: _CachedToken, keys: KeySet, now: float) -> bool:
    return now < cached.verified.ends_at and _has_key(cached, keys)


def _has_key(cached: _CachedToken, keys: KeySet) -> bool:
    """Return whether the entry is as it was, and still has the key that verified the token."""
    verified = cached.verified
    entry = verified.subject.entry
    return keys.fingerprints.get(entry) == cached.fingerprint and keys.has_key(
        entry, verified.thumbprint, verified.algorithm
    )


def _is_for_use(verified: Verified, keys: KeySet, use: Use, accept: Collection[EntryName] | None) -> bool:
    name = verified.subject.entry
    return use in keys.entries[name].use and (accept is None or name in accept)
