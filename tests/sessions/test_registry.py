from __future__ import annotations

from collections import Counter
from itertools import count

from hypothesis import given, strategies as st
from msgspec import structs

from compartmentd.names import EntryName, NamespaceName, RoomName, SessionId, Subject
from compartmentd.policy.model import Limits, Nobody, Public, RoomTemplate
from compartmentd.policy.principal import ANONYMOUS, Principal
from compartmentd.problems import Span
from compartmentd.sessions.agenda import Agenda
from compartmentd.sessions.index import Index
from compartmentd.sessions.registry import Registry, Session
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
    namespace = registry.namespace(NamespaceName(namespace))
    return Session(SessionId(f"s{next(_SIDS)}"), RecordingPeer(), namespace, principal, verified)


def check(registry: Registry) -> None:
    """Assert that the two directions agree and nothing empty is kept."""
    sessions = memberships = 0
    for namespace in registry.namespaces.values():
        assert namespace.sessions
        users: dict[Subject, list[Session]] = {}
        for session in namespace.sessions.values():
            sessions += 1
            if session.user is not None:
                users.setdefault(session.user, []).append(session)
            for name, membership in session.memberships.items():
                memberships += 1
                assert membership.room.name == name
                assert namespace.rooms[name] is membership.room
                assert membership.room.members[session] is membership
        assert {user: list(namespace.users.find(user)) for user in namespace.users} == users
        assert {user: namespace.users.count(user) for user in users} == {u: len(s) for u, s in users.items()}
        members = Counter(
            held.template.name for one in namespace.sessions.values() for held in one.memberships.values()
        )
        assert +namespace.members_by_template == members
        assert +namespace.rooms_by_template == Counter(room.template for room in namespace.rooms.values())
        assert not -namespace.members_by_template
        assert not -namespace.rooms_by_template
        for name, room in namespace.rooms.items():
            assert room.members, name
            for session, membership in room.members.items():
                assert namespace.sessions[session.sid] is session
                assert session.memberships[name] is membership
    assert (registry.sessions, registry.memberships) == (sessions, memberships)
    live = [session for one in registry.namespaces.values() for session in one.sessions.values()]
    for session in live:
        assert registry.find_by_sid(session.sid) is session
    for index, name in ((registry.by_token_sid, "sid"), (registry.by_sub, "sub")):
        named: dict[object, set[Session]] = {}
        for session in live:
            if session.verified is not None and name in session.verified.claims:
                named.setdefault(session.verified.claims[name], set()).add(session)
        assert {key: set(index.find(key)) for key in index} == named


steps = st.lists(
    st.one_of(
        st.tuples(st.just("connect"), st.sampled_from(["/", "/chat"]), st.sampled_from([None, "ann", "bob"])),
        st.tuples(st.just("disconnect"), st.integers(0, 9)),
        st.tuples(st.just("refresh"), st.integers(0, 9), st.sampled_from([None, "first", "second"])),
        st.tuples(st.just("join"), st.integers(0, 9), st.sampled_from(ROOMS)),
        st.tuples(st.just("move"), st.integers(0, 9), st.sampled_from(ROOMS)),
        st.tuples(st.just("leave"), st.integers(0, 9), st.sampled_from(ROOMS)),
    ),
    max_size=60,
)


@given(steps)
def test_both_directions_agree_after_any_history(history: list[tuple[object, ...]]) -> None:
    registry = Registry()
    live: list[Session] = []
    for step in history:
        match step:
            case ("connect", str(namespace), sub):
                subject = sub if isinstance(sub, str) else None
                session = new_session(registry, namespace, subject, sid="first", sub="other name")
                registry.add(session)
                live.append(session)
            case ("disconnect", int(index)) if index < len(live):
                registry.remove(live.pop(index))
            case ("refresh", int(index), sid) if index < len(live) and live[index].user is not None:
                claims = {"sub": "other name"} if sid is None else {"sid": str(sid)}
                newer = token(str(live[index].user.sub), **claims)
                registry.replace_token(live[index], newer, holder(newer))
            case ("join", int(index), room) if index < len(live) and room not in live[index].memberships:
                registry.join(live[index], RoomName(str(room)), TEMPLATE, by_server=False)
            case ("leave", int(index), room) if index < len(live) and room in live[index].memberships:
                registry.leave(live[index], live[index].memberships[str(room)])
            case ("move", int(index), room) if index < len(live) and room in live[index].memberships:
                registry.move(live[index], live[index].memberships[str(room)], RENAMED)
            case _:
                continue
        if not any(not namespace.sessions for namespace in registry.namespaces.values()):
            check(registry)
    for session in live:
        registry.remove(session)
    assert not registry.namespaces
    assert registry.memberships == 0
    assert not len(registry.by_token_sid)
    assert not len(registry.by_sub)


def test_a_subject_is_found_in_every_namespace_and_under_its_own_entry_alone() -> None:
    registry = Registry()
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
    registry = Registry()
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
    registry, agenda = Registry(), Agenda()
    sessions = [new_session(registry, "/") for _ in range(4)]
    for session, deadline in zip(sessions, (100.4, 100.9, 250.0, 99.0), strict=True):
        agenda.move(session, deadline)
    agenda.move(sessions[3], None)
    assert list(agenda.due(100.3)) == []
    due = []
    for session in agenda.due(100.5):
        due.append(session)
        agenda.move(session, 300.0)
    assert due == [sessions[0]]
    assert list(agenda.due(1e9)) == [sessions[1], sessions[2], sessions[0]]
    assert len(agenda) == 3


@given(
    deadlines=st.lists(st.floats(0, 1000), min_size=1, max_size=20),
    looks=st.lists(st.floats(0, 1100), max_size=10),
)
def test_the_agenda_misses_nothing_whatever_the_clock_does(
    deadlines: list[float], looks: list[float]
) -> None:
    registry, agenda = Registry(), Agenda()
    sessions = [new_session(registry, "/") for _ in deadlines]
    for session, deadline in zip(sessions, deadlines, strict=True):
        agenda.move(session, deadline)
    waiting = dict(zip(sessions, deadlines, strict=True))
    for now in looks:  # the wall clock may go back, too
        found = set()
        for session in agenda.due(now):
            found.add(session)
            agenda.move(session, None)
        assert found == {session for session, deadline in waiting.items() if deadline <= now}
        for session in found:
            del waiting[session]
    assert len(agenda) == len(waiting)
