"""Tokens that were verified a moment ago, so that a reconnecting crowd costs a hash each and no signature.

What is remembered is never more than what verifying again would say: it counts only while the entry, its
rules and the verifying key are in the key set of the moment, for a use that the entry lists, until the token
ends. Refusals are not remembered, since a key or a clock may make them wrong.
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
    rules: bytes


class TokenCache:
    """The most recently used verified tokens, at most `capacity` of them; keyed by hash, never by the token.

    `found` and `verified` count tokens that were taken from memory, and those that had to be verified. Not for
    several threads at once.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.hits = 0
        self.misses = 0
        self._tokens: OrderedDict[bytes, _CachedToken] = OrderedDict()

    def __len__(self) -> int:
        """Return how many tokens are remembered."""
        return len(self._tokens)

    def verify(
        self, token: str, keys: KeySet, use: Use, now: float, accept: Collection[EntryName] | None = None
    ) -> Verified | Rejected:
        """Return exactly what `verify` returns for the same arguments, from memory where that is certain."""
        if len(token) > MAX_TOKEN:  # refused unhashed
            return verify(token, keys, use, now, accept)
        name = sha256(token.encode("utf-8", "surrogatepass")).digest()
        remembered = self._recall(name, keys, now)
        if remembered is not None and _is_for_use(remembered, keys, use, accept):
            self.hits += 1
            return remembered
        self.misses += 1
        judged = verify(token, keys, use, now, accept)
        if isinstance(judged, Verified):
            self._remember(name, judged, keys)
        return judged

    def _recall(self, name: bytes, keys: KeySet, now: float) -> Verified | None:
        held = self._tokens.get(name)
        if held is None:
            return None
        if not _is_current(held, keys, now):
            del self._tokens[name]
            return None
        self._tokens.move_to_end(name)
        return held.verified

    def _remember(self, name: bytes, verified: Verified, keys: KeySet) -> None:
        self._tokens[name] = _CachedToken(verified, keys.rules[verified.subject.entry])
        self._tokens.move_to_end(name)
        if len(self._tokens) > self.capacity:
            self._tokens.popitem(last=False)


def _is_current(held: _CachedToken, keys: KeySet, now: float) -> bool:
    verified = held.verified
    entry = verified.subject.entry
    return (
        now < verified.ends_at
        and keys.rules.get(entry) == held.rules
        and keys.has_key(entry, verified.thumbprint, verified.algorithm)
    )


def _is_for_use(verified: Verified, keys: KeySet, use: Use, accept: Collection[EntryName] | None) -> bool:
    name = verified.subject.entry
    return use in keys.entries[name].use and (accept is None or name in accept)
