"""The configurations in `config/` mean what their policy tests say: connect and auto-join first, then the case."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from compartmentd.configuration.compiler.load import load
from compartmentd.configuration.payloads.validator import PayloadValidator, PayloadVerdict
from compartmentd.names import EntryName, NamespaceName, RoomName, Subject
from compartmentd.policy.decide import decide
from compartmentd.policy.decision import Connect, Decision, Facts, Join, Publish
from compartmentd.policy.model import Event
from compartmentd.policy.principal import ANONYMOUS, Principal, collect_scopes
from compartmentd.policy.reconcile import CurrentMembership, reconcile_session
from compartmentd.policy.ruleset import Ruleset
from compartmentd.storage.files import Disk
from tests.support.policies import NOW

CONFIG = Path(__file__).parents[2] / "config"
WRITTEN = {
    "compartments.yaml": Path(__file__).with_name("reference.test.yaml"),
    "demo.yaml": CONFIG / "demo.test.yaml",
}
TESTS = {config: yaml.safe_load(path.read_text()) for config, path in WRITTEN.items()}


@functools.cache
def rules_of(config: str) -> Ruleset:
    loaded = load(str(CONFIG / config), Disk())
    assert loaded.configuration is not None, loaded.problems
    return Ruleset.build(loaded.configuration.policy)


def who(config: str, name: str, entry: EntryName) -> Principal:
    if name == "anonymous":
        return ANONYMOUS
    claims = TESTS[config]["tokens"][name]
    scopes, uncertain = collect_scopes(claims, ("scope", "scp"))
    return Principal(
        subject=Subject(entry, claims["sub"]),
        claims=claims,
        scopes=scopes,
        scopes_uncertain=uncertain,
        ends_at=NOW + 3600,
    )


class Session:
    """Somebody in a namespace, after connect and auto-join, with the rooms that a case starts from."""

    def __init__(self, config: str, case: dict[str, Any]) -> None:
        self.rules = rules_of(config)
        self.namespace = NamespaceName(case.get("connect") or case["in"])
        [entry] = self.rules.policy.namespaces[self.namespace].issuers
        self.who = who(config, case["as"], entry)
        start = [CurrentMembership(RoomName(room), by_server=False) for room in case.get("member", ())]
        self.judgement = reconcile_session(self.rules, self.namespace, self.who, start, now=NOW)
        assert self.judgement.kept == tuple(each.room for each in start)
        self.joined = [room for room, _ in self.judgement.joined]
        self.rooms = {*self.judgement.kept, *self.joined}

    def join(self, room: str) -> Decision:
        return self.ask(Join(self.namespace, RoomName(room)), Facts(memberships=frozenset(self.rooms)))

    def publish(self, room: str | None, event: str, **data: Any) -> Decision:
        """Publish to the room, or (`None`) to the namespace; without data, size and schema are not asked."""
        facts = Facts(memberships=frozenset(self.rooms))
        declared = self.events(room).get(event)
        if data and declared is not None and declared.schema is not None:
            validator = PayloadValidator(self.rules.policy.schemas[declared.schema])
            holds = validator.validate(json.dumps(data["data"]).encode()) is PayloadVerdict.VALID
            facts = Facts(memberships=frozenset(self.rooms), payload_holds=lambda: holds)
        return self.ask(Publish(self.namespace, None if room is None else RoomName(room), event), facts)

    def events(self, room: str | None) -> dict[str, Event]:
        if room is None:
            return self.rules.policy.namespaces[self.namespace].events
        match = self.rules.find(self.namespace, room)
        assert match is not None
        return match.template.events

    def ask(self, request: Connect | Join | Publish, facts: Facts) -> Decision:
        return decide(self.rules, self.who, request, facts, NOW)


def outcome(session: Session, case: dict[str, Any]) -> Decision:
    if "connect" in case:
        return session.judgement.connect
    assert session.judgement.connect.allowed
    if "join" in case:
        return session.join(case["join"])
    room = case.get("room")
    if room is not None and room not in session.rooms:
        assert session.join(room).allowed
        session.rooms.add(room)
    return session.publish(room, case["publish"], **{key: case[key] for key in ("data",) if key in case})


@pytest.mark.parametrize(
    ("config", "case"),
    [(config, case) for config, tests in TESTS.items() for case in tests["cases"]],
    ids=str,
)
def test_a_written_policy(config: str, case: dict[str, Any]) -> None:
    session = Session(config, case)
    if "joins" in case:
        assert session.joined == case["joins"]
        return
    decision = outcome(session, case)
    assert decision.allowed is (case["expect"] == "allow")
    assert decision.code == case.get("code")
    assert decision.spans
    assert {span.file for span in decision.spans} == {str(CONFIG / config)}
