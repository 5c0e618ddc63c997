"""The spent part of rates, kept by the user who spent it: a new session begins where an earlier one ended.

A session has buckets of its own. If each began full, a rate would bound nothing: a client could end its session and
connect again, a thousand times a second. So a bucket that is not full when its session ends is kept, as the moment
at which it will be full again, under the subject, or the network of a session without one.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Literal, NamedTuple, TypeAlias

from compartmentd.names import NamespaceName, Subject

CAPACITY = 50_000
"""How many buckets are kept. One takes 400 bytes, so all take 20 MB; at 50 messages a second a bucket is full after
one second."""

Holder: TypeAlias = Subject | str
"""A subject, or the network of a session without one."""

Rate: TypeAlias = Literal["message_rate", "byte_rate", "join_rate"]

_AT_ONCE = 1000
"""Buckets that are dropped at once."""

_NOISE = 1e-3
"""Seconds by which a kept moment must grow to be written again: computing it twice gives no equal numbers."""


class RateKey(NamedTuple):
    """One rate of one holder in one namespace; `place` is a room or template with a rate of its own, else empty."""

    namespace: NamespaceName
    holder: Holder
    rate: Rate
    place: str


class SpentRates:
    """The moments (monotonic seconds) at which buckets are full again.

    INVARIANT: it holds at most `capacity` keys. Beyond it the bucket that is full first is forgotten, which gives
    away least. Of several sessions of one holder the latest moment counts.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        """Begin with nothing."""
        self.capacity = capacity
        self.forgotten = 0
        """Buckets that were forgotten before they were full."""
        self._full_at: dict[RateKey, float] = {}
        # By moment; an entry whose key has another moment by now is out of date.
        self._order: list[tuple[float, RateKey]] = []

    def __len__(self) -> int:
        """Return how many buckets are kept."""
        return len(self._full_at)

    def keep(self, key: RateKey, now: float, refill: float) -> None:
        """Keep a bucket that is full again in `refill` seconds."""
        full_at = now + refill
        if refill <= 0.0 or full_at <= self._full_at.get(key, 0.0) + _NOISE:
            return
        self._full_at[key] = full_at
        if len(self._order) > 2 * self.capacity:
            self._order = [(moment, each) for each, moment in self._full_at.items()]
            heapify(self._order)
        else:
            heappush(self._order, (full_at, key))
        self.expire(now)
        while len(self._full_at) > self.capacity:
            self.forgotten += self._drop_first()

    def find_refill(self, key: RateKey, now: float) -> float:
        """Return the seconds until a bucket is full again; 0 where nothing is kept of it."""
        return max(0.0, self._full_at.get(key, 0.0) - now)

    def expire(self, now: float) -> None:
        """Drop buckets that are full by now: as many as take a millisecond, at most."""
        for _ in range(_AT_ONCE):
            if not self._order or self._order[0][0] > now:
                return
            self._drop_first()

    def _drop_first(self) -> bool:
        """Drop the first entry; return whether it was not out of date."""
        full_at, key = heappop(self._order)
        if self._full_at.get(key) != full_at:
            return False
        del self._full_at[key]
        return True
