"""A session, its memberships, its rooms and its namespace: live state, which the registry alone puts together.

INVARIANT: `session.memberships[room.name] is room.members[session]` for every membership of a session that is not
parked; a parked session is in the members of no room. A room without members is not kept.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from compartmentd.configuration.payloads.validator import PayloadVerdict
from compartmentd.names import NamespaceName, RoomName, SessionId, Subject
from compartmentd.policy.model import Limits, RoomTemplate
from compartmentd.policy.principal import Principal
from compartmentd.protocol.application import Peer
from compartmentd.protocol.message import Message
from compartmentd.sessions.index import Index
from compartmentd.tokens.verify import Verified
from compartmentd.util.ratelimit import TokenBucket

EXPIRING = 60.0
"""Seconds before its end at which a session is told, or at once where its first token has less."""


class Grant(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A permission to publish one event to one room (or the namespace) until `valid_until`, a wall time.

    It is made from an `Allow` of `decide` and dies with the snapshot, the membership and the principal that it
    was made for. `head` and `tail` are the bytes around the data of the outgoing packet. Requests of at most
    `largest` bytes are within the size that is allowed, those of at most `shallow` bytes within the nesting.
    `validate` checks the data against the event's schema, if it has one.
    """

    head: bytes
    tail: bytes
    largest: float
    shallow: int
    volatile: bool
    valid_until: float
    validate: Callable[[bytes], PayloadVerdict] | None


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


NO_MEMBERSHIPS: dict[str, Membership] = {}
"""The memberships of every session that has none. Never written to."""

_UNLIMITED = Limits()


class Session:
    """One namespace on one connection, with a principal of its own.

    `generation` is that of the snapshot by which it was last judged; `unjudged` has the messages (room, message,
    whether volatile) that wait until it is judged by a newer one. `deadline` is the next wall time at which time
    alone concerns it; `warning` is how many seconds before its token's end it is told. `declined` are rooms that it
    left and that are not auto-joined again. `parked_until` is the monotonic time at which a session without a
    connection is forgotten, `None` while it has one.
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
        "parked_until",
        "peer",
        "principal",
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
        self.memberships = NO_MEMBERSHIPS
        self.generation = 0
        self.unjudged: list[tuple[RoomName | None, Message, bool]] | None = None
        self.declined: set[RoomName] | None = None
        self.deadline: float | None = None
        self.valid_until: float | None = None
        self.expiring_told = False
        self.warning = EXPIRING
        self.ended = False
        self.parked_until: float | None = None
        self.limits = _UNLIMITED
        self.messages: TokenBucket | None = None
        self.bytes: TokenBucket | None = None
        self.joins: TokenBucket | None = None
        self.own_joins: dict[str, TokenBucket] | None = None

    def send(self, message: Message) -> None:
        """Queue a message for the client."""
        self.peer.send(message)

    @property
    def user(self) -> Subject | None:
        """The subject, or `None` for an anonymous session."""
        return self.principal.subject


class NamespaceState:
    """A namespace with sessions: those that are connected with their users and rooms, and those that are parked."""

    __slots__ = ("name", "parked", "parked_users", "prefix", "rooms", "sessions", "users")

    def __init__(self, name: NamespaceName) -> None:
        self.name = name
        self.prefix = b"" if name == "/" else name.encode() + b","
        self.sessions: dict[SessionId, Session] = {}
        self.rooms: dict[str, Room] = {}
        self.users: Index[Subject, Session] = Index()
        self.parked: dict[SessionId, Session] = {}
        self.parked_users: Index[Subject, Session] = Index()

    def count_sessions(self, user: Subject | None) -> int:
        """Return how many sessions a user has, parked ones too; an anonymous session (`None`) has no user."""
        return 0 if user is None else self.users.count(user) + self.parked_users.count(user)
