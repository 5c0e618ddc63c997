"""Sessions, rooms and memberships, indexed both ways; and sessions by id, by user and by what their tokens name.

INVARIANT: `session.memberships[room.name] is room.members[session]` for every membership, and a room without
members is not kept. Only `Registry` changes either side. Leaving costs what the session's own rooms cost.
INVARIANT: a session is in an index exactly while it is in the registry, under the names of its present token.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec

from compartmentd.names import NamespaceName, RoomName, SessionId, Subject
from compartmentd.policy.model import Limits, RoomTemplate
from compartmentd.policy.principal import Principal
from compartmentd.protocol.application import Peer
from compartmentd.protocol.message import Message
from compartmentd.sessions.index import Index
from compartmentd.tokens.verify import Verified
from compartmentd.util.ratelimit import TokenBucket

OwnBuckets = tuple[TokenBucket | None, TokenBucket | None]
"""The buckets of a room's own rates: of messages, and of bytes."""

ROOMS_LEFT = 32
"""Rooms with rates of their own of which a session that left them keeps what it took."""


EXPIRING = 60.0
"""Seconds before its end at which a session is told, or at once where its first token has less."""


class Grant(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A permission to publish one event to one room (or the namespace) until `valid_until`, a wall time.

    It is made from an `Allow` of `decide` and dies with the snapshot, the membership and the principal that it
    was made for. `head` and `tail` are the bytes around the data of the outgoing packet. Requests of at most
    `largest` bytes are within the size that is allowed, those of at most `shallow` bytes within the nesting.
    """

    head: bytes
    tail: bytes
    largest: float
    shallow: int
    volatile: bool
    valid_until: float


_NO_GRANTS: dict[str, Grant] = {}
"""The grants of every membership that has none: most members of a crowd never publish. Never written to."""


class Membership:
    """One session in one room; `by_server` remembers who made the join, for every later judgement."""

    __slots__ = ("by_server", "grants", "own_bytes", "own_messages", "room", "template")

    def __init__(self, room: Room, template: RoomTemplate, *, by_server: bool) -> None:
        self.room = room
        self.template = template
        self.by_server = by_server
        self.grants = _NO_GRANTS
        self.own_messages: TokenBucket | None = None
        self.own_bytes: TokenBucket | None = None

    def remember(self, event: str, grant: Grant) -> None:
        """Remember a permission."""
        if self.grants is _NO_GRANTS:
            self.grants = {}
        self.grants[event] = grant

    def forget_grants(self) -> None:
        """Forget every permission: what they were made for has changed."""
        self.grants = _NO_GRANTS


class Room:
    """A room that somebody is in; `template` is the name of the one by which it is counted.

    `peers` are its members' connections, flat, once somebody published to it, and another tuple whenever the
    members are others. Sending goes along it without a look at the sessions, which are cold memory in a large room.
    """

    __slots__ = ("members", "name", "peers", "template")

    def __init__(self, name: RoomName, template: str) -> None:
        self.name = name
        self.template = template
        self.members: dict[Session, Membership] = {}
        self.peers: tuple[Peer, ...] | None = None

    def gather(self) -> tuple[Peer, ...]:
        """Make `peers` anew."""
        peers = self.peers = tuple([session.peer for session in self.members])
        return peers


_NOWHERE: dict[str, Membership] = {}
"""The memberships of every session that has none. Never written to."""

_UNLIMITED = Limits()


class Session:
    """One namespace on one connection, with a principal of its own.

    `generation` is that of the snapshot by which it was last judged; `unjudged` has the messages (room, message,
    whether volatile) that wait until it is judged by a newer one. `deadline` is the next wall time at which time
    alone concerns it; `warning` is how many seconds before its token's end it is told. `declined` are rooms that it
    left and that are not auto-joined again; `rooms_left` has what it took of the own rates of rooms that it is no
    longer in.
    """

    __slots__ = (
        "bytes",
        "deadline",
        "declined",
        "ended",
        "expiring_told",
        "generation",
        "joins",
        "limits",
        "memberships",
        "messages",
        "namespace",
        "own_joins",
        "peer",
        "principal",
        "rooms_left",
        "sid",
        "unjudged",
        "valid_until",
        "verified",
        "warning",
    )

    def __init__(
        self,
        sid: SessionId,
        peer: Peer,
        namespace: NamespaceState,
        principal: Principal,
        verified: Verified | None,
    ) -> None:
        self.sid = sid
        self.peer = peer
        self.namespace = namespace
        self.principal = principal
        self.verified = verified
        self.memberships = _NOWHERE
        self.generation = 0
        self.unjudged: list[tuple[RoomName | None, Message, bool]] | None = None
        self.declined: set[RoomName] | None = None
        self.deadline: float | None = None
        self.valid_until: float | None = None
        self.expiring_told = False
        self.warning = EXPIRING
        self.ended = False
        self.limits = _UNLIMITED
        self.messages: TokenBucket | None = None
        self.bytes: TokenBucket | None = None
        self.joins: TokenBucket | None = None
        self.own_joins: dict[str, TokenBucket] | None = None
        self.rooms_left: dict[str, OwnBuckets] | None = None

    def send(self, message: Message) -> None:
        """Queue a message for the client."""
        self.peer.send(message)

    @property
    def user(self) -> Subject | None:
        """The subject, or `None` for an anonymous session."""
        return self.principal.subject


class NamespaceState:
    """A namespace that somebody is connected to: its sessions, rooms and users.

    `rooms_by_template` and `members_by_template` count rooms and memberships, so that telling how many there are
    costs nothing that grows with them.
    """

    __slots__ = (
        "members_by_template",
        "name",
        "prefix",
        "rooms",
        "rooms_by_template",
        "sessions",
        "users",
    )

    def __init__(self, name: NamespaceName) -> None:
        self.name = name
        self.prefix = b"" if name == "/" else name.encode() + b","
        self.sessions: dict[SessionId, Session] = {}
        self.rooms: dict[str, Room] = {}
        self.users: Index[Subject, Session] = Index()
        self.rooms_by_template: Counter[str] = Counter()
        self.members_by_template: Counter[str] = Counter()

    def sessions_of(self, user: Subject | None) -> int:
        """Return how many sessions a user has; an anonymous session (`None`) has no user."""
        return 0 if user is None else self.users.count(user)

    def occupancy(self, room: str) -> int:
        """Return how many sessions are in a room."""
        found = self.rooms.get(room)
        return 0 if found is None else len(found.members)


class Registry:
    """All namespaces, sessions and memberships of this process."""

    def __init__(self) -> None:
        self.namespaces: dict[NamespaceName, NamespaceState] = {}
        self.sessions = 0
        self.memberships = 0
        self.by_token_sid: Index[str, Session] = Index()
        """Sessions by the claim `sid` of their tokens: the provider's session, of whichever issuer."""
        self.by_sub: Index[str, Session] = Index()
        """Sessions by the claim `sub`, of tokens whose subject is taken from another claim (`subject`)."""

    def namespace(self, name: NamespaceName) -> NamespaceState:
        """Return the namespace's state, made at its first use."""
        found = self.namespaces.get(name)
        if found is None:
            found = self.namespaces[name] = NamespaceState(name)
        return found

    def add(self, session: Session) -> None:
        """Enter a new session."""
        namespace = session.namespace
        namespace.sessions[session.sid] = session
        self.sessions += 1
        if session.user is not None:
            namespace.users.add(session.user, session)
        if session.verified is not None:
            self._index_token(session, session.verified)

    def remove(self, session: Session) -> None:
        """Take a session out, with all its memberships."""
        for membership in list(session.memberships.values()):
            self.leave(session, membership)
        namespace = session.namespace
        del namespace.sessions[session.sid]
        self.sessions -= 1
        if session.user is not None:
            namespace.users.remove(session.user, session)
        if session.verified is not None:
            self._forget_token(session, session.verified)
        if not namespace.sessions and self.namespaces.get(namespace.name) is namespace:
            del self.namespaces[namespace.name]

    def replace_token(self, session: Session, verified: Verified, principal: Principal) -> None:
        """Give a session a newer token of the same subject, and file it under what that token names."""
        if session.verified is not None:
            self._forget_token(session, session.verified)
        session.verified = verified
        session.principal = principal
        self._index_token(session, verified)

    def _index_token(self, session: Session, verified: Verified) -> None:
        claims = verified.claims
        if isinstance(sid := claims.get("sid"), str):
            self.by_token_sid.add(sid, session)
        if isinstance(sub := claims.get("sub"), str) and sub != verified.subject.sub:
            self.by_sub.add(sub, session)

    def _forget_token(self, session: Session, verified: Verified) -> None:
        claims = verified.claims
        if isinstance(sid := claims.get("sid"), str):
            self.by_token_sid.remove(sid, session)
        if isinstance(sub := claims.get("sub"), str) and sub != verified.subject.sub:
            self.by_sub.remove(sub, session)

    def find_by_subject(self, subject: Subject) -> Iterator[Session]:
        """Yield a user's sessions in all namespaces."""
        for namespace in self.namespaces.values():
            yield from namespace.users.find(subject)

    def find_by_sid(self, sid: SessionId) -> Session | None:
        """Return the session with this id, `None` if there is none."""
        for namespace in self.namespaces.values():
            if (session := namespace.sessions.get(sid)) is not None:
                return session
        return None

    def join(
        self, session: Session, name: RoomName, template: RoomTemplate, *, by_server: bool
    ) -> Membership:
        """Enter a session into a room that it is not in."""
        namespace = session.namespace
        room = namespace.rooms.get(name)
        if room is None:
            room = namespace.rooms[name] = Room(name, template.name)
            namespace.rooms_by_template[template.name] += 1
        namespace.members_by_template[template.name] += 1
        membership = Membership(room, template, by_server=by_server)
        if session.rooms_left:
            membership.own_messages, membership.own_bytes = session.rooms_left.pop(name, (None, None))
        room.members[session] = membership
        if session.memberships is _NOWHERE:
            session.memberships = {}
        session.memberships[name] = membership
        room.peers = None
        self.memberships += 1
        return membership

    def leave(self, session: Session, membership: Membership) -> None:
        """Take a session out of a room that it is in."""
        room, namespace = membership.room, session.namespace
        del session.memberships[room.name]
        del room.members[session]
        _remember_rates(session, membership)
        room.peers = None
        self.memberships -= 1
        namespace.members_by_template[membership.template.name] -= 1
        if not room.members:
            del namespace.rooms[room.name]
            namespace.rooms_by_template[room.template] -= 1

    def move(self, session: Session, membership: Membership, template: RoomTemplate) -> None:
        """Put a membership under the template that describes its room now: a reload may have renamed it."""
        old, new = membership.template.name, template.name
        membership.template = template
        if old == new:
            return
        namespace, room = session.namespace, membership.room
        namespace.members_by_template[old] -= 1
        namespace.members_by_template[new] += 1
        if room.template != new:
            namespace.rooms_by_template[room.template] -= 1
            namespace.rooms_by_template[new] += 1
            room.template = new


def _remember_rates(session: Session, membership: Membership) -> None:
    """Keep what was taken of a room's own rates: leaving and joining again must not fill its buckets."""
    own = (membership.own_messages, membership.own_bytes)
    if own == (None, None):
        return
    if session.rooms_left is None:
        session.rooms_left = {}
    session.rooms_left[membership.room.name] = own
    if len(session.rooms_left) > ROOMS_LEFT:
        del session.rooms_left[next(iter(session.rooms_left))]
