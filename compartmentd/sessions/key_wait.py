"""Keys that are fetched: what a session may wait for before its token is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from compartmentd.names import EntryName
from compartmentd.policy.codes import Code
from compartmentd.tokens.rejected import KeyStatus, Rejected


class KeyFinder(Protocol):
    """Knows whether a key that a token names may still come, and when it has been looked for."""

    def request_key(self, entry: EntryName, kid: str | None) -> KeyStatus:
        """Tell what becomes of a key that is not known; costs the same however often it is called."""

    def call_when_answered(self, entry: EntryName, callback: Callable[[], None]) -> None:
        """Call back, once and not before this returns, when the fetch that runs has ended, whichever way."""


class KeyWait:
    """Lets a token wait, once, for the keys of its entry; without `KeyFinder` all keys lie here, and none comes."""

    def __init__(self, keys: KeyFinder | None) -> None:
        self._keys = keys

    def _asked(self, rejected: Rejected) -> KeyStatus:
        missing = rejected.missing
        if missing is None or self._keys is None:
            return KeyStatus.ABSENT
        return self._keys.request_key(missing.entry, missing.kid)

    def waits(self, rejected: Rejected, again: Callable[[], None]) -> bool:
        """Return whether the token may count in a moment; if so, `again` is called when that can be told."""
        if self._keys is None or rejected.missing is None or self._asked(rejected) is not KeyStatus.PENDING:
            return False
        self._keys.call_when_answered(rejected.missing.entry, again)
        return True

    def code(self, rejected: Rejected) -> Code:
        """Return what a client is told whose token does not wait (any more).

        Where the provider could not be asked for the key, that is a reason to try again, and no verdict.
        """
        return rejected.code if self._asked(rejected) is KeyStatus.ABSENT else Code.KEYS_UNAVAILABLE
