"""Rooms that are asked for, kept for a while with what every decision about them has in common.

One join looks its room up two or three times, and so does everybody else who joins the room or is judged with it
at a reload. To find a room's template takes 1 to 2 µs, among a hundred thousand of them 3, since it lies in memory
that nobody has looked at lately; to find the room here takes 0.1.
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
"""Rooms that are kept, of all namespaces together: 1 KiB each."""


class Room(msgspec.Struct, gc=False):
    """A room with its match; `allow` is the outcome of whatever is allowed there.

    `judged` is what the join rule came to when it was asked last, and `reasons` are those of the decision that
    followed from it: conditions give the same verdict again, as a rule, and that saves wording it anew.
    """

    match: Match
    allow: Allow
    verdict: Verdict | None = None
    reasons: tuple[Reason, ...] = ()

    def get_reasons(self, verdict: Verdict) -> tuple[Reason, ...]:
        """Return the reasons of a decision on a join, from the verdict on the template's rule."""
        if verdict is not self.verdict:
            template = self.match.template
            text = f"join room {template.name}"
            self.reasons = (Reason(text, verdict.truth, template.span, (verdict.reason,)),)
            self.verdict = verdict
        return self.reasons


class RoomCache:
    """Finds rooms by namespace and name; the one that was kept first makes place for a new one.

    One at a time, and not all at once: to free ten thousand of them would hold the loop for some milliseconds.
    """

    __slots__ = ("_dispatch", "_rooms")

    def __init__(self, dispatch: Mapping[NamespaceName, Dispatch]) -> None:
        self._dispatch = dispatch
        self._rooms: OrderedDict[tuple[NamespaceName, str], Room] = OrderedDict()

    def find(self, namespace: NamespaceName, name: str) -> Room | None:
        """Return the room, or `None` where no template has it: also for no such namespace."""
        return self._rooms.get((namespace, name)) or self._look_up(namespace, name)

    def _look_up(self, namespace: NamespaceName, name: str) -> Room | None:
        dispatch = self._dispatch.get(namespace)
        match = None if dispatch is None else dispatch.find(name)
        if match is None:
            return None  # and nothing is kept: there is no end of names that are no room's
        if len(self._rooms) >= MAX_CACHED_ROOMS:
            self._rooms.popitem(last=False)
        room = self._rooms[namespace, name] = Room(match, Allow(match.template, match.values))
        return room

    def iter_parts(self) -> Iterator[object]:
        """Yield what it is made of, as far as there may be very much of it."""
        yield from self._rooms.items()
        for dispatch in self._dispatch.values():
            yield from dispatch.iter_parts()
