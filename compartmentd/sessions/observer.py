"""Facts about sessions and rooms: who connected, joined, left, and which rooms were occupied and vacated.

The audit log has decisions; that a client leaves, that a connection closes, that a room has its first member are no
decisions. `Registry` alone calls an observer, after each change, so that the observer sees the registry changed.
"""

from __future__ import annotations

from collections.abc import Sequence

from compartmentd.names import Subject
from compartmentd.policy.codes import Code
from compartmentd.sessions.session import Membership, NamespaceState, Room, Session


class SessionObserver:
    """Is told what happens; a subclass overrides what it needs, and everything else does nothing.

    Its methods must return soon, must not raise, and must not change the registry. A session that is parked is
    away: for an observer it leaves its rooms and disconnects, and connects and joins again when it is resumed.

    The order: `connected` before `online`, `occupied` before `joined`, `left` before `vacated`, `disconnected`
    before `offline`; a session that disconnects has left its rooms before.
    """

    def connected(self, session: Session) -> None:
        """A session begins, or is resumed."""

    def online(self, namespace: NamespaceState, user: Subject) -> None:
        """A user has the first session in a namespace."""

    def occupied(self, namespace: NamespaceState, room: Room) -> None:
        """A room gets its first member."""

    def joined(self, session: Session, membership: Membership) -> None:
        """A session is in a room."""

    def retemplated(self, session: Session, membership: Membership, old: str) -> None:
        """A reload describes a member's room by a template of another name than `old`."""

    def left(self, session: Session, membership: Membership, code: Code | None) -> None:
        """A session is no longer in a room: by its own wish or its connection's end (`None`), or for a reason."""

    def vacated(self, namespace: NamespaceState, room: Room) -> None:
        """A room has lost its last member."""

    def disconnected(self, session: Session, code: Code | None) -> None:
        """A session has ended, or is parked: `None` where its client or connection did it, else the reason."""

    def offline(self, namespace: NamespaceState, user: Subject) -> None:
        """A user has no session in a namespace any more."""


class Observers(SessionObserver):
    """Several observers as one, told in their order."""

    def __init__(self, observers: Sequence[SessionObserver]) -> None:
        self._observers = tuple(observers)

    def connected(self, session: Session) -> None:
        """Tell all."""
        for each in self._observers:
            each.connected(session)

    def online(self, namespace: NamespaceState, user: Subject) -> None:
        """Tell all."""
        for each in self._observers:
            each.online(namespace, user)

    def occupied(self, namespace: NamespaceState, room: Room) -> None:
        """Tell all."""
        for each in self._observers:
            each.occupied(namespace, room)

    def joined(self, session: Session, membership: Membership) -> None:
        """Tell all."""
        for each in self._observers:
            each.joined(session, membership)

    def retemplated(self, session: Session, membership: Membership, old: str) -> None:
        """Tell all."""
        for each in self._observers:
            each.retemplated(session, membership, old)

    def left(self, session: Session, membership: Membership, code: Code | None) -> None:
        """Tell all."""
        for each in self._observers:
            each.left(session, membership, code)

    def vacated(self, namespace: NamespaceState, room: Room) -> None:
        """Tell all."""
        for each in self._observers:
            each.vacated(namespace, room)

    def disconnected(self, session: Session, code: Code | None) -> None:
        """Tell all."""
        for each in self._observers:
            each.disconnected(session, code)

    def offline(self, namespace: NamespaceState, user: Subject) -> None:
        """Tell all."""
        for each in self._observers:
            each.offline(namespace, user)
