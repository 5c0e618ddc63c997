"""Keys that tokens name and that an entry does not have: asked for, or found missing a moment ago.

A key is found missing by a fetch that began after it was asked for; one that was already on its way proves
nothing. All is bounded: a flood of invented names pushes out other invented names, at a constant cost each.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection

REMEMBERED = 4096
"""Names remembered; each is at most 256 characters long, so this is at most a few MiB for an entry."""

MISSING_FOR = 60.0
"""Seconds for which a name that a fetch did not bring is answered without another."""

MISLEADING_FOR = 10.0
"""The same for a token without a name, or with a known one and a signature by another key: what was fetched
cannot tell whether the key that it means is there, so it may be asked for with every fetch."""


class MissingKids:
    """The unknown names of one entry; `None` stands for a token that names none."""

    def __init__(self) -> None:
        self._wanted: OrderedDict[str | None, None] = OrderedDict()
        self._fetching: Collection[str | None] = ()
        self._missing: OrderedDict[str | None, float] = OrderedDict()

    def is_missing(self, kid: str | None, now: float) -> bool:
        """Tell whether the key was looked for a moment ago, in vain."""
        until = self._missing.get(kid)
        if until is None:
            return False
        if until <= now:
            del self._missing[kid]
            return False
        self._missing.move_to_end(kid)
        return True

    def want(self, kid: str | None) -> None:
        """Remember a name for the fetch that begins next."""
        self._wanted[kid] = None
        self._wanted.move_to_end(kid)
        _trim(self._wanted)

    def note_start(self) -> None:
        """Note that a fetch begins: what was wanted until now will be in it, or is missing."""
        self._fetching = tuple(self._wanted)
        self._wanted.clear()

    def note_success(self, now: float, kids: Collection[str | None], withdrawn: Collection[str] = ()) -> None:
        """Note that the fetch brought keys of these names, and no longer those that were withdrawn."""
        for kid in (*self._fetching, *withdrawn):
            misleading = kid is None or kid in kids
            self._missing[kid] = now + (MISLEADING_FOR if misleading else MISSING_FOR)
            self._missing.move_to_end(kid)
        _trim(self._missing)
        self._fetching = ()

    def note_failure(self) -> None:
        """Note that the fetch proves nothing."""
        self._fetching = ()

    def __len__(self) -> int:
        """Return how many names are held, of all kinds."""
        return len(self._wanted) + len(self._fetching) + len(self._missing)


def _trim(names: OrderedDict[str | None, None] | OrderedDict[str | None, float]) -> None:
    while len(names) > REMEMBERED:
        names.popitem(last=False)
