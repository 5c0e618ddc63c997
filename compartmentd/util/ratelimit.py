"""Rate limits as token buckets without timers: a bucket knows when it was last asked and refills by arithmetic."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable


class TokenBucket:
    """A token bucket, full at birth. `rate` is in tokens per second; `burst` is the number of tokens that it holds.

    By default a bucket holds one second of its rate, and at least one token. Times are monotonic seconds.
    """

    __slots__ = ("burst", "level", "rate", "stamp")

    def __init__(self, rate: float, now: float, burst: float | None = None) -> None:
        self.rate = rate
        self.burst = max(1.0, rate if burst is None else burst)
        self.level = self.burst
        self.stamp = now

    def take(self, now: float, amount: float = 1.0) -> bool:
        """Take `amount` tokens, or none if there are not enough; return whether they were taken.

        An amount above the burst is granted by a full bucket, which it empties: otherwise a message larger than
        one second of a byte rate could never pass, however long its sender waited.
        """
        # Every message passes here. Two calls of `min` would take as long as all the rest, 0.1 µs.
        burst = self.burst
        level = self.level + (now - self.stamp) * self.rate
        if level > burst:  # noqa: PLR1730 - see above
            level = burst
        self.stamp = now
        if amount > burst:  # noqa: PLR1730 - see above
            amount = burst
        if level < amount:
            self.level = level
            return False
        self.level = level - amount
        return True

    def holds(self, now: float) -> bool:
        """Return whether it holds a token, without taking it."""
        return self.level + (now - self.stamp) * self.rate >= 1.0

    def is_full(self, now: float) -> bool:
        """Return whether everything that was taken has come back."""
        return self.level + (now - self.stamp) * self.rate >= self.burst

    def compute_refill(self, now: float) -> float:
        """Return the seconds until everything that was taken has come back; 0 if it is full."""
        return max(0.0, (self.burst - self.level) / self.rate - (now - self.stamp))

    def drain(self, now: float, refill: float) -> None:
        """Take so much that it is full again in `refill` seconds at the earliest, and one burst below none at most.

        That is how what was taken of one bucket goes over to another, whose rate may differ.
        """
        level = self.level + (now - self.stamp) * self.rate
        self.level = min(level, self.burst, max(-self.burst, self.burst - refill * self.rate))
        self.stamp = now

    def charge(self, now: float, amount: float) -> None:
        """Take tokens for work that is done already, down to one burst below none: what follows waits for it."""
        level = min(self.burst, self.level + (now - self.stamp) * self.rate)
        self.level = max(level - amount, -self.burst)
        self.stamp = now

    def wait(self, amount: float = 1.0) -> float:
        """Return the seconds from the last `take` until the bucket will hold so many tokens."""
        return max(0.0, (min(amount, self.burst) - self.level) / self.rate)

    def retune(self, rate: float, burst: float | None = None) -> None:
        """Change rate and size in place, as after a reload: what was taken stays taken."""
        self.rate = rate
        self.burst = max(1.0, rate if burst is None else burst)
        self.level = min(self.level, self.burst)


class ObservedBucket(TokenBucket):
    """A bucket that refuses nothing, and reports what it would refuse."""

    __slots__ = ("_report",)

    def __init__(
        self, rate: float, now: float, burst: float | None = None, *, report: Callable[[], None]
    ) -> None:
        """Begin full; `report` is called each time when there are not enough tokens."""
        super().__init__(rate, now, burst)
        self._report = report

    def take(self, now: float, amount: float = 1.0) -> bool:
        """Take the tokens if there are enough, else report that; return true."""
        if not super().take(now, amount):
            self._report()
        return True

    def holds(self, now: float) -> bool:
        """Return true: nothing is refused."""
        del now
        return True


class KeyedBuckets:
    """Buckets of one rate, one for each key; of keys that strangers choose only the latest are remembered."""

    __slots__ = ("_buckets", "_burst", "_capacity", "_rate")

    def __init__(self, rate: float, burst: float, capacity: int) -> None:
        """Remember at most `capacity` keys; a key that is not remembered has a full bucket."""
        self._rate = rate
        self._burst = burst
        self._capacity = capacity
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._buckets)

    def retune(self, rate: float, burst: float) -> None:
        """Change the rate, as after a reload; what was taken of a bucket stays taken."""
        if (rate, burst) == (self._rate, self._burst):
            return
        self._rate = rate
        self._burst = burst
        for bucket in self._buckets.values():
            bucket.retune(rate, burst)

    def compute_wait(self, key: str, now: float) -> float:
        """Return the seconds until the key's bucket holds a token."""
        bucket = self._buckets.get(key)
        if bucket is None:
            return 0.0
        return max(0.0, bucket.wait() - (now - bucket.stamp))

    def holds(self, key: str, now: float) -> bool:
        """Return whether the key's bucket holds a token, without taking it."""
        bucket = self._buckets.get(key)
        return bucket is None or bucket.holds(now)

    def take(self, key: str, now: float) -> bool:
        """Take a token of the key's bucket; return whether there was one."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(self._rate, now, self._burst)
            if len(self._buckets) > self._capacity:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        return bucket.take(now)


def retune_bucket(
    bucket: TokenBucket | None, rate: float | None, now: float, burst: float | None = None
) -> TokenBucket | None:
    """Return the bucket for a rate, `None` where the rate is unlimited (`None`); an old bucket is retuned."""
    if rate is None:
        return None
    if bucket is None:
        return TokenBucket(rate, now, burst)
    bucket.retune(rate, burst)
    return bucket


def longest_wait(wanted: Iterable[tuple[TokenBucket | None, float]]) -> float:
    """Return the seconds until each of these buckets holds the number of tokens that stands beside it."""
    return max((bucket.wait(amount) for bucket, amount in wanted if bucket is not None), default=0.0)
