"""How many rooms and members each template has, counted as they come and go."""

from __future__ import annotations

from collections import Counter, defaultdict

from compartmentd.names import NamespaceName
from compartmentd.policy.codes import Code
from compartmentd.sessions.observer import SessionObserver
from compartmentd.sessions.session import Membership, NamespaceState, Room, Session


class Census(SessionObserver):
    """Counts occupied rooms and memberships by namespace and template, for the metrics.

    A count that falls to zero is dropped, so that nothing stays of templates that reloads have taken away.
    """

    def __init__(self) -> None:
        self.rooms: defaultdict[NamespaceName, Counter[str]] = defaultdict(Counter)
        self.members: defaultdict[NamespaceName, Counter[str]] = defaultdict(Counter)

    def occupied(self, namespace: NamespaceState, room: Room) -> None:
        """Count a room."""
        self.rooms[namespace.name][room.template] += 1

    def joined(self, session: Session, membership: Membership) -> None:
        """Count a member."""
        self.members[session.namespace.name][membership.template.name] += 1

    def retemplated(self, session: Session, membership: Membership, old: str) -> None:
        """Count a member by its new template, and its room when the first member of it comes."""
        name, room, new = session.namespace.name, membership.room, membership.template.name
        _take_one(self.members[name], old)
        self.members[name][new] += 1
        if room.template != new:
            _take_one(self.rooms[name], room.template)
            self.rooms[name][new] += 1

    def left(self, session: Session, membership: Membership, _code: Code | None) -> None:
        """Count a member less."""
        _take_one(self.members[session.namespace.name], membership.template.name)

    def vacated(self, namespace: NamespaceState, room: Room) -> None:
        """Count a room less."""
        _take_one(self.rooms[namespace.name], room.template)


def _take_one(counts: Counter[str], name: str) -> None:
    left = counts[name] - 1
    if left:
        counts[name] = left
    else:
        del counts[name]
