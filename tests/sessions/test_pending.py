"""Events that wait for answers: their order, their bounds, and by what they are decided in the end."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from compartmentd.policy.codes import Code
from compartmentd.sessions.pending import LONGEST_WAIT, MOST_BEHIND, MOST_BYTES
from compartmentd.sessions.revocations import Revocation
from tests.support.questions import HandAsker, install
from tests.support.world import ISSUERS, START, World

POLICY = (
    ISSUERS
    + """
namespaces:
  /chat:
    connect: authenticated
    publish: authenticated
    events: [message]
    limits: {message_rate: unlimited, join_rate: 4/s, rooms_per_session: 40, message_size: 256KiB}
    rooms:
      plain: {join: authenticated, publish: members, events: [message]}
      "asked:{name}": {join: {scope: "ask:a"}, publish: members, events: [message]}
      small: {join: {scope: "ask:a"}, capacity: 1}
      twice: {join: {all: [{scope: "ask:a"}, {scope: "ask:b"}]}}
"""
)
OPEN = POLICY.replace('"asked:{name}": {join: {scope: "ask:a"}', '"asked:{name}": {join: authenticated')
CLOSED = POLICY.replace('"asked:{name}": {join: {scope: "ask:a"}', '"asked:{name}": {join: nobody')


@pytest.fixture(autouse=True)
def _asking(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)


@pytest.fixture
def asker() -> HandAsker:
    return HandAsker()


@pytest.fixture
def world(tmp_path: Path, asker: HandAsker) -> World:
    return World(tmp_path, POLICY, asker=asker)


class Sender:
    """A session that sends events, and reads the acks as they come."""

    def __init__(self, world: World, sub: str = "ann", **claims: Any) -> None:
        self.client = world.connect("/chat", sub, **claims)
        self._world = world
        self._ids = count()

    @property
    def session(self) -> Any:
        return self.client.session

    def send(self, *event: Any) -> int:
        """Send an event and return the id of its ack."""
        ack = next(self._ids)
        self._world.hub.handle_event(
            self.session, b"%d" % ack, json.dumps(event, separators=(",", ":")).encode(), ()
        )
        return ack

    def acks(self) -> list[Any]:
        """Return what was acked since the last look: id and true, a code, or a list of them."""
        return [(item[2], _result(item[3])) for item in self.client.peer.take() if item[0] == "ack"]


def _result(body: Any) -> Any:
    if isinstance(body, list):
        return [_result(each) for each in body]
    return True if body["ok"] else body["error"]["code"]


@pytest.mark.parametrize(("answer", "result"), [(True, True), (False, "rule_denied"), (None, "unavailable")])
def test_a_join_waits_for_its_answer(
    world: World, asker: HandAsker, answer: bool | None, result: Any
) -> None:
    ann = Sender(world)
    ann.send("join", "asked:x")
    assert ann.acks() == []
    assert asker.names == ["a"]
    assert not world.records[1:], "what is not decided is not told"
    asker.answer(answer)
    assert ann.acks() == [(0, result)]
    assert ("asked:x" in ann.session.memberships) == (answer is True)
    code = None if result is True else Code(result)
    assert world.hub.counters.decided["join", "/chat", code] == 1
    assert len(world.hub._core.pending) == 0


def test_without_anybody_to_ask_it_is_unavailable_at_once(tmp_path: Path) -> None:
    ann = Sender(World(tmp_path, POLICY))
    ann.send("join", "twice")
    assert ann.acks() == [(0, "unavailable")]


def test_all_questions_are_asked_at_once_and_the_last_answer_decides(world: World, asker: HandAsker) -> None:
    ann = Sender(world)
    ann.send("join", "twice")
    assert asker.names == ["a", "b"]
    asker.answer(True, index=1)
    assert ann.acks() == []
    asker.answer(True)
    assert ann.acks() == [(0, True)]


def test_later_events_for_the_room_wait_and_others_go_on(world: World, asker: HandAsker) -> None:
    ann = Sender(world)
    ann.send("join", "asked:x")
    ann.send("publish", "asked:x", "message", 1)
    ann.send("leave", "asked:x")
    ann.send("join", "asked:x")
    ann.send("publish", None, "message", 1)
    ann.send("join", "plain")
    assert ann.acks() == [(4, True), (5, True)]
    asker.answer(True)
    assert ann.acks() == [(1 - 1, True), (1, True), (2, True)]
    assert asker.names == ["a"]  # the second join asks when it is its turn
    asker.answer(False)
    assert ann.acks() == [(3, "rule_denied")]


def test_another_session_is_not_kept_waiting(world: World, asker: HandAsker) -> None:
    ann, bob = Sender(world), Sender(world, "bob")
    ann.send("join", "asked:x")
    bob.send("leave", "asked:x")
    assert bob.acks() == [(0, True)]
    assert asker.names == ["a"]


def test_a_remembered_permission_does_not_overtake_what_waits(world: World, asker: HandAsker) -> None:
    ann = Sender(world)
    ann.send("join", "asked:x")
    asker.answer(True)
    for _ in range(2):
        ann.send("publish", "asked:x", "message", 1)
    ann.acks()
    ann.send("join", "asked:x")  # again, which is decided again
    ann.send("publish", "asked:x", "message", 2)
    assert ann.acks() == []
    asker.answer(False)
    assert ann.acks() == [(3, "rule_denied"), (4, "not_a_member")]


def test_a_list_waits_as_a_whole_and_each_room_is_asked_about_by_itself(
    world: World, asker: HandAsker
) -> None:
    ann = Sender(world)
    ann.send("join", ["plain", "asked:x", "asked:y"])
    ann.send("publish", "asked:y", "message", "behind the list")
    assert asker.names == ["a"]
    asker.answer(True)
    assert ann.acks() == []
    asker.answer(False)
    assert ann.acks() == [(0, [True, True, "rule_denied"]), (1, "not_a_member")]


def test_rates_are_taken_once_and_on_arrival(world: World, asker: HandAsker) -> None:
    ann = Sender(world)
    level = ann.session.joins.level
    ann.send("join", ["asked:x", "asked:y"])
    ann.send("join", "asked:x")
    assert ann.session.joins.level == level - 3
    for _ in range(3):
        asker.answer(True)
    assert ann.acks() == [(0, [True, True]), (1, True)]
    assert ann.session.joins.level == level - 3


def test_the_place_in_a_room_is_free_until_somebody_takes_it(world: World, asker: HandAsker) -> None:
    ann, bob = Sender(world), Sender(world, "bob")
    ann.send("join", "small")
    bob.send("join", "small")
    asker.answer(True, index=1)
    asker.answer(True)
    assert bob.acks() == [(0, True)]
    assert ann.acks() == [(0, "room_full")]


def test_so_many_wait_behind_and_no_more(world: World, asker: HandAsker) -> None:
    ann = Sender(world)
    ann.send("join", "asked:x")
    for _ in range(MOST_BEHIND + 1):
        ann.send("publish", "asked:x", "message", 1)
    assert ann.acks() == [(MOST_BEHIND + 1, "rate_limited")]
    assert world.hub.refused_waiting == 1
    asker.answer(True)
    assert ann.acks() == [(number, True) for number in range(MOST_BEHIND + 1)]


def test_so_many_bytes_wait_behind_and_no_more(world: World, asker: HandAsker) -> None:
    ann = Sender(world)
    ann.send("join", "asked:x")
    half = "x" * (MOST_BYTES // 2 - 2)  # with its quotes
    for _ in range(2):
        ann.send("publish", "asked:x", "message", half)
    ann.send("publish", "asked:x", "message", 1)
    assert ann.acks() == [(3, "rate_limited")]
    asker.answer(True)
    assert ann.acks() == [(0, True), (1, True), (2, True)]


def test_what_waits_for_too_long_is_unavailable(world: World, asker: HandAsker) -> None:
    ann = Sender(world)
    ann.send("join", "asked:x")
    world.tick(1.0)
    ann.send("publish", "asked:x", "message", 1)
    world.tick(LONGEST_WAIT - 1.1)
    assert ann.acks() == []
    world.tick(0.1)
    assert ann.acks() == [(0, "unavailable"), (1, "not_a_member")]
    asker.answer(True)  # too late
    assert "asked:x" not in ann.session.memberships
    assert ann.acks() == []


def test_what_waits_behind_one_that_waits_again_has_its_own_time(world: World, asker: HandAsker) -> None:
    ann = Sender(world)
    ann.send("join", "asked:x")
    ann.send("join", "asked:x")
    world.tick(LONGEST_WAIT - 1.0)
    asker.answer(True)
    world.tick(1.0)
    assert ann.acks() == [(0, True), (1, "unavailable")]


@pytest.mark.parametrize(
    ("policy", "answer", "expected"),
    [
        (OPEN, False, True),
        (CLOSED, True, "rule_denied"),
        (POLICY + "# changed\n", True, True),
        (POLICY.replace("asked:{name}", "other:{name}"), True, "unknown_room"),
    ],
)
@pytest.mark.parametrize("is_judged", [True, False])
def test_a_reload_meanwhile_counts(
    world: World, asker: HandAsker, policy: str, answer: bool, expected: Any, *, is_judged: bool
) -> None:
    ann = Sender(world)
    ann.send("join", "asked:x")
    (world.reload if is_judged else world.swap)(policy)
    asker.answer(answer)
    assert ann.acks() == [(0, expected)]
    assert ann.session.generation == 2


def test_a_session_that_the_reload_denies_gets_no_answer(world: World, asker: HandAsker) -> None:
    ann = Sender(world)
    session = ann.session
    ann.send("join", "asked:x")
    world.swap(POLICY.replace("connect: authenticated", "connect: nobody"))
    asker.answer(True)
    assert ann.client.take()[0] == ["closing", {"code": "policy_changed", "retry": False}]
    assert session.ended
    assert not session.memberships


def test_a_revocation_and_an_expiry_meanwhile_count(world: World, asker: HandAsker) -> None:
    ann, bob = Sender(world), Sender(world, "bob", exp=int(START) + 3)
    sessions = [ann.session, bob.session]
    for each in (ann, bob):
        each.send("join", "asked:x")
        each.acks()
    world.hub.revoke(
        Revocation(
            issuer="https://id.example.com",
            kind="sub",
            value="ann",
            before=START,
            code=Code.REVOKED,
            at=START,
        )
    )
    world.clock.advance(3.0)
    for _ in sessions:
        asker.answer(True)
    assert [session.ended for session in sessions] == [True, True]
    assert [each.client.take()[0][1]["code"] for each in (ann, bob)] == ["revoked", "token_expired"]
    assert len(world.hub._core.pending) == 0


@pytest.mark.parametrize("end", ["left", "closed"])
@pytest.mark.parametrize("parking", [0.0, 30.0])
def test_without_its_session_or_connection_an_event_ends_without_an_ack(
    tmp_path: Path, asker: HandAsker, end: str, parking: float
) -> None:
    world = World(tmp_path, POLICY, asker=asker, parking=parking)
    ann = Sender(world)
    session = ann.session
    ann.send("join", "asked:x")
    ann.send("publish", "asked:x", "message", 1)
    if end == "left":
        world.hub.handle_leave(session)
    else:
        ann.client.lose_connection()
    asker.answer(True)
    world.tick(LONGEST_WAIT)
    assert ann.acks() == []
    assert not session.memberships
    assert len(world.hub._core.pending) == 0


def test_when_the_server_ends_what_waits_is_refused(world: World, asker: HandAsker) -> None:
    ann = Sender(world)
    ann.send("join", ["plain", "asked:x"])
    ann.send("leave", "asked:x")
    world.hub.refuse_newcomers()
    assert ann.acks() == [(0, [True, "unavailable"]), (1, "unavailable")]
    asker.answer(True)
    assert ann.acks() == []


events = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["join", "leave", "publish"]),
            st.sampled_from(["asked:x", "asked:y", "plain"]),
        ),
        st.tuples(st.just("join list"), st.sampled_from([["asked:x", "asked:y"], ["plain", "asked:y"]])),
        st.tuples(st.just("answer"), st.sampled_from([True, False, None]), st.integers(0, 3)),
        st.tuples(st.just("time"), st.sampled_from([1.0, 5.0])),
        st.tuples(st.just("reload"), st.sampled_from([POLICY, OPEN, CLOSED])),
    ),
    max_size=25,
)


@settings(max_examples=60)
@given(events)
def test_each_event_is_answered_once_and_for_each_room_in_order(history: list[tuple[Any, ...]]) -> None:
    with TemporaryDirectory() as directory:
        asker = HandAsker()
        world = World(Path(directory), POLICY.replace("4/s", "unlimited"), asker=asker)
        ann = Sender(world)
        sent: dict[int, set[str]] = {}
        acked: list[int] = []
        for what, *more in history:
            if what == "answer":
                if len(asker.asked) > more[1]:
                    asker.answer(more[0], more[1])
            elif what == "time":
                world.tick(more[0])
            elif what == "reload":
                world.reload(more[0].replace("4/s", "unlimited"))
            elif what == "publish":
                sent[ann.send("publish", more[0], "message", 1)] = {more[0]}
            elif what == "join list":
                sent[ann.send("join", more[0])] = set(more[0])
            else:
                sent[ann.send(what, more[0])] = {more[0]}
            acked += [ack for ack, _ in ann.acks()]
        world.tick(LONGEST_WAIT)
        acked += [ack for ack, _ in ann.acks()]
        assert sorted(acked) == sorted(sent), "everything is answered, once"
        for room in ("asked:x", "asked:y", "plain"):
            about = [ack for ack in acked if room in sent[ack]]
            assert about == sorted(about), "and of each room in the order in which it was sent"
        assert len(world.hub._core.pending) == 0


# --- sessions as a whole ---

JUDGED = (
    ISSUERS
    + """
namespaces:
  /chat:
    connect: CONNECT
    publish: authenticated
    events: [message]
    rooms:
      lobby: {join: LOBBY, publish: members, events: [message]}
      attic: {join: {member_of: lobby}}
"""
)


def judged_by(connect: str = "authenticated", lobby: str = "authenticated") -> str:
    return JUDGED.replace("CONNECT", connect).replace("LOBBY", lobby)


ASKS = '{scope: "ask:a"}'


@pytest.mark.parametrize(("answer", "code"), [(True, None), (False, "rule_denied"), (None, "unavailable")])
def test_a_connect_waits_for_its_answer(
    tmp_path: Path, asker: HandAsker, answer: bool | None, code: str | None
) -> None:
    world = World(tmp_path, judged_by(connect=ASKS), asker=asker)
    client = world.try_connect("/chat", "ann")
    assert client.peer.sent == []
    assert asker.names == ["a"]
    assert asker.asked[0][1].user is not None
    assert asker.asked[0][1].user.sub == "ann"
    asker.answer(answer)
    kind, *more = client.peer.sent[0]
    assert (kind, code) == ("connected", None) or (kind, more[2]["code"]) == ("refused", code)
    assert len(client.peer.sent) == 1
    assert world.hub.registry.sessions == (answer is True)


def test_a_connect_that_waits_ends_with_its_time_its_connection_and_the_server(
    tmp_path: Path, asker: HandAsker
) -> None:
    world = World(tmp_path, judged_by(connect=ASKS), asker=asker)
    late, gone = world.try_connect("/chat", "ann"), world.try_connect("/chat", "bob")
    world.hub.handle_close(gone.peer, [], "transport close")
    world.tick(LONGEST_WAIT)
    assert late.peer.sent[0][3]["code"] == "unavailable"
    assert gone.peer.sent == []
    last = world.try_connect("/chat", "eve")
    world.hub.refuse_newcomers()
    assert [item[3]["code"] for item in last.peer.sent] == ["unavailable"]
    while asker.asked:
        asker.answer(True)
    assert world.hub.registry.sessions == 0
    assert len(world.hub._core.pending) == 0


@pytest.mark.parametrize("asks", ["connect", "lobby"])
@pytest.mark.parametrize(("answer", "code"), [(True, None), (False, "denied"), (None, "unavailable")])
def test_a_reload_that_asks_takes_nothing_before_the_answer(
    tmp_path: Path, asker: HandAsker, asks: str, answer: bool | None, code: str | None
) -> None:
    world = World(tmp_path, judged_by(), asker=asker)
    ann, bob = Sender(world), Sender(world, "bob")
    for each in (ann, bob):
        for room in ("lobby", "attic"):
            each.send("join", room)
        each.acks()
    session = ann.session
    world.swap(judged_by(**{asks: ASKS}))
    assert not world.hub.judge_some(1.0)
    assert not world.hub.judge_some(1.0)
    assert asker.names == ["a", "a"]
    asker.answer(True, index=1)
    bob.send("publish", "lobby", "message", "held for ann")
    assert bob.acks() == [(2, True)]
    ann.send("publish", "lobby", "message", "behind the judgement")
    assert ann.client.peer.take() == []
    assert sorted(session.memberships) == ["attic", "lobby"]
    asker.answer(answer)
    assert world.hub.judge_some(1.0)
    assert world.hub.judged == 2
    events = ann.client.take()
    if code is None:
        assert events[0][:2] == ["message", "held for ann"]
        assert events[1][:3] == ("ack", "/chat", 2)
        assert world.hub.evicted.memberships == 0
    elif asks == "connect":
        told = "unavailable" if code == "unavailable" else "policy_changed"
        assert events[0] == ["closing", {"code": told, "retry": told == "unavailable"}]
        assert session.ended
    else:
        told = "unavailable" if code == "unavailable" else "policy_changed"
        assert events[0] == ["left", {"room": "lobby", "code": told}]
        assert events[-1][3]["error"]["code"] == "not_a_member"
        assert not session.memberships


def test_a_reload_without_an_answer_is_over_after_its_time(tmp_path: Path, asker: HandAsker) -> None:
    world = World(tmp_path, judged_by(), asker=asker)
    ann = Sender(world)
    session = ann.session
    world.swap(judged_by(connect=ASKS))
    assert not world.hub.judge_some(1.0)
    world.tick(LONGEST_WAIT)
    assert world.hub.judge_some(1.0)
    assert session.ended
    assert ann.client.take()[0] == ["closing", {"code": "unavailable", "retry": True}]


def test_a_second_reload_meanwhile_is_the_one_that_counts(tmp_path: Path, asker: HandAsker) -> None:
    world = World(tmp_path, judged_by(), asker=asker)
    ann = Sender(world)
    ann.send("join", "lobby")
    world.swap(judged_by(lobby=ASKS))
    assert not world.hub.judge_some(1.0)
    world.swap(judged_by(lobby="{any: [authenticated, nobody]}"))
    assert not world.hub.judge_some(1.0)
    asker.answer(False)
    assert world.hub.judge_some(1.0)
    assert list(ann.session.memberships) == ["lobby"]
    assert ann.session.generation == 3


@pytest.mark.parametrize(("answer", "result"), [(True, True), (False, "rule_denied"), (None, "unavailable")])
def test_a_refresh_waits_for_its_answer(
    tmp_path: Path, asker: HandAsker, answer: bool | None, result: Any
) -> None:
    world = World(tmp_path, judged_by(connect=ASKS), asker=asker)
    client = world.try_connect("/chat", "ann")
    asker.answer(True)
    client.peer.take()
    ends_at = client.session.principal.ends_at
    world.clock.advance(10)
    token = world.token("ann")
    world.hub.handle_event(client.session, b"7", json.dumps(["refresh", token]).encode(), ())
    assert client.peer.sent == []
    asker.answer(answer)
    ((_, _, ack, body),) = client.peer.take()
    assert (ack, _result(body)) == (7, result)
    assert client.session.principal.ends_at == ends_at + (10 if answer else 0)
