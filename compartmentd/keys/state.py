"""The state of one entry's remote keys. Pure: times are arguments, in monotonic seconds.

INVARIANT: a set is replaced only by one with a usable key, or dropped if it has not been renewed for as long as it
may be used. In between, failures change nothing but the time of the next fetch.
"""

from __future__ import annotations

from compartmentd.keys.missing_kids import MissingKids
from compartmentd.keys.response import KeyRequest
from compartmentd.keys.schedule import FetchSchedule
from compartmentd.tokens.key import Key
from compartmentd.tokens.rejected import KeyStatus


class KeyState:
    """The keys of one entry.

    `body` is the response that they were read from, `requests` are those of the last fetch.
    """

    def __init__(self, now: float) -> None:
        self.keys: tuple[Key, ...] = ()
        self.body: bytes | None = None
        self.schedule = FetchSchedule(now)
        self.missing_kids = MissingKids()
        self._withdrawn: set[str] = set()
        self.error: str | None = None
        self.requests: tuple[KeyRequest, ...] = ()
        self.fetches = 0
        self.failures = 0
        self.unknown_kids = 0

    def request_key(self, kid: str | None, now: float) -> KeyStatus:
        """Note that a token names this key, which is unknown or did not sign it, and return the key's status.

        For `PENDING` a fetch runs or is due at once. Otherwise the next one is due within `SPACING`, since the
        last fetch that a token caused began less than that ago. `ABSENT` is returned only for a key that was
        looked for: the provider may have changed its keys since, and an honest user must not be told that
        trying again is useless.
        """
        self.unknown_kids += 1
        if self.missing_kids.is_missing(kid, now):
            return KeyStatus.ABSENT
        self.missing_kids.add(kid)
        if not self.schedule.running:
            self.schedule.hasten(now)
        if self.schedule.running or self.schedule.seconds_left(now) == 0:
            return KeyStatus.PENDING
        known = kid is None or any(key.kid == kid for key in self.keys)
        return KeyStatus.ABSENT if known else KeyStatus.LATER

    def note_start(self, now: float) -> None:
        """Note that a fetch starts."""
        self.fetches += 1
        self.schedule.note_start(now)
        self.missing_kids.note_start()

    def accept(self, keys: tuple[Key, ...], body: bytes) -> bool:
        """Take over the usable keys of a good response, at least one; return whether they have changed."""
        changed = {key.identity for key in keys} != {key.identity for key in self.keys}
        self.body = body
        if changed:
            names = {key.kid for key in keys}
            self._withdrawn |= {key.kid for key in self.keys if key.kid is not None} - names
            self.keys = keys
        return changed

    def note_success(self, now: float, fresh_for: float | None, jitter: float) -> None:
        """Note that the fetch whose keys were accepted has ended."""
        self.error = None
        self.schedule.note_success(now, fresh_for, jitter)
        self.missing_kids.note_success(now, {key.kid for key in self.keys}, self._withdrawn)
        self._withdrawn = set()

    def note_failure(self, why: str, now: float, jitter: float) -> bool:
        """Note that the fetch brought no good set.

        Return whether the known keys are dropped because they are too old.
        """
        self.error = why
        self.failures += 1
        self.schedule.note_failure(now, jitter)
        self.missing_kids.note_failure()
        dropped = bool(self.keys) and self.schedule.good_at is None
        if dropped:
            self.keys, self.body = (), None
        return dropped
