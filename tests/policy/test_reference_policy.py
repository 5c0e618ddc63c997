"""The reference configuration means what its policy tests say: connect and auto-join first, then the case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from compartmentd.compiler.load import load
from compartmentd.files import Disk
from compartmentd.names import EntryName, NamespaceName, RoomName, Subject
from compartmentd.policy.decide import decide
from compartmentd.policy.decision import Connect, Decision, Facts, Join, Publish
from compartmentd.policy.principal import ANONYMOUS, Principal, scopes_of
from compartmentd.policy.reconcile import Held, judge
from compartmentd.policy.ruleset import Ruleset
from tests.support.policies import NOW

CASES = yaml.safe_load(Path(__file__).with_name("reference.test.yaml").read_text())
CONFIG = Path(__file__).parents[2] / "config" / "compartments.yaml"


@pytest.fixture(scope="module")
def rules() -> Ruleset:
    loaded = load(str(CONFIG), Disk())
    assert loaded.configuration is not None, loaded.problems
    return Ruleset.of(loaded.configuration.policy)


def who(name: str) -> Principal:
    if name == "anonymous":
        return ANONYMOUS
    claims = CASES["tokens"][name]
    scopes, uncertain = scopes_of(claims, ("scope", "scp"))
    return Principal(
        subject=Subject(EntryName("corp"), claims["sub"]),
        claims=claims,
        scopes=scopes,
        scopes_uncertain=uncertain,
        ends_at=NOW + 3600,
    )


class Session:
    """Somebody in a namespace, after connect and auto-join, with the rooms that a case starts from."""

    def __init__(self, rules: Ruleset, case: dict[str, Any]) -> None:
        self.rules = rules
        self.who = who(case["as"])
        self.namespace = NamespaceName(case.get("connect") or case["in"])
        start = [Held(RoomName(room)) for room in case.get("member", ())]
        self.judgement = judge(rules, self.namespace, self.who, start, now=NOW)
        assert self.judgement.kept == tuple(each.room for each in start)
        self.joined = [room for room, _ in self.judgement.joined]
        self.rooms = {*self.judgement.kept, *self.joined}

    def join(self, room: str) -> Decision:
        return self.ask(Join(self.namespace, RoomName(room)))

    def ask(self, request: Connect | Join | Publish) -> Decision:
        return decide(self.rules, self.who, request, Facts(memberships=frozenset(self.rooms)), NOW)


def outcome(session: Session, case: dict[str, Any]) -> Decision:
    if "connect" in case:
        return session.judgement.connect
    assert session.judgement.connect.allowed
    if "join" in case:
        return session.join(case["join"])
    if case["room"] not in session.rooms:
        assert session.join(case["room"]).allowed
        session.rooms.add(case["room"])
    return session.ask(Publish(session.namespace, RoomName(case["room"]), case["publish"]))


@pytest.mark.parametrize("case", CASES["cases"], ids=str)
def test_the_reference_policy(rules: Ruleset, case: dict[str, Any]) -> None:
    session = Session(rules, case)
    if "joins" in case:
        assert session.joined == case["joins"]
    else:
        decision = outcome(session, case)
        assert decision.allowed is (case["expect"] == "allow")
        assert decision.code == case.get("code")
        assert decision.spans
        assert {span.file for span in decision.spans} == {str(CONFIG)}
