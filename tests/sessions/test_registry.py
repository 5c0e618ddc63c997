from __future__ import annotations

from collections import Counter
from itertools import count
from typing import Any

from hypothesis import given, strategies as st
from msgspec import structs

from compartmentd.names import EntryName, NamespaceName, RoomName, SessionId, Subject
from compartmentd.policy.codes import Code
from compartmentd.policy.model import Limits, Nobody, Public, RoomTemplate
from compartmentd.policy.principal import ANONYMOUS, Principal
from compartmentd.problems import Span
from compartmentd.sessions.agenda import Agenda
from compartmentd.sessions.census import Census
from compartmentd.sessions.index import Index
from compartmentd.sessions.observer import SessionObserver
from compartmentd.sessions.registry import Registry
from compartmentd.sessions.room_store import MemoryRoomStore
from compartmentd.sessions.session import Membership, NamespaceState, Room, Session
from compartmentd.tokens.verify import Verified
from tests.support.peer import RecordingPeer

SPAN = Span("a.yaml", 1, 1, 1, 2)
TEMPLATE = RoomTemplate(
    span=SPAN,
    name="{room}",
    pattern=("", "room", ""),
    params=(),
    join=Public(span=SPAN),
    publish=Nobody(span=SPAN),
    events={},
    echo=False,
    auto_join=None,
    capacity=None,
    limits=Limits(),
)
RENAMED = structs.replace(TEMPLATE, name="{name}")
ROOMS = [RoomName(name) for name in ("a", "b", "c")]


_SIDS = count()


def token(sub: str, /, **claims: str) -> Verified:
    """Return a token of `sub`, as the entry took its subject, that holds these claims."""
    return Verified(
        subject=Subject(EntryName("corp"), sub),
        claims=dict(claims),
        typ=None,
        algorithm="HS256",
        thumbprint="",
        ends_at=0.0,
    )


def holder(verified: Verified) -> Principal:
    return Principal(subject=verified.subject, claims=verified.claims)


def new_session(registry: Registry, namespace: str, sub: str | None = None, /, **claims: str) -> Session:
    verified = None if sub is None else token(sub, **claims)
    principal = ANONYMOUS if verified is None else holder(verified)
    namespace = registry.get_namespace(NamespaceName(namespace))
    return Session(SessionId(f"s{next(_SIDS)}"), RecordingPeer(), namespace, principal, verified)


class Ledger(SessionObserver):
    """Keeps its own account of who is where, from what it is told alone, and holds the order to its promise."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.users: list[tuple[str, Subject]] = []
        self.rooms: list[tuple[str, str]] = []
        self.members: list[tuple[Session, str]] = []

    def connected(self, session: Session) -> None:
        assert session.namespace.sessions[session.sid] is session
        self.sessions.append(session)

    def online(self, namespace: NamespaceState, user: Subject) -> None:
        assert any(session.user == user for session in self.sessions)
        self.users.append((namespace.name, user))

    def occupied(self, namespace: NamespaceState, room: Room) -> None:
        assert namespace.rooms[room.name] is room
        self.rooms.append((namespace.name, room.name))

    def joined(self, session: Session, membership: Membership) -> None:
        assert membership.room.members[session] is membership
        assert (session.namespace.name, membership.room.name) in self.rooms
        self.members.append((session, membership.room.name))

    def left(self, session: Session, membership: Membership, _code: Code | None) -> None:
        assert session not in membership.room.members
        self.members.remove((session, membership.room.name))

    def vacated(self, namespace: NamespaceState, room: Room) -> None:
        assert room.name not in namespace.rooms
        self.rooms.remove((namespace.name, room.name))

    def disconnected(self, session: Session, _code: Code | None) -> None:
        assert not any(of is session for of, _ in self.members)
        self.sessions.remove(session)

    def offline(self, namespace: NamespaceState, user: Subject) -> None:
        assert not any(of.user == user and of.namespace is namespace for of in self.sessions)
        self.users.remove((namespace.name, user))


def check(registry: Registry, census: Census, ledger: Ledger) -> None:
    """Assert that the two directions agree, that nothing empty is kept, and that observers were told all of it."""
    live = [session for one in registry.namespaces.values() for session in one.sessions.values()]
    parked = [session for one in registry.namespaces.values() for session in one.parked.values()]
    for namespace in registry.namespaces.values():
        assert namespace.sessions or namespace.parked
        for index, sessions in (
            (namespace.users, namespace.sessions.values()),
            (namespace.parked_users, namespace.parked.values()),
        ):
            users: dict[Subject, set[Session]] = {}
            for session in sessions:
                if session.user is not None:
                    users.setdefault(session.user, set()).add(session)
            assert {user: set(index.find(user)) for user in index} == users
            assert {user: index.count(user) for user in users} == {
                user: len(of) for user, of in users.items()
            }
        for name, room in namespace.rooms.items():
            assert registry.store.count(namespace.name, name) == len(room.members) > 0
            for session, membership in room.members.items():
                assert namespace.sessions[session.sid] is session
                assert session.memberships[name] is membership
    for session in live:
        assert session.parked_until is None
        for name, membership in session.memberships.items():
            assert membership.room.name == name
            assert session.namespace.rooms[name] is membership.room
            assert membership.room.members[session] is membership
    for session in parked:
        assert session.parked_until is not None
        for name, membership in session.memberships.items():
            assert membership.room.name == name
            assert session not in membership.room.members
    memberships = [(session, name) for session in live for name in session.memberships]
    assert (registry.sessions, registry.parked, registry.memberships) == (
        len(live),
        len(parked),
        len(memberships),
    )
    assert set(registry) == {*live, *parked}
    for session in registry:
        assert registry.find_by_sid(session.sid) is session
    for index, name in ((registry.by_token_sid, "sid"), (registry.by_sub, "sub")):
        named: dict[object, set[Session]] = {}
        for session in registry:
            if session.verified is not None and name in session.verified.claims:
                named.setdefault(session.verified.claims[name], set()).add(session)
        assert {key: set(index.find(key)) for key in index} == named
    check_told(registry, live, memberships, census, ledger)


def check_told(
    registry: Registry,
    live: list[Session],
    memberships: list[tuple[Session, str]],
    census: Census,
    ledger: Ledger,
) -> None:
    spaces = registry.namespaces.values()
    assert set(ledger.sessions) == set(live)
    assert sorted(ledger.rooms) == sorted((one.name, name) for one in spaces for name in one.rooms)
    assert set(ledger.users) == {(one.name, user) for one in spaces for user in one.users}
    assert set(ledger.members) == set(memberships)
    assert len(ledger.members) == len(memberships)
    members: Counter[tuple[str, str]] = Counter()
    for session, name in memberships:
        members[session.namespace.name, session.memberships[name].template.name] += 1
    rooms = Counter((one.name, room.template) for one in spaces for room in one.rooms.values())
    for counted, expected in ((census.members, members), (census.rooms, rooms)):
        assert {(space, name): n for space, of in counted.items() for name, n in of.items()} == expected


steps = st.lists(
    st.one_of(
        st.tuples(st.just("connect"), st.sampled_from(["/", "/chat"]), st.sampled_from([None, "ann", "bob"])),
        *[st.tuples(st.just(what), st.integers(0, 9)) for what in ("disconnect", "park", "resume")],
        st.tuples(st.just("refresh"), st.integers(0, 9), st.sampled_from([None, "first", "second"])),
        *[
            st.tuples(st.just(what), st.integers(0, 9), st.sampled_from(ROOMS))
            for what in ("join", "join", "move", "leave")
        ],
    ),
    max_size=60,
)


def act(registry: Registry, known: list[Session], step: tuple[Any, ...]) -> None:
    """Take a step, if it is one that can be taken."""
    what, *rest = step
    if what == "connect":
        namespace, sub = rest
        known.append(new_session(registry, namespace, sub, sid="first", sub="other name"))
        registry.add(known[-1])
        return
    index, *more = rest
    if index >= len(known):
        return
    session = known[index]
    if what == "disconnect":
        registry.remove(known.pop(index))
    elif what == "park" and session.parked_until is None:
        registry.park(session, until=1.0)
    elif what == "resume" and session.parked_until is not None:
        registry.resume(session, RecordingPeer())
    elif what == "refresh" and session.user is not None:
        claims = {"sub": "other name"} if more[0] is None else {"sid": more[0]}
        newer = token(session.user.sub, **claims)
        registry.replace_token(session, newer, holder(newer))
    elif what == "join" and more[0] not in session.memberships:
        registry.join(session, more[0], TEMPLATE, by_server=False)
    elif what in ("leave", "move") and more[0] in session.memberships:
        membership = session.memberships[more[0]]
        if what == "leave":
            registry.leave(session, membership)
        else:
            registry.move(session, membership, RENAMED)


@given(steps)
def test_everything_agrees_after_any_history(history: list[tuple[Any, ...]]) -> None:
    census, ledger = Census(), Ledger()
    store = MemoryRoomStore(lambda: 0.0)
    registry = Registry(store, [census, ledger])
    known: list[Session] = []
    for step in history:
        act(registry, known, step)
        for name in [name for name, one in registry.namespaces.items() if not (one.sessions or one.parked)]:
            del registry.namespaces[
                name
            ]  # the test's own: `new_session` makes them before there is a session
        check(registry, census, ledger)
    for session in known:
        registry.remove(session)
    assert not registry.namespaces
    assert not len(registry.by_token_sid)
    assert not len(registry.by_sub)
    assert not any(store.is_kept(NamespaceName(name), room) for name in ("/", "/chat") for room in ROOMS)
    assert (registry.sessions, registry.parked, registry.memberships) == (0, 0, 0)
    assert (ledger.sessions, ledger.users, ledger.rooms, ledger.members) == ([], [], [], [])


def test_a_session_leaves_its_rooms_for_the_reason_that_ends_it() -> None:
    told: list[Any] = []

    class Reasons(SessionObserver):
        def left(self, _session: Session, membership: Membership, code: Code | None) -> None:
            told.append((membership.room.name, code))

        def disconnected(self, _session: Session, code: Code | None) -> None:
            told.append(("", code))

    registry = Registry(MemoryRoomStore(lambda: 0.0), [Reasons()])
    for code in (None, Code.REVOKED):
        session = new_session(registry, "/")
        registry.add(session)
        registry.join(session, ROOMS[0], TEMPLATE, by_server=False)
        registry.leave(session, registry.join(session, ROOMS[1], TEMPLATE, by_server=False), Code.RULE_DENIED)
        registry.remove(session, code)
        assert told == [("b", Code.RULE_DENIED), ("a", code), ("", code)]
        told.clear()


def test_a_subject_is_found_in_every_namespace_and_under_its_own_entry_alone() -> None:
    registry = Registry(MemoryRoomStore(lambda: 0.0))
    sessions = [
        new_session(registry, name, sub) for name, sub in (("/", "ann"), ("/a", "ann"), ("/a", "bob"))
    ]
    for session in sessions:
        registry.add(session)
    assert list(registry.find_by_subject(Subject(EntryName("corp"), "ann"))) == sessions[:2]
    assert list(registry.find_by_subject(Subject(EntryName("other"), "ann"))) == []
    assert registry.find_by_sid(SessionId("unknown")) is None


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 4))))
def test_an_index_is_a_set_for_each_key_in_order(history: list[tuple[str, int]]) -> None:
    registry = Registry(MemoryRoomStore(lambda: 0.0))
    sessions = [new_session(registry, "/") for _ in range(5)]
    index: Index[str, Session] = Index()
    expected: dict[str, list[Session]] = {"a": [], "b": []}
    for key, number in history:
        session, under = sessions[number], expected[key]
        if session in under:
            under.remove(session)
            assert index.remove(key, session) == (not under)
        else:
            assert index.add(key, session) == (not under)
            under.append(session)
        for each, present in expected.items():
            assert list(index.find(each)) == present
            assert index.count(each) == len(present)
        assert set(index) == {each for each, present in expected.items() if present}
        assert len(index) == len(set(index))


def test_the_agenda_yields_what_is_due_and_forgets_what_was_moved() -> None:
    registry, agenda = Registry(MemoryRoomStore(lambda: 0.0)), Agenda()
    sessions = [new_session(registry, "/") for _ in range(4)]
    for session, deadline in zip(sessions, (100.4, 100.9, 250.0, 99.0), strict=True):
        agenda.move(session, deadline)
    agenda.move(sessions[3], None)
    assert list(agenda.find_due(100.3)) == []
    due = []
    for session in agenda.find_due(100.5):
        due.append(session)
        agenda.move(session, 300.0)
    assert due == [sessions[0]]
    assert list(agenda.find_due(1e9)) == [sessions[1], sessions[2], sessions[0]]
    assert len(agenda) == 3


@given(
    deadlines=st.lists(st.floats(0, 1000), min_size=1, max_size=20),
    looks=st.lists(st.floats(0, 1100), max_size=10),
)
def test_the_agenda_misses_nothing_whatever_the_clock_does(
    deadlines: list[float], looks: list[float]
) -> None:
    registry, agenda = Registry(MemoryRoomStore(lambda: 0.0)), Agenda()
    sessions = [new_session(registry, "/") for _ in deadlines]
    for session, deadline in zip(sessions, deadlines, strict=True):
        agenda.move(session, deadline)
    waiting = dict(zip(sessions, deadlines, strict=True))
    for now in looks:  # the wall clock may go back, too
        found = set()
        for session in agenda.find_due(now):
            found.add(session)
            agenda.move(session, None)
        assert found == {session for session, deadline in waiting.items() if deadline <= now}
        for session in found:
            del waiting[session]
    assert len(agenda) == len(waiting)
