"""A cache of recently verified tokens, so that a reconnecting crowd costs a hash each and no signature.

A cached result is always what verifying again would return: it is used only until the token ends, for a use that
its entry lists, and while the entry, its fingerprint and the verifying key are in the current key set. Rejections
are not cached, since a new key or a later time may make them wrong.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from hashlib import sha256

import msgspec

from compartmentd.names import EntryName
from compartmentd.tokens.entry import Use
from compartmentd.tokens.jws import MAX_TOKEN
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.rejected import Rejected
from compartmentd.tokens.verify import Verified, verify


class _CachedToken(msgspec.Struct, frozen=True, gc=False):
    verified: Verified
    fingerprint: bytes


class TokenCache:
    """The most recently used verified tokens, at most `capacity` of them, by their hash instead of their text.

    `hits` and `misses` count the tokens that were found here, and those that had to be verified. Not thread-safe.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.hits = 0
        self.misses = 0
        self._tokens: OrderedDict[bytes, _CachedToken] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of cached tokens."""
        return len(self._tokens)

    def verify(
        self, token: str, keys: KeySet, use: Use, now: float, accept: Collection[EntryName] | None = None
    ) -> Verified | Rejected:
        """Return exactly what `verify.verify` returns for the same arguments, from the cache if possible."""
        if len(token) > MAX_TOKEN:  # rejected without hashing it
            return verify(token, keys, use, now, accept)
        name = sha256(token.encode("utf-8", "surrogatepass")).digest()
        cached = self._recall(name, keys, now)
        if cached is not None and _is_for_use(cached, keys, use, accept):
            self.hits += 1
            return cached
        self.misses += 1
        verified = verify(token, keys, use, now, accept)
        if isinstance(verified, Verified):
            self._remember(name, verified, keys)
        return verified

    def _recall(self, name: bytes, keys: KeySet, now: float) -> Verified | None:
        cached = self._tokens.get(name)
        if cached is None:
            return None
        if not _is_current(cached, keys, now):
            del self._tokens[name]
            return None
        self._tokens.move_to_end(name)
        return cached.verified

    def _remember(self, name: bytes, verified: Verified, keys: KeySet) -> None:
        self._tokens[name] = _CachedToken(verified, keys.fingerprints[verified.subject.entry])
        self._tokens.move_to_end(name)
        if len(self._tokens) > self.capacity:
            self._tokens.popitem(last=False)


def _is_current(cached: _CachedToken, keys: KeySet, now: float) -> bool:
    verified = cached.verified
    entry = verified.subject.entry
    return (
        now < verified.ends_at
        and keys.fingerprints.get(entry) == cached.fingerprint
        and keys.has_key(entry, verified.thumbprint, verified.algorithm)
    )


def _is_for_use(verified: Verified, keys: KeySet, use: Use, accept: Collection[EntryName] | None) -> bool:
    name = verified.subject.entry
    return use in keys.entries[name].use and (accept is None or name in accept)
