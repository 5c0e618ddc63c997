from __future__ import annotations

from collections import Counter

from hypothesis import given, strategies as st
from msgspec import structs

from compartmentd.names import EntryName, NamespaceName, RoomName, SessionId, Subject
from compartmentd.policy.model import Limits, Nobody, Public, RoomTemplate
from compartmentd.policy.principal import ANONYMOUS, Principal
from compartmentd.problems import Span
from compartmentd.sessions.agenda import Agenda
from compartmentd.sessions.registry import Registry, Session
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


def new_session(registry: Registry, namespace: str, sub: str | None = None) -> Session:
    principal = ANONYMOUS if sub is None else Principal(subject=Subject(EntryName("corp"), sub))
    namespace = registry.namespace(NamespaceName(namespace))
    return Session(SessionId("s"), RecordingPeer(), namespace, principal, None)


def check(registry: Registry) -> None:
    """Assert that the two directions agree and nothing empty is kept."""
    sessions = memberships = 0
    for namespace in registry.namespaces.values():
        assert namespace.sessions
        users: dict[Subject, int] = {}
        for session in namespace.sessions:
            sessions += 1
            if session.user is not None:
                users[session.user] = users.get(session.user, 0) + 1
            for name, membership in session.memberships.items():
                memberships += 1
                assert membership.room.name == name
                assert namespace.rooms[name] is membership.room
                assert membership.room.members[session] is membership
        assert namespace.users == users
        members = Counter(
            held.template.name for one in namespace.sessions for held in one.memberships.values()
        )
        assert +namespace.members_by_template == members
        assert +namespace.rooms_by_template == Counter(room.template for room in namespace.rooms.values())
        assert not -namespace.members_by_template
        assert not -namespace.rooms_by_template
        for name, room in namespace.rooms.items():
            assert room.members, name
            for session, membership in room.members.items():
                assert session in namespace.sessions
                assert session.memberships[name] is membership
    assert (registry.sessions, registry.memberships) == (sessions, memberships)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("connect"), st.sampled_from(["/", "/chat"]), st.sampled_from([None, "ann", "bob"])),
        st.tuples(st.just("disconnect"), st.integers(0, 9)),
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
                session = new_session(registry, namespace, sub if isinstance(sub, str) else None)
                registry.add(session)
                live.append(session)
            case ("disconnect", int(index)) if index < len(live):
                registry.remove(live.pop(index))
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
