"""Rates, as token buckets without timers: a bucket remembers when it was last asked and refills by arithmetic."""

from __future__ import annotations

from collections.abc import Iterable


class Bucket:
    """A token bucket. `rate` is in tokens per second; `burst` is how many it holds, full at birth.

    A bucket holds one second of its rate and at least one token, unless it is told otherwise.
    """

    __slots__ = ("burst", "level", "rate", "stamp")

    def __init__(self, rate: float, now: float, burst: float | None = None) -> None:
        self.rate = rate
        self.burst = max(1.0, rate if burst is None else burst)
        self.level = self.burst
        self.stamp = now

    def take(self, now: float, amount: float = 1.0) -> bool:
        """Take `amount` tokens at the monotonic time `now`, or none where there are not enough.

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
        """Tell whether it holds a token at the monotonic time `now`, without taking it."""
        return self.level + (now - self.stamp) * self.rate >= 1.0

    def is_full(self, now: float) -> bool:
        """Tell whether all that was taken has come back at the monotonic time `now`."""
        return self.level + (now - self.stamp) * self.rate >= self.burst

    def wait(self, amount: float = 1.0) -> float:
        """Return how many seconds after the last `take` as many tokens will be there."""
        return max(0.0, (min(amount, self.burst) - self.level) / self.rate)

    def retune(self, rate: float, burst: float | None = None) -> None:
        """Change rate and size in place (a reload): what was taken stays taken."""
        self.rate = rate
        self.burst = max(1.0, rate if burst is None else burst)
        self.level = min(self.level, self.burst)


def tuned(bucket: Bucket | None, rate: float | None, now: float, burst: float | None = None) -> Bucket | None:
    """Return the bucket for a rate that may be unlimited (`None`): the old one retuned where there is one."""
    if rate is None:
        return None
    if bucket is None:
        return Bucket(rate, now, burst)
    bucket.retune(rate, burst)
    return bucket


def longest_wait(wanted: Iterable[tuple[Bucket | None, float]]) -> float:
    """Return in how many seconds all of these buckets will have the tokens that are wanted of them."""
    return max((bucket.wait(amount) for bucket, amount in wanted if bucket is not None), default=0.0)


class Flood:
    """A connection's unbroken run of refused requests.

    A connection of which every request was refused for its rate for `PATIENCE` seconds, at least one in each
    second, is not a busy client but a broken or hostile one.
    """

    __slots__ = ("last", "since")

    PATIENCE = 10.0
    GAP = 1.0

    def __init__(self, now: float) -> None:
        self.since = now
        self.last = now

    def refused(self, now: float) -> bool:
        """Note a refusal at the monotonic time `now`; tell whether the connection should be closed."""
        if now - self.last > self.GAP:
            self.since = now
        self.last = now
        return now - self.since >= self.PATIENCE
