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
        """A session begins, or is resumed.

        Args:
            session: The session, which is in no room yet.
        """

    def online(self, namespace: NamespaceState, user: Subject) -> None:
        """A user has the first session in a namespace.

        Args:
            namespace: The namespace.
            user: The user.
        """

    def occupied(self, namespace: NamespaceState, room: Room) -> None:
        """A room gets its first member.

        Args:
            namespace: The namespace of the room.
            room: The room, with its member.
        """

    def joined(self, session: Session, membership: Membership) -> None:
        """A session is in a room.

        Args:
            session: The session.
            membership: The membership, which has the room.
        """

    def retemplated(self, session: Session, membership: Membership, old: str) -> None:
        """A reload describes a member's room by a template of another name.

        Args:
            session: The session.
            membership: Its membership, with the new template; its room still has the old one at the first member.
            old: The name of the template before.
        """

    def left(self, session: Session, membership: Membership, code: Code | None) -> None:
        """A session is no longer in a room.

        Args:
            session: The session.
            membership: The membership that has ended.
            code: Why, `None` where the session left by itself or its connection ended.
        """

    def vacated(self, namespace: NamespaceState, room: Room) -> None:
        """A room has lost its last member.

        Args:
            namespace: The namespace of the room.
            room: The room, which is not in the namespace any more.
        """

    def disconnected(self, session: Session, code: Code | None) -> None:
        """A session has ended, or is parked.

        Args:
            session: The session, which has left its rooms.
            code: Why, `None` where its client or its connection ended it.
        """

    def offline(self, namespace: NamespaceState, user: Subject) -> None:
        """A user has no session in a namespace any more.

        Args:
            namespace: The namespace.
            user: The user.
        """


class ObserverMethods:
    """The methods that observers override, for each fact in the order of the observers.

    Nothing is called for a fact that no observer wants: most want few, and a call takes 40 ns.
    """

    __slots__ = (
        "connected",
        "disconnected",
        "joined",
        "left",
        "occupied",
        "offline",
        "online",
        "retemplated",
        "vacated",
    )

    def __init__(self, observers: Sequence[SessionObserver]) -> None:
        default = SessionObserver
        self.connected = tuple(
            each.connected for each in observers if type(each).connected is not default.connected
        )
        self.online = tuple(each.online for each in observers if type(each).online is not default.online)
        self.occupied = tuple(
            each.occupied for each in observers if type(each).occupied is not default.occupied
        )
        self.joined = tuple(each.joined for each in observers if type(each).joined is not default.joined)
        self.retemplated = tuple(
            each.retemplated for each in observers if type(each).retemplated is not default.retemplated
        )
        self.left = tuple(each.left for each in observers if type(each).left is not default.left)
        self.vacated = tuple(each.vacated for each in observers if type(each).vacated is not default.vacated)
        self.disconnected = tuple(
            each.disconnected for each in observers if type(each).disconnected is not default.disconnected
        )
        self.offline = tuple(each.offline for each in observers if type(each).offline is not default.offline)
