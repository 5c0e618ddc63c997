"""The `kid`s that tokens name and an entry does not have: requested, or found missing a moment ago.

A key is missing if a fetch that began after the request did not bring it; a fetch that was already running proves
nothing. Everything is bounded: a flood of invented names displaces other invented names, at a constant cost each.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection

REMEMBERED = 4096
"""Names remembered; each has at most 256 characters, so these are at most a few MiB for an entry."""

MISSING_FOR = 60.0
"""Seconds for which a name that a fetch did not bring causes no other fetch."""

MISLEADING_FOR = 10.0
"""The same for a token without a name, or with a known name and a signature by another key: the fetched keys do not
show whether the key that it needs is among them, so it may be requested with every fetch."""


class MissingKids:
    """The missing `kid`s of one entry; `None` stands for a token that names none."""

    def __init__(self) -> None:
        self._wanted: OrderedDict[str | None, None] = OrderedDict()
        self._fetching: Collection[str | None] = ()
        self._missing: OrderedDict[str | None, float] = OrderedDict()

    def is_missing(self, kid: str | None, now: float) -> bool:
        """Return whether a recent fetch did not find the key."""
        until = self._missing.get(kid)
        if until is None:
            return False
        if until <= now:
            del self._missing[kid]
            return False
        self._missing.move_to_end(kid)
        return True

    def add(self, kid: str | None) -> None:
        """Request a name from the fetch that begins next."""
        self._wanted[kid] = None
        self._wanted.move_to_end(kid)
        _trim(self._wanted)

    def note_start(self) -> None:
        """Note that a fetch begins: the names requested so far are in it, or are missing."""
        self._fetching = tuple(self._wanted)
        self._wanted.clear()

    def note_success(self, now: float, kids: Collection[str | None], withdrawn: Collection[str] = ()) -> None:
        """Note that the fetch brought keys of these names.

        `withdrawn` are the names of keys that it no longer has.
        """
        for kid in (*self._fetching, *withdrawn):
            misleading = kid is None or kid in kids
            self._missing[kid] = now + (MISLEADING_FOR if misleading else MISSING_FOR)
            self._missing.move_to_end(kid)
        _trim(self._missing)
        self._fetching = ()

    def note_failure(self) -> None:
        """Note that the fetch failed, so it proves nothing."""
        self._fetching = ()

    def __len__(self) -> int:
        """Return the number of names in memory, of all kinds."""
        return len(self._wanted) + len(self._fetching) + len(self._missing)


def _trim(names: OrderedDict[str | None, None] | OrderedDict[str | None, float]) -> None:
    while len(names) > REMEMBERED:
        names.popitem(last=False)
