"""P2: every way in asks the one decision function, and nothing else evaluates a rule.

The table lists the ways. What later work adds (recovery, the server API, `explain`, `test`, `plan`) gets
a line here.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from compartmentd.policy import decide as decide_module
from compartmentd.policy.codes import Code
from compartmentd.policy.decision import Administer, Connect, Join, Publish, Request
from compartmentd.policy.principal import ANONYMOUS
from compartmentd.sessions.core import Core
from tests.support.questions import HandAsker, install
from tests.support.world import ISSUERS, START, World

POLICY = (
    ISSUERS
    + """
namespaces:
  /chat:
    connect: {any: [{scope: chat}, {claim: until, is: future}]}
    publish: authenticated
    events: [message]
    rooms:
      lobby: {join: authenticated, publish: members, events: [message]}
      attic: {join: {member_of: lobby}}
      "user:{user}": {join: {claim: sub, equals: "{user}"}, auto_join: {user: sub}}
      asked: {join: {scope: "ask:a"}, publish: members, events: [message]}
"""
)
CHANGED = POLICY.replace("{scope: chat}", "{any_scope: [chat, talk]}").replace(
    "lobby: {join: authenticated", "lobby: {join: {any: [authenticated, nobody]}"
)
"""The same by other rules, as far as anybody can tell; by the same ones a reload would decide nothing again."""

PACKAGE = Path(__file__).parents[1] / "compartmentd"


class AskingWorld(World):
    """A world whose questions the test answers."""

    def __init__(self, directory: Path) -> None:
        self.asker = HandAsker()
        super().__init__(directory, POLICY, asker=self.asker)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AskingWorld:
    install(monkeypatch)
    return AskingWorld(tmp_path)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """Record what the decision function is asked, at the one place behind all its callers."""
    seen: list[Request] = []
    decide = decide_module._Case.decide

    def recorded(case: Any, request: Request) -> Any:
        seen.append(request)
        return decide(case, request)

    monkeypatch.setattr(decide_module._Case, "decide", recorded)
    return seen


def _member(world: World, *rooms: str, **claims: Any) -> Any:
    client = world.connect("/chat", "ann", scope="chat", **claims)
    for room in rooms:
        assert client.code("join", room) is None
    return client


def _bound(client: Any, *event: Any) -> Callable[[], object]:
    return lambda: client.ask(*event)


def _reload(world: World, *rooms: str) -> Callable[[], object]:
    _member(world, *rooms)
    return lambda: world.reload(CHANGED)


def _refresh(world: World) -> Callable[[], object]:
    client = _member(world, "lobby")
    return _bound(client, "refresh", world.token("ann", scope="chat"))


def _overtaking(world: World) -> Callable[[], object]:
    client = _member(world)

    def overtake() -> None:
        world.swap(CHANGED)
        client.ask("leave", "lobby")

    return overtake


def _in_time(world: World) -> Callable[[], object]:
    world.connect("/chat", "ann", until=START + 100)
    return lambda: world.tick(100)


def _answer(world: AskingWorld, *events: tuple[Any, ...]) -> Callable[[], object]:
    """Send events of which the first waits for an answer, and the others behind it; answering decides them."""
    client = _member(world)
    for event in events:
        client.emit(*event)
    assert world.asker.names == ["a"]
    return lambda: world.asker.answer(True)


JOIN_THAT_WAITS = ("join", "asked")

WAYS: dict[str, tuple[Callable[[AskingWorld], Callable[[], object]], type[Request], str | None]] = {
    "connect": (lambda world: lambda: world.connect("/chat", "ann", scope="chat"), Connect, None),
    "auto-join": (lambda world: lambda: world.connect("/chat", "ann", scope="chat"), Join, "user:ann"),
    "join": (lambda world: _bound(_member(world), "join", "lobby"), Join, "lobby"),
    "join of a list": (lambda world: _bound(_member(world), "join", ["lobby"]), Join, "lobby"),
    "join again": (lambda world: _bound(_member(world, "lobby"), "join", "lobby"), Join, "lobby"),
    "publish to a room": (
        lambda world: _bound(_member(world, "lobby"), "publish", "lobby", "message", 1),
        Publish,
        "lobby",
    ),
    "publish to the namespace": (
        lambda world: _bound(_member(world), "publish", None, "message", 1),
        Publish,
        None,
    ),
    "what depends on a lost room": (
        lambda world: _bound(_member(world, "lobby", "attic"), "leave", "lobby"),
        Join,
        "attic",
    ),
    "refresh": (_refresh, Connect, None),
    "refresh: its memberships": (_refresh, Join, "lobby"),
    "reload: the session": (lambda world: _reload(world, "lobby"), Connect, None),
    "reload: its memberships": (lambda world: _reload(world, "lobby"), Join, "lobby"),
    "a session's own event before its turn in a reload": (_overtaking, Connect, None),
    "valid_until": (_in_time, Connect, None),
    "a join that waited for an answer": (
        lambda world: _answer(world, JOIN_THAT_WAITS),
        Join,
        "asked",
    ),
    "a message that waited behind a join": (
        lambda world: _answer(world, JOIN_THAT_WAITS, ("publish", "asked", "message", 1)),
        Publish,
        "asked",
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_in_asks_the_one_function(world: AskingWorld, asked: list[Request], way: str) -> None:
    prepare, kind, room = WAYS[way]
    act = prepare(world)
    asked.clear()
    act()
    about = [request for request in asked if type(request) is kind]
    assert any(getattr(request, "room", None) == room for request in about), asked


@pytest.mark.parametrize("way", WAYS)
def test_no_way_in_opens_when_the_one_function_fails(
    world: AskingWorld,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    act = WAYS[way][0](world)
    before = {session: set(session.memberships) for session in _sessions(world)}

    def fails(*_: object) -> object:
        raise RuntimeError("a fault that cannot be had otherwise")

    monkeypatch.setattr(decide_module._Case, "decide", fails)
    with suppress(AssertionError):  # the client helper misses its CONNECT reply or its ack, as it should
        act()
    for session in _sessions(world):
        assert session in before, "a session was let in"
        assert set(session.memberships) <= before[session], "a membership was let in"
    assert world.hub.counters.published == 0


def _sessions(world: World) -> list[Any]:
    return [
        session for place in world.hub.registry.namespaces.values() for session in place.sessions.values()
    ]


def test_a_remembered_permission_says_what_deciding_again_would(world: World, asked: list[Request]) -> None:
    ann = _member(world, "lobby")
    assert ann.code("publish", "lobby", "message", 1) is None
    asked.clear()
    assert ann.code("publish", "lobby", "message", 2) is None
    assert asked == []  # remembered
    for change in (
        lambda: world.reload(POLICY.replace("publish: members", "publish: nobody")),
        lambda: world.reload(POLICY),
    ):
        change()
        asked.clear()
        ann.ask("publish", "lobby", "message", 3)
        assert any(isinstance(request, Publish) for request in asked)


def test_admin_access_is_asked_of_the_one_function_and_fails_closed(
    world: World, asked: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not world.hub.decide(Administer(), world.hub.snapshot, ANONYMOUS).allowed
    assert asked == [Administer()]
    (record,) = world.records
    assert (record.occasion, record.namespace, record.code) == ("administer", "(admin)", Code.RULE_DENIED)
    assert world.hub.counters.decided["administer", record.namespace, record.code] == 1

    def fails(*_: object) -> object:
        raise RuntimeError("a fault that cannot be had otherwise")

    monkeypatch.setattr(decide_module._Case, "_apply_rule", fails)
    assert not world.hub.decide(Administer(), world.hub.snapshot, ANONYMOUS).allowed


DECIDING = {
    "decide",
    "reconcile_session",
    "reconcile_unchanged",
    "reconcile_memberships",
    "reconcile_dependents",
}
"""The functions by which the policy is asked about a request, and about a session as a whole."""


def test_sessions_ask_the_policy_in_one_place() -> None:
    """`Core` gathers the facts, counts and writes the record; no other module of the daemon asks for itself."""
    asking = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module in POLICY_MODULES:
                names = {alias.name for alias in node.names}
                if names & DECIDING:
                    asking.add(str(path.relative_to(PACKAGE)))
    inside = {name for name in asking if name.startswith("policy/")}
    assert inside == {"policy/autojoin.py", "policy/reconcile.py"}
    # The self-check asks whether the rules still refuse; `explain-token`, which uses `reach`, is no daemon.
    commands = {"cli/explain_token.py", "analysis/reach.py"}
    assert asking - inside == {"sessions/core.py", "daemon/watchdog.py", *commands}


POLICY_MODULES = {"compartmentd.policy.decide", "compartmentd.policy.reconcile"}


EVENTS: dict[str, tuple[Any, ...]] = {
    "a remembered message": ("publish", "lobby", "message", 1),
    "a message that is decided": ("publish", None, "message", 1),
    "a message that is refused": ("publish", "lobby", "no such event", 1),
    "a join": ("join", "user:ann"),
    "a join that is refused": ("join", "attic of another"),
    "a list of joins": ("join", ["lobby", "user:ann"]),
    "a leave that takes another room along": ("leave", "lobby"),
    "a refresh": ("refresh", "TOKEN"),
    "no request": ("no such request",),
}


@pytest.mark.parametrize("before_its_turn", [False, True], ids=["", "judged first"])
@pytest.mark.parametrize("name", EVENTS)
def test_an_event_reads_the_snapshot_once(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, *, before_its_turn: bool
) -> None:
    """So no decision mixes the rules of one snapshot with the keys, schemas or limits of another."""
    client = _member(world, "lobby", "attic")
    client.ask("publish", "lobby", "message", 0)
    event = [world.token("ann", scope="chat") if part == "TOKEN" else part for part in EVENTS[name]]
    if before_its_turn:
        world.swap(CHANGED)
    reads = []

    def read(core: Core) -> object:
        reads.append(1)
        return core.__dict__["snapshot"]

    monkeypatch.setattr(Core, "snapshot", property(read), raising=False)
    client.ask(*event)
    assert len(reads) == 1


def test_only_the_decision_function_evaluates_rules() -> None:
    """A rule is judged in a context: who makes none judges none."""
    users = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and _called(node) == "EvaluationContext"
    }
    assert users == {"policy/decide.py"}


def test_what_a_reload_leaves_as_it_was_is_not_decided_again(world: World, asked: list[Request]) -> None:
    """The one way past the function: its earlier answer, by the same rules (see `sessions/reload_diff.py`)."""
    client = _member(world, "lobby", "attic")
    asked.clear()
    world.reload(POLICY + "# a line more\n")
    assert asked == []
    assert client.rooms == ["attic", "lobby", "user:ann"]


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def test_every_verified_token_is_checked_for_revocation() -> None:
    """Connect, refresh, judging a session again, administrators: one question, asked of every verified token."""
    verified = []
    for path in (*(PACKAGE / "sessions").rglob("*.py"), PACKAGE / "control/admin_access.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        asked = [node.args[0] for node in calls if _called(node) == "refuse_revoked"]
        for call in calls:
            if _called(call) in {"verify", "reverify"}:
                verified.append(path.stem)
                assert call in asked, f"{path}:{call.lineno}"
    assert sorted(verified) == ["admin_access", "reevaluate", "token_check"]
