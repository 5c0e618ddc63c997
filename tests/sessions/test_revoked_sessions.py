"""A revocation reaches whoever is connected and whoever comes back, by every way in, and nobody else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compartmentd.policy.codes import Code
from compartmentd.sessions.revocations import Revocation, RevocationKind, Revocations
from tests.support.world import ISSUERS, START, World

POLICY = (
    ISSUERS
    + """
namespaces:
  /:
    connect: public
    publish: authenticated
    events: [message]
  /chat:
    connect: authenticated
    rooms:
      lobby: {join: authenticated, publish: members, events: [message]}
"""
)
ISSUER = "https://id.example.com"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, POLICY)


def enter(world: World, sub: str, **claims: Any) -> Any:
    client = world.connect("/chat", sub, **claims)
    assert client.code("join", "lobby") is None
    return client


def revocation(
    kind: RevocationKind, value: str, before: float = START, code: Code = Code.LOGGED_OUT
) -> Revocation:
    return Revocation(issuer=ISSUER, kind=kind, value=value, before=before, code=code, at=START)


def revoke(world: World, *revocations: Revocation) -> None:
    """Revoke, and let it reach everybody."""
    world.hub.revoke(*revocations)
    while not world.hub.sweep(1.0):
        pass


def ended(code: str, namespace: str = "/chat") -> list[Any]:
    return [["closing", {"code": code, "retry": False}], ("disconnected", namespace)]


@pytest.mark.parametrize("code", [Code.LOGGED_OUT, Code.REVOKED])
def test_all_sessions_of_a_subject_end_and_no_frame_follows(world: World, code: Code) -> None:
    first, second, bob = enter(world, "ann"), enter(world, "ann", sid="s2"), enter(world, "bob")
    root = world.connect("/", "ann", first.peer)
    revoke(world, revocation("sub", "ann", code=code))
    assert root.namespace not in first.peer.sessions
    assert sorted(item[1] for item in first.peer.sent) == ["/", "/", "/chat", "/chat"]
    assert [item for item in first.take() if item in ended(code)]
    assert second.take() == ended(code)
    assert bob.code("publish", "lobby", "message", "still here?") is None
    assert first.peer.sent == second.peer.sent == []
    assert bob.take() == []
    assert bob.rooms == ["lobby"]
    assert world.hub.registry.sessions == 1
    assert world.hub.counters.ended[code] == 3


def _log_out(world: World) -> None:
    revoke(world, revocation("sub", "ann"))


def _expire(world: World) -> None:
    world.tick(3700.0)


def _reload(world: World) -> None:
    world.reload(POLICY.replace("/chat:\n    connect: authenticated", "/chat:\n    connect: nobody"))


@pytest.mark.parametrize("end", [_log_out, _expire, _reload])
def test_what_is_queued_is_dropped_before_the_end_is_told(world: World, end: Callable[[World], None]) -> None:
    ann = enter(world, "ann")
    ann.take()
    end(world)
    ((namespace, before),) = ann.peer.discarded
    assert namespace == "/chat"
    assert [item[0] for item in ann.take()[before:]] == ["closing", "disconnected"]


def test_a_session_of_the_provider_ends_alone(world: World) -> None:
    one, other, without = enter(world, "ann", sid="s1"), enter(world, "ann", sid="s2"), enter(world, "ann")
    revoke(world, revocation("sid", "s1", START + 30))
    assert one.take() == ended("logged_out")
    assert other.take() == without.take() == []
    revoke(world, revocation("sub_without_sid", "ann"))
    assert without.take() == ended("logged_out")
    assert other.take() == []


def test_a_single_token_is_revoked(world: World) -> None:
    one, other = enter(world, "ann", jti="t1"), enter(world, "ann", jti="t2")
    revoke(world, revocation("jti", "t1", code=Code.REVOKED))
    assert one.take() == ended("revoked")
    assert other.take() == []


def test_whoever_has_no_token_is_not_concerned(world: World) -> None:
    guest, ann = world.connect("/"), world.connect("/", "ann")
    revoke(world, revocation("sub", "ann"), revocation("all", ""))
    assert guest.take() == []
    assert ann.take() == ended("logged_out", "/")


@pytest.mark.parametrize("namespace", ["/", "/chat"])
@pytest.mark.parametrize("code", ["logged_out", "revoked"])
def test_the_token_is_refused_from_then_on(world: World, namespace: str, code: str) -> None:
    world.connect(namespace, "ann")  # so that it is remembered
    revoke(world, revocation("sub", "ann", code=Code(code)))
    refused = world.try_connect(namespace, "ann")
    assert refused.peer.sent[0][3] == {"code": code, "retry": False}
    record = world.records[-1]
    assert (record.occasion, record.code, record.detail.partition(":")[0]) == ("connect", code, code)
    world.clock.advance(3500)
    assert world.try_connect(namespace, "ann", iat=int(START)).peer.sent[0][3]["code"] == code


def test_a_new_login_is_let_in(world: World) -> None:
    revoke(world, revocation("sub", "ann"), revocation("sid", "s1", START + 30))
    world.clock.advance(1)
    assert enter(world, "ann").rooms == ["lobby"]
    assert enter(world, "ann", sid="s2").rooms == ["lobby"]


def test_a_refresh_by_a_revoked_token_changes_nothing(world: World) -> None:
    ann = enter(world, "ann", sid="s2")
    old, new = world.token("ann", sid="s1"), world.token("ann", sid="s3")
    revoke(world, revocation("sid", "s1", START + 30))
    assert ann.code("refresh", old) == "logged_out"
    assert ann.rooms == ["lobby"]
    assert ann.code("refresh", new) is None


def test_a_refreshed_session_stands_by_its_newer_token(world: World) -> None:
    ann, bob = enter(world, "ann", sid="s1"), enter(world, "bob", sid="s3")
    assert ann.code("refresh", world.token("ann", sid="s2")) is None
    assert bob.code("refresh", world.token("bob", sid="s2")) is None
    revoke(world, revocation("sid", "s1", START + 30), revocation("sid", "s3", START + 30))
    assert ann.take() == bob.take() == []
    revoke(world, revocation("sid", "s2", START + 30))
    assert ann.take() == bob.take() == ended("logged_out")


def test_a_session_that_is_not_reached_yet_does_nothing_more(world: World) -> None:
    ann, bob = enter(world, "ann"), enter(world, "bob")
    world.hub.revoke(revocation("sub", "ann"))
    ann.emit("publish", "lobby", "message", "too late")
    assert ann.take() == ended("logged_out")
    assert bob.take() == []
    assert bob.code("publish", "lobby", "message", "x") is None
    assert ann.peer.sent == []


def test_one_that_comes_during_the_walk_reaches_those_already_looked_at(world: World) -> None:
    clients = [enter(world, f"user-{number}", jti=f"token-{number}") for number in range(200)]
    world.hub.revoke(revocation("jti", "token-199"))
    assert not world.hub.sweep(0.0)
    world.hub.revoke(revocation("jti", "token-0"))
    while not world.hub.sweep(0.0):
        pass
    assert [client.take() != [] for client in clients] == [True, *[False] * 198, True]


@pytest.fixture
def looked_at(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The subjects of the sessions whose tokens were compared with the revocations."""
    find, subjects = world.hub.revocations.find_for, []

    def noted(verified: Any, keys: Any) -> Any:
        subjects.append(verified.subject.sub)
        return find(verified, keys)

    monkeypatch.setattr(world.hub.revocations, "find_for", noted)
    return subjects


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("sub", "ann", ["ann", "ann"]),
        ("sub_without_sid", "ann", ["ann", "ann"]),
        ("sid", "s2", ["ann"]),
        ("sid", "unknown", []),
        ("jti", "t", ["ann", "ann", "bob"]),
        ("all", "", ["ann", "ann", "bob"]),
    ],
)
def test_only_the_sessions_that_a_revocation_names_are_looked_at(
    world: World, looked_at: list[str], kind: RevocationKind, value: str, expected: list[str]
) -> None:
    enter(world, "ann", sid="s1")
    enter(world, "ann", sid="s2")
    enter(world, "bob", sid="s3")
    looked_at.clear()
    revoke(world, revocation(kind, value, before=START - 1000))
    assert looked_at == expected


def test_a_subject_that_is_taken_from_another_claim_is_found_by_both(world: World) -> None:
    world.reload(POLICY.replace("secret_file: corp.secret", "secret_file: corp.secret\n    subject: oid"))
    ann, bob = enter(world, "s-1", oid="ann"), enter(world, "s-2", oid="bob")
    revoke(world, revocation("sub", "s-1"))
    assert ann.take() == ended("logged_out")
    revoke(world, revocation("sub", "bob"))
    assert bob.take() == ended("logged_out")


def test_a_refreshed_session_is_found_by_its_newer_token(world: World) -> None:
    ann = enter(world, "ann", sid="old")
    assert ann.code("refresh", world.token("ann", sid="new")) is None
    ann.take()
    revoke(world, revocation("sid", "old"))
    assert ann.take() == []
    revoke(world, revocation("sid", "new"))
    assert ann.take() == ended("logged_out")


def test_where_too_many_are_kept_the_oldest_reaches_every_live_session_too(world: World) -> None:
    """What `CAPACITY` says of tokens that come back holds for the sessions that are there."""
    world.hub._core.revocations = Revocations(capacity=1)
    ann, bob = enter(world, "ann"), enter(world, "bob", iat=int(START) + 5)
    revoke(world, revocation("sub", "eve", before=START + 1))
    assert ann.take() == []
    revoke(world, revocation("sub", "dan"))
    assert ann.take() == ended("revoked")
    assert bob.take() == []


def test_a_reload_finds_what_a_revocation_missed_nothing_of(world: World) -> None:
    ann, bob = enter(world, "ann"), enter(world, "bob")
    world.swap(POLICY + "# changed\n")
    assert bob.code("publish", "lobby", "message", "held for ann") is None
    world.hub.revoke(revocation("sub", "ann"))
    while not world.hub.judge_some(1.0):
        pass
    assert ann.take() == ended("logged_out")
    assert world.hub.evicted.sessions == 1
    assert world.hub.sweep(1.0)
    assert ann.peer.sent == []


def test_what_an_entry_lets_live_longer_is_kept_longer(world: World) -> None:
    revoke(world, revocation("sub", "ann"))
    world.reload(POLICY.replace("secret_file: corp.secret", "secret_file: corp.secret\n    max_age: 7d"))
    world.clock.advance(6 * 86400)
    revoke(world, revocation("sub", "bob"))
    late = world.try_connect("/chat", "ann", iat=int(START), exp=int(START) + 7 * 86400)
    assert late.peer.sent[0][3]["code"] == "logged_out"


def test_how_many_it_concerns_is_told(world: World) -> None:
    for sub in ("ann", "ann", "bob"):
        enter(world, sub)
    world.connect("/")
    for one, expected in ((revocation("sub", "nobody"), 0), (revocation("sub", "ann"), 2)):
        with world.hub.count_ended(one) as ended_by:
            revoke(world, one, revocation("jti", "of somebody else"))
            assert ended_by() == expected


def test_a_session_of_an_integer_subject_is_found_by_its_decimal_form(tmp_path: Path) -> None:
    world = World(tmp_path, ISSUERS + "namespaces: {/: {connect: authenticated}}\n")
    # Some servers of one's own write such subjects.
    seven, eight = (world.connect("/", sub).session for sub in (7, 8))  # type: ignore[arg-type]
    assert seven.user.sub == "7"
    world.hub.revoke(
        Revocation(
            issuer="https://id.example.com",
            kind="sub",
            value="7",
            before=world.clock.now,
            code=Code.LOGGED_OUT,
            at=world.clock.now,
        )
    )
    while not world.hub.sweep(1.0):
        pass
    assert [seven.ended, eight.ended] == [True, False]
