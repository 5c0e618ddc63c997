"""What a reload did not change is not judged again, and nobody can tell: the same as judging everything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from compartmentd.policy.fingerprint import add_fingerprints
from compartmentd.policy.model import RoomTemplate
from tests.support.policies import namespace, policy, template
from tests.support.world import START, Client, World

# --- fingerprints ---


def prints(*rooms: RoomTemplate, rules: dict[str, Any] | None = None, connect: Any = "public") -> list[bytes]:
    """Return the fingerprints of a namespace and of its rooms."""
    made = add_fingerprints(policy(namespace(*rooms, connect=connect), rules=rules))
    (place,) = made.namespaces.values()
    return [place.fingerprint, *(room.fingerprint for room in place.rooms)]


RULE = {"any": [{"claim": "projects", "contains": "{x}"}, {"rule": "staff"}]}
STAFF = {"staff": {"all": [{"rule": "corp"}, "authenticated"]}, "corp": {"claim": "level", "at_least": 1}}


def test_where_something_stands_is_no_part_of_it() -> None:
    # Every part that the helpers make stands in a line of its own.
    one, other = (prints(template("t:{x}", join=RULE), rules=STAFF) for _ in range(2))
    assert one == other
    assert all(one)


@pytest.mark.parametrize(
    ("changed", "rules"),
    [
        (template("t:{x}", join="nobody"), STAFF),
        (template("t:{x}", join={"any": RULE["any"][:1]}), STAFF),
        (template("t:{x}", join={"all": RULE["any"]}), STAFF),
        (template("t:{x}", {"x": "[a-z]+"}, join=RULE), STAFF),
        (template("t:{x}", {"x": ["a", "b"]}, join=RULE), STAFF),
        (template("u:{x}", join=RULE), STAFF),
        (template("t:{x}", join=RULE), STAFF | {"staff": {"rule": "corp"}}),
        (template("t:{x}", join=RULE), STAFF | {"corp": {"claim": "level", "at_least": 2}}),
        (template("t:{x}", join=RULE), STAFF | {"corp": {"claim": "level", "at_most": 1}}),
        (template("t:{x}", join=RULE), STAFF | {"corp": {"claim": "level", "at_least": 1.0}}),
    ],
)
def test_whatever_decides_is_a_part_of_it(changed: RoomTemplate, rules: dict[str, Any]) -> None:
    before = prints(template("t:{x}", join=RULE), rules=STAFF)
    after = prints(changed, rules=rules)
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_the_connect_rule_is_the_namespaces() -> None:
    room = template("lobby")
    one, other = prints(room, connect="public"), prints(room, connect="authenticated")
    assert one[0] != other[0]
    assert one[1] == other[1]


def test_a_long_chain_of_names_needs_no_deep_stack() -> None:
    rules: dict[str, Any] = {f"r{i}": {"rule": f"r{i + 1}"} for i in range(5000)}
    first = prints(template("lobby", join={"rule": "r0"}), rules={**rules, "r5000": "public"})
    second = prints(template("lobby", join={"rule": "r0"}), rules={**rules, "r5000": "nobody"})
    assert first[1] != second[1]


# --- reloads ---

CHOICES: dict[str, list[str]] = {
    "LINES": ["", "# a line more\n\n"],
    "AUDIENCE": ["realtime", "[realtime, mobile]", "mobile"],
    "MAX_AGE": ["24h", "30m"],
    "STAFF": ["{claim: level, at_least: 2}", "{claim: level, at_least: 1}", "{claim: until, is: future}"],
    "CONNECT": ["authenticated", "{claim: level, at_least: 1}", "{any: [{rule: staff}, authenticated]}"],
    "LOBBY": ["authenticated", "{rule: staff}", "{claim: until, is: future}", "nobody"],
    "DEN": ["authenticated", "{claim: level, at_least: 2}"],
    "ATTIC": ["{member_of: den}", "{any: [{member_of: den}, {claim: until, is: future}]}"],
    "PLACE": ["x", "y"],
    "PATTERN": ['"[0-9]+"', '"[0-9a-z]+"'],
    "ONE": ["", "p1: {join: nobody}", "p1: {join: authenticated, capacity: 1}"],
    "CAPACITY": ["1", "10"],
    "AUTO": ["{t: teams}", "{t: sub}"],
    "RATE": ["50/s", "3/s"],
    "MOST": ["100", "2"],
}
TEXT = """version: 1
LINESissuers:
  corp: {issuer: "https://id.example.com", audience: AUDIENCE, secret_file: corp.secret, max_age: MAX_AGE}
rules:
  staff: STAFF
namespaces:
  /chat:
    connect: CONNECT
    limits: {message_rate: RATE, rooms_per_session: MOST}
    rooms:
      lobby: {join: LOBBY, publish: members, events: [message], limits: {message_rate: RATE}}
      den: {join: DEN, publish: members, events: [message]}
      attic: {join: ATTIC, publish: members, events: [message]}
      "p{PLACE}":
        params: {PLACE: {pattern: PATTERN}}
        join: {claim: level, at_least: 1}
      "team:{t}": {join: {any: [{claim: teams, contains: "{t}"}, {claim: sub, equals: "{t}"}]},
                   auto_join: AUTO, capacity: CAPACITY}
      ONE
"""
FIRST = dict.fromkeys(CHOICES, 0)


def written(chosen: dict[str, int]) -> str:
    text = TEXT
    for name, number in chosen.items():
        text = text.replace(name, CHOICES[name][number])
    return text


class Judged(World):
    """A world that judges every session in full at a reload."""

    def swap(self, text: str) -> None:
        super().swap(text)
        self.hub._reevaluation.diff = None


def clients_of(world: World) -> list[Client]:
    people: list[dict[str, Any]] = [
        {"sub": "ann", "level": 0, "teams": ["red", "blue"]},
        {"sub": "bob", "level": 1, "teams": ["red"], "until": START + 100},
        {"sub": "eve", "level": 2, "teams": ["blue"], "until": START + 300},
    ]
    clients = [world.connect("/chat", **person) for person in people]
    for client in clients:
        client.ask("join", ROOMS)
    return clients


ROOMS = ["lobby", "den", "attic", "p1", "p2", "pa", "team:red", "team:blue"]
WHO = st.integers(0, 2)
CHANGES = st.sampled_from([(name, number) for name in CHOICES for number in range(len(CHOICES[name]))])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("join"), WHO, st.sampled_from(ROOMS)),
        st.tuples(st.just("join"), WHO, st.sampled_from(ROOMS)),
        st.tuples(st.just("leave"), WHO, st.sampled_from(ROOMS)),
        st.tuples(st.just("publish"), WHO, st.sampled_from(ROOMS[:3])),
        st.tuples(st.just("wait"), st.sampled_from([1, 60, 200, 3000]), st.none()),
        st.tuples(st.just("reload"), st.lists(CHANGES, max_size=2), st.booleans()),
        st.tuples(st.just("reload"), st.lists(CHANGES, max_size=1), st.booleans()),
        st.tuples(st.just("refresh"), WHO, st.integers(0, 2)),
    ),
    max_size=14,
)


def take(world: World, clients: list[Client], step: tuple[str, Any, Any], chosen: dict[str, int]) -> Any:
    """Take one step, and return what can be told from outside."""
    word, first, second = step
    answer = None
    if word == "wait":
        world.tick(first)
    elif word == "reload":
        world.swap(written(chosen))
        if second:  # someone acts before all are judged, and what is said meanwhile waits
            say(clients[-1], "publish", "lobby", "message", "meanwhile")
        while not world.hub.judge_some(0.0):
            pass
        answer = world.hub.judged, world.hub.evicted
    elif word == "refresh":
        who = clients[first]
        if "/chat" in who.peer.sessions:
            token = world.token(who.session.user.sub, level=second, teams=["red"], until=START + 400)
            answer = who.ask("refresh", token)
    else:
        answer = say(clients[first], word, second, *(["message", 1] if word == "publish" else []))
    return answer, [state(client) for client in clients], world.hub.counters.auto_join_skipped


def say(client: Client, *event: Any) -> Any:
    return client.ask(*event) if "/chat" in client.peer.sessions else None


def state(client: Client) -> Any:
    got = client.take()
    if "/chat" not in client.peer.sessions:
        return got
    session = client.session
    held = [(m.room.name, m.by_server, m.template.name) for m in session.memberships.values()]
    return got, held, session.valid_until, session.deadline, session.declined, session.principal


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(steps=STEPS)
def test_nobody_can_tell_that_not_everything_was_judged(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, Any, Any]]
) -> None:
    """Any history of joins, leaves, messages, time, refreshes and reloads, beside judging everything."""
    chosen = dict(FIRST)
    worlds = [kind(tmp_path_factory.mktemp("w"), written(chosen)) for kind in (World, Judged)]
    clients = [clients_of(world) for world in worlds]
    for step in steps:
        if step[0] == "reload":
            chosen |= dict(step[1])
        one, other = (take(world, those, step, chosen) for world, those in zip(worlds, clients, strict=True))
        assert one == other
    assert worlds[0].failures == worlds[1].failures == []


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, written(FIRST))


@pytest.fixture
def judged(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The subjects of the sessions that were judged in full, in order."""
    subjects: list[str] = []
    judge = world.hub._core.judge_session

    def noted(session: Any, *more: Any, **rest: Any) -> Any:
        subjects.append(session.user.sub)
        return judge(session, *more, **rest)

    monkeypatch.setattr(world.hub._core, "judge_session", noted)
    return subjects


def test_a_reload_judges_whom_it_concerns(world: World, judged: list[str]) -> None:
    ann, bob, eve = (world.connect("/chat", sub, level=n) for n, sub in enumerate(("ann", "bob", "eve")))
    ann.ask("join", "lobby")
    bob.ask("join", "p7")
    eve.ask("join", "den")
    judged.clear()
    world.reload(written(FIRST | {"LINES": 1, "RATE": 1, "CAPACITY": 1}))
    assert judged == []
    world.reload(written(FIRST | {"DEN": 1}))
    assert judged == ["eve"]
    judged.clear()
    world.reload(written(FIRST | {"DEN": 1, "LOBBY": 1}))
    assert judged == ["ann"]
    assert world.hub.judged == 3
    judged.clear()
    world.reload(written(FIRST | {"DEN": 1, "LOBBY": 1, "CONNECT": 1}))
    assert judged == ["ann", "bob", "eve"]


def test_what_time_can_change_is_judged(world: World, judged: list[str]) -> None:
    world.reload(written(FIRST | {"LOBBY": 2}))
    bob = world.connect("/chat", "bob", level=1, until=START + 100)
    bob.ask("join", "lobby")
    judged.clear()
    world.reload(written(FIRST | {"LOBBY": 2, "LINES": 1}))
    assert judged == ["bob"]


@pytest.mark.parametrize("change", [{"AUDIENCE": 1}, {"MAX_AGE": 1}, {"STAFF": 1, "CONNECT": 2}])
def test_whatever_a_session_stands_on_is_judged(
    world: World, judged: list[str], change: dict[str, int]
) -> None:
    world.reload(written(FIRST | {"CONNECT": 2}))
    world.connect("/chat", "ann", level=1)
    judged.clear()
    world.reload(written(FIRST | {"CONNECT": 2} | change))
    assert judged == ["ann"]


@pytest.mark.parametrize(("before", "after"), [("1", "true"), ("0", "false")])
def test_a_requirement_of_another_type_is_another(world: World, before: str, after: str) -> None:
    """To Python they are equal, to the rules for tokens they are not."""
    demanding = written(FIRST).replace("max_age: 24h", "max_age: 24h, require: {flag: WANTED}")
    world.reload(demanding.replace("WANTED", before))
    world.connect("/chat", "ann", flag=int(before))
    assert world.reload(demanding.replace("WANTED", after)) == (1, 0)


def test_a_room_that_another_template_takes_is_judged(world: World, judged: list[str]) -> None:
    ann = world.connect("/chat", "ann", level=1)
    assert ann.code("join", "p1") is None
    judged.clear()
    assert world.reload(written(FIRST | {"ONE": 1})) == (0, 1)
    assert judged == ["ann"]


def test_what_depended_on_a_lost_room_lasts_as_long_as_its_other_reason(world: World) -> None:
    world.reload(written(FIRST | {"ATTIC": 1}))
    bob = world.connect("/chat", "bob", level=1, until=START + 100)
    assert bob.code("join", "den") is None
    assert bob.code("join", "attic") is None
    bob.ask("leave", "den")
    assert bob.rooms == ["attic"]
    world.tick(101)
    assert bob.rooms == []
