"""A cache of the rooms in use, with what all decisions about a room have in common.

One join looks its room up two or three times, and so does every other session that joins the room or is
re-evaluated at a reload. Finding a room's template takes 1 to 2 µs, or 3 among a hundred thousand templates, whose
memory is out of the processor's cache; finding the room here takes 0.1.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping

import msgspec

from compartmentd.names import NamespaceName
from compartmentd.policy.decision import Allow, Reason
from compartmentd.policy.rules.context import Verdict
from compartmentd.policy.templates.dispatch import Dispatch
from compartmentd.policy.templates.matching import Match

MAX_CACHED_ROOMS = 10_000
"""Rooms kept, of all namespaces together, at 1 KiB each."""


class CachedRoom(msgspec.Struct, gc=False):
    """A room with its match; `allow` is the outcome of every allowed request there.

    `verdict` is the last verdict on the join rule, and `reasons` are the reasons of the decision that followed from
    it. Conditions mostly give the same verdict again, and reusing the reasons saves building them.
    """

    match: Match
    allow: Allow
    verdict: Verdict | None = None
    reasons: tuple[Reason, ...] = ()

    def get_reasons(self, verdict: Verdict) -> tuple[Reason, ...]:
        """Return the reasons of a decision on a join, given the verdict on the template's rule."""
        if verdict is not self.verdict:
            template = self.match.template
            text = f"join room {template.name}"
            self.reasons = (Reason(text, verdict.truth, template.span, (verdict.reason,)),)
            self.verdict = verdict
        return self.reasons


class RoomCache:
    """Finds rooms by namespace and name; a new one replaces the oldest.

    They are replaced one at a time: freeing ten thousand at once would hold the loop for some milliseconds.
    """

    __slots__ = ("_dispatch", "_rooms")

    def __init__(self, dispatch: Mapping[NamespaceName, Dispatch]) -> None:
        self._dispatch = dispatch
        self._rooms: OrderedDict[tuple[NamespaceName, str], CachedRoom] = OrderedDict()

    def find(self, namespace: NamespaceName, name: str) -> CachedRoom | None:
        """Return the room, or `None` if no template matches it or the namespace does not exist."""
        return self._rooms.get((namespace, name)) or self._look_up(namespace, name)

    def _look_up(self, namespace: NamespaceName, name: str) -> CachedRoom | None:
        dispatch = self._dispatch.get(namespace)
        match = None if dispatch is None else dispatch.find(name)
        if match is None:
            return None  # not cached: the names that match no template are endless
        if len(self._rooms) >= MAX_CACHED_ROOMS:
            self._rooms.popitem(last=False)
        room = self._rooms[namespace, name] = CachedRoom(match, Allow(match.template, match.values))
        return room

    def iter_parts(self) -> Iterator[object]:
        """Yield the parts that can be numerous, so that they can be freed a few at a time."""
        yield from self._rooms.items()
        for dispatch in self._dispatch.values():
            yield from dispatch.iter_parts()
