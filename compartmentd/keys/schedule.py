"""When the keys of one entry are fetched next, and how long those that are known may be relied on.

Times are monotonic seconds, handed in. `jitter` is a number from 0 up to 1 that the edge draws, so that many
daemons do not ask one provider in the same second.

    idle ── begin ──> running ── succeeded ──> idle, next after what Cache-Control says
                         └────── failed ─────> idle, next after a wait that grows

A token with a key that is not known can bring the next fetch forward, but never to less than `SPACING` after
the last one that a token caused: whoever invents keys causes one fetch in that time, however many they invent.
"""

from __future__ import annotations

SPACING = 10.0
"""Seconds between two fetches that tokens cause, from start to start. Other fetches do not count: a provider
that changes its keys right after one of them is asked at once."""

SOONEST = 60.0
LATEST = 600.0
"""Bounds of how long a set counts as fresh, seconds, whatever the provider says: some forbid caching altogether,
and some allow a day, which is a day in which a withdrawn key still opens doors."""

JITTER = 0.1
"""The share of a wait that chance may take off."""

RELIED_ON = 24 * 3600.0
"""Seconds for which the last good set is used while the provider cannot be reached. With a token's own age
bounded by as much as a rule, an outage over a weekend's night passes unseen, and a week's does not."""

_RETRY_WITH_KEYS = (10.0, 20.0, 40.0, 60.0)
_RETRY_WITHOUT = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds after one, two, … failures in a row. Without any keys everyone is refused, so the wait is short."""


class FetchSchedule:
    """The timing of one entry; it begins with a fetch that is due at once."""

    def __init__(self, now: float) -> None:
        self.next = now
        self.running = False
        self.failures = 0
        self.good_at: float | None = None
        self._hastened = False
        self._began = self._caused = now - SPACING

    def seconds_left(self, now: float) -> float:
        """Return the seconds until the next fetch is due."""
        return max(0.0, self.next - now)

    def note_start(self, now: float) -> None:
        """Note that a fetch starts."""
        self.running = True
        self._began = now
        if self._hastened:
            self._hastened = False
            self._caused = now

    def note_success(self, now: float, fresh_for: float | None, jitter: float) -> None:
        """Note that the fetch brought a good set, which its provider calls fresh for so many seconds."""
        self.running = False
        self.failures = 0
        self.good_at = now
        fresh = LATEST if fresh_for is None else min(fresh_for, LATEST)
        self.next = now + max(SOONEST, _apply_jitter(fresh, jitter))

    def note_failure(self, now: float, jitter: float) -> None:
        """Note that the fetch brought nothing to use."""
        self.running = False
        self.failures += 1
        waits = _RETRY_WITHOUT if self.good_at is None else _RETRY_WITH_KEYS
        self.next = now + _apply_jitter(waits[min(self.failures, len(waits)) - 1], jitter)
        if self.good_at is None:
            return
        self.next = max(self.next, self._began + SPACING)
        if now - self.good_at > RELIED_ON:
            self.good_at = None

    def hasten(self, now: float) -> None:
        """Let the next fetch be as soon as may be: a token names a key that is not known."""
        self._hastened = True
        self.next = min(self.next, max(now, self._caused + SPACING))

    @property
    def stale(self) -> bool:
        """Whether the set in use is older than it should be, since its provider cannot be reached."""
        return self.good_at is not None and self.failures > 0


def _apply_jitter(wait: float, jitter: float) -> float:
    return wait * (1.0 - JITTER * jitter)
