"""All sessions, rooms and memberships of this process, indexed; every change of them goes through here.

INVARIANT: `session.memberships[room.name] is room.members[session]` for every membership, and a room without
members is not kept. Leaving costs what the session's own rooms cost.
INVARIANT: a session is in an index exactly while it is in the registry, under the names of its present token.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compartmentd.names import NamespaceName, RoomName, SessionId, Subject
from compartmentd.policy.codes import Code
from compartmentd.policy.model import RoomTemplate
from compartmentd.policy.principal import Principal
from compartmentd.protocol.application import Peer
from compartmentd.sessions.away import AWAY
from compartmentd.sessions.index import Index
from compartmentd.sessions.observer import ObserverMethods, SessionObserver
from compartmentd.sessions.room_store import RoomStore
from compartmentd.sessions.session import NO_MEMBERSHIPS, Membership, NamespaceState, Room, Session
from compartmentd.tokens.claims import read_name
from compartmentd.tokens.verify import Verified


class Registry:
    """All namespaces, sessions and memberships of this process.

    A session may outlive its connection: `park` takes it out of its rooms and its namespace's sessions, so that it
    is away for everybody else, but keeps its memberships, its place among its user's sessions, and the names by
    which its token is found. It is judged as a live one is, and ended, or resumed over another connection.
    """

    def __init__(self, store: RoomStore, observers: Sequence[SessionObserver] = ()) -> None:
        self.namespaces: dict[NamespaceName, NamespaceState] = {}
        self.sessions = 0
        self.parked = 0
        self.memberships = 0
        self.by_token_sid: Index[str, Session] = Index()
        """Sessions by the claim `sid` of their tokens: the provider's session, of whichever issuer."""
        self.by_sub: Index[str, Session] = Index()
        """Sessions by the claim `sub`, of tokens whose subject is taken from another claim (`subject`)."""
        self.store = store
        self._listeners = ObserverMethods(observers)

    def get_namespace(self, name: NamespaceName) -> NamespaceState:
        """Return the namespace's state, made at its first use.

        Args:
            name: A declared namespace.
        """
        found = self.namespaces.get(name)
        if found is None:
            found = self.namespaces[name] = NamespaceState(name)
        return found

    # --- sessions --------------------------------------------------------------------------------------------

    def add(self, session: Session) -> None:
        """Enter a new session.

        Args:
            session: One that is in no registry, without memberships.
        """
        if session.verified is not None:
            self._index_token(session, session.verified)
        self._appear(session)

    def remove(self, session: Session, code: Code | None = None) -> None:
        """Take a session out, with all its memberships.

        Args:
            session: A session of this registry, live or parked.
            code: Why it ends, `None` where its client or its connection ended it.
        """
        for membership in list(session.memberships.values()):
            self.leave(session, membership, code)
        if session.parked_until is None:
            self._disappear(session, code)
        else:
            self._unpark(session)
        if session.verified is not None:
            self._forget_token(session, session.verified)
        namespace = session.namespace
        is_empty = not namespace.sessions and not namespace.parked
        if is_empty and self.namespaces.get(namespace.name) is namespace:
            del self.namespaces[namespace.name]

    def park(self, session: Session, until: float) -> None:
        """Keep a session whose connection has ended; it is away meanwhile.

        Args:
            session: A live session of this registry.
            until: The monotonic time, in seconds, until which its owner keeps it.
        """
        for membership in session.memberships.values():
            self._exit(session, membership, None)
        self._disappear(session, None)
        session.peer, session.parked_until = AWAY, until
        session.unjudged = None
        namespace = session.namespace
        namespace.parked[session.sid] = session
        self.parked += 1
        if session.user is not None:
            namespace.parked_users.add(session.user, session)

    def resume(self, session: Session, peer: Peer) -> None:
        """Let a parked session go on over another connection, in the rooms of which it is a member.

        Args:
            session: A parked session of this registry.
            peer: The new connection.
        """
        self._unpark(session)
        session.peer, session.parked_until = peer, None
        session.expiring_told = False  # nobody was there to be told
        self._appear(session)
        for membership in session.memberships.values():
            self._enter(session, membership)

    def _appear(self, session: Session) -> None:
        namespace, user = session.namespace, session.principal.subject
        namespace.sessions[session.sid] = session
        self.sessions += 1
        is_first = user is not None and namespace.users.add(user, session)
        for tell in self._listeners.connected:
            tell(session)
        if is_first and user is not None:
            for tell_user in self._listeners.online:
                tell_user(namespace, user)

    def _disappear(self, session: Session, code: Code | None) -> None:
        namespace, user = session.namespace, session.principal.subject
        del namespace.sessions[session.sid]
        self.sessions -= 1
        is_last = user is not None and namespace.users.remove(user, session)
        for tell in self._listeners.disconnected:
            tell(session, code)
        if is_last and user is not None:
            for tell_user in self._listeners.offline:
                tell_user(namespace, user)

    def _unpark(self, session: Session) -> None:
        namespace = session.namespace
        del namespace.parked[session.sid]
        self.parked -= 1
        if session.user is not None:
            namespace.parked_users.remove(session.user, session)

    def __iter__(self) -> Iterator[Session]:
        """Yield all sessions, the parked ones of each namespace last."""
        for namespace in self.namespaces.values():
            yield from namespace.sessions.values()
            yield from namespace.parked.values()

    # --- finding ---------------------------------------------------------------------------------------------

    def find_by_subject(self, subject: Subject) -> Iterator[Session]:
        """Yield a user's sessions in all namespaces, parked ones too.

        Args:
            subject: The user; the same `sub` of another entry is another user.

        Yields:
            Each session once. The registry must not change meanwhile.
        """
        for namespace in self.namespaces.values():
            yield from namespace.users.find(subject)
            yield from namespace.parked_users.find(subject)

    def find_by_sid(self, sid: SessionId) -> Session | None:
        """Return the session with this id, parked or not; `None` if there is none.

        Args:
            sid: The session's own id, not the claim `sid` of its token.
        """
        for namespace in self.namespaces.values():
            session = namespace.sessions.get(sid) or namespace.parked.get(sid)
            if session is not None:
                return session
        return None

    def replace_token(self, session: Session, verified: Verified, principal: Principal) -> None:
        """Give a session a newer token, and file it under what that token names.

        Args:
            session: A session of this registry.
            verified: A token of the same entry and subject as its present one.
            principal: The holder by the newer token.
        """
        if session.verified is not None:
            self._forget_token(session, session.verified)
        session.verified = verified
        session.principal = principal
        self._index_token(session, verified)

    def _index_token(self, session: Session, verified: Verified) -> None:
        claims = verified.claims
        if isinstance(sid := claims.get("sid"), str):
            self.by_token_sid.add(sid, session)
        sub = read_name(claims.get("sub"))
        if sub is not None and sub != verified.subject.sub:
            self.by_sub.add(sub, session)

    def _forget_token(self, session: Session, verified: Verified) -> None:
        claims = verified.claims
        if isinstance(sid := claims.get("sid"), str):
            self.by_token_sid.remove(sid, session)
        sub = read_name(claims.get("sub"))
        if sub is not None and sub != verified.subject.sub:
            self.by_sub.remove(sub, session)

    # --- memberships -----------------------------------------------------------------------------------------

    def join(
        self, session: Session, name: RoomName, template: RoomTemplate, *, by_server: bool
    ) -> Membership:
        """Make a session a member of a room that it is not in.

        Args:
            session: A session of this registry; of a parked one the membership counts when it is resumed.
            name: The room.
            template: The template that describes the room.
            by_server: Whether the operator's side makes the join.

        Returns:
            The membership.
        """
        room = session.namespace.rooms.get(name) or Room(name, template.name)
        membership = Membership(room, template, by_server=by_server)
        if session.memberships is NO_MEMBERSHIPS:
            session.memberships = {}
        session.memberships[name] = membership
        if session.parked_until is None:
            self._enter(session, membership)
        return membership

    def leave(self, session: Session, membership: Membership, code: Code | None = None) -> None:
        """Take a session out of a room that it is in.

        Args:
            session: The session.
            membership: Its membership of the room.
            code: Why it leaves, `None` where it leaves by itself.
        """
        del session.memberships[membership.room.name]
        if session.parked_until is None:
            self._exit(session, membership, code)

    def move(self, session: Session, membership: Membership, template: RoomTemplate) -> None:
        """Put a membership under the template that describes its room now: a reload may have renamed it.

        Args:
            session: The session.
            membership: Its membership.
            template: The template in force.
        """
        old, new = membership.template.name, template.name
        membership.template = template
        if old != new and session.parked_until is None:
            for tell in self._listeners.retemplated:
                tell(session, membership, old)
            membership.room.template = new

    def _enter(self, session: Session, membership: Membership) -> None:
        """Let a membership count in its room: in the one that others are in, where there is one."""
        namespace, listeners = session.namespace, self._listeners
        room = membership.room = namespace.rooms.setdefault(membership.room.name, membership.room)
        is_first = not room.members
        room.members[session] = membership
        room.peers = None
        self.memberships += 1
        self.store.enter(namespace.name, room.name)
        if is_first:
            for tell_room in listeners.occupied:
                tell_room(namespace, room)
        for tell in listeners.joined:
            tell(session, membership)

    def _exit(self, session: Session, membership: Membership, code: Code | None) -> None:
        """Let a membership count no longer; a room that its last member leaves is not kept."""
        namespace, listeners, room = session.namespace, self._listeners, membership.room
        del room.members[session]
        room.peers = None
        self.memberships -= 1
        self.store.leave(namespace.name, room.name)
        is_last = not room.members
        if is_last:
            del namespace.rooms[room.name]
        for tell in listeners.left:
            tell(session, membership, code)
        if is_last:
            for tell_room in listeners.vacated:
                tell_room(namespace, room)
