"""Lets a CONNECT or `refresh` wait for keys that are being fetched, before its token is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from compartmentd.names import EntryName
from compartmentd.policy.codes import Code
from compartmentd.tokens.rejected import KeyStatus, Rejected


class KeyFinder(Protocol):
    """Finds keys at providers."""

    def request_key(self, entry: EntryName, kid: str | None) -> KeyStatus:
        """Return the status of a key that is not known, and fetch it where that may help; cheap to repeat."""

    def call_when_answered(self, entry: EntryName, callback: Callable[[], None]) -> None:
        """Call back when the running fetch has ended, well or not: once, and not before this returns."""

    def compute_wait(self, entry: EntryName) -> float | None:
        """Return in how many seconds the provider is asked next; `None` for an entry with local keys."""


class KeyWait:
    """Lets a token wait, once, for the keys of its entry; without a `KeyFinder` all keys are local."""

    def __init__(self, keys: KeyFinder | None) -> None:
        self._keys = keys

    def _request_key(self, rejected: Rejected) -> KeyStatus:
        missing = rejected.missing
        if missing is None or self._keys is None:
            return KeyStatus.ABSENT
        return self._keys.request_key(missing.entry, missing.kid)

    def start_waiting(self, rejected: Rejected, callback: Callable[[], None]) -> bool:
        """Return whether the token may be valid when keys are fetched; if so, `callback` is called then."""
        if (
            self._keys is None
            or rejected.missing is None
            or self._request_key(rejected) is not KeyStatus.PENDING
        ):
            return False
        self._keys.call_when_answered(rejected.missing.entry, callback)
        return True

    def find_code(self, rejected: Rejected) -> Code:
        """Return the code for a client whose token does not wait, or not any longer.

        Where the provider could not be asked for the key, that is a reason to try again, and no verdict.
        """
        return rejected.code if self._request_key(rejected) is KeyStatus.ABSENT else Code.KEYS_UNAVAILABLE

    def compute_wait(self, rejected: Rejected) -> float | None:
        """Return in how many seconds the provider is asked for the key next, where that is known."""
        if self._keys is None or rejected.missing is None:
            return None
        return self._keys.compute_wait(rejected.missing.entry)
