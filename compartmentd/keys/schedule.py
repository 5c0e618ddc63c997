"""When to fetch the keys of one entry next, and how long the known keys may be used.

All times are monotonic seconds. `jitter` is a random number from 0 up to 1 that the edge draws, so that many
daemons do not ask one provider in the same second.

    idle ── start ──> running ── success ──> idle, next after the time that Cache-Control gives
                         └────── failure ──> idle, next after a delay that grows

A token that names an unknown key can hasten the next fetch, but never to less than `SPACING` after the last fetch
that a token caused: anyone who invents keys causes one fetch in that time, however many they invent.
"""

from __future__ import annotations

SPACING = 10.0
"""Seconds between two fetches that tokens cause, from start to start. Other fetches do not count: if a provider
changes its keys right after one of them, it is asked again at once."""

SOONEST = 60.0
LATEST = 600.0
"""Bounds of the seconds that a key set counts as fresh, whatever the provider says: some forbid caching, and some
allow a day, in which a withdrawn key would still be accepted."""

JITTER = 0.1
"""The fraction of a delay that jitter may take off."""

RELIED_ON = 24 * 3600.0
"""Seconds for which the last good set is used while the provider cannot be reached. The age of a token is mostly
bounded by as much. So nobody notices an outage of a night at the weekend, but one of a week is not overlooked."""

_RETRY_WITH_KEYS = (10.0, 20.0, 40.0, 60.0)
_RETRY_WITHOUT = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds after one, two, … failures in a row. Without keys every token is refused, so those delays are short."""


class FetchSchedule:
    """The schedule of one entry; its first fetch is due at once."""

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
        """Note that the fetch brought a good set.

        `fresh_for` is in seconds, `None` if the provider does not say.
        """
        self.running = False
        self.failures = 0
        self.good_at = now
        fresh = LATEST if fresh_for is None else min(fresh_for, LATEST)
        self.next = now + max(SOONEST, _apply_jitter(fresh, jitter))

    def note_failure(self, now: float, jitter: float) -> None:
        """Note that the fetch brought no usable set."""
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
        """Make the next fetch as early as possible: a token names an unknown key."""
        self._hastened = True
        self.next = min(self.next, max(now, self._caused + SPACING))

    @property
    def stale(self) -> bool:
        """Whether the set in use is older than intended, because its provider cannot be reached."""
        return self.good_at is not None and self.failures > 0


def _apply_jitter(wait: float, jitter: float) -> float:
    return wait * (1.0 - JITTER * jitter)
