"""Decisions in the log: what a line has, what it never has, and the reference that its client is told."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compartmentd.configuration.settings import LogSettings
from compartmentd.sessions.environment import Environment
from compartmentd.sessions.hub import Hub
from compartmentd.telemetry import logs
from compartmentd.telemetry.decision_feed import DecisionFeed
from compartmentd.telemetry.decision_log import DecisionLog, generate_ref, list_rules
from compartmentd.telemetry.shorten import LONGEST
from tests.support.policies import join, person, ruleset, template
from tests.support.world import World

POLICY = """version: 1
log:
  decisions: all
  claims: [tenant, [realm_access, roles], missing, [tenant, inside]]
issuers:
  corp: {issuer: https://id.example.com, audience: realtime, secret_file: corp.secret, algorithms: [HS256]}
namespaces:
  /chat:
    connect: authenticated
    rooms:
      lobby:
        join: {scope: chat}
        publish: {scope: write}
        events: [message]
"""
CLAIMS = {"tenant": "acme", "realm_access": {"roles": ["a"], "other": "planted"}, "secret": "planted"}


class Log:
    """A world whose decisions go to a log, and the lines of that."""

    def __init__(self, directory: Path, policy: str = POLICY) -> None:
        self.world = World(directory, policy)
        self.stream = io.StringIO()
        logs.set_up_logging(self.stream)
        self.feed = DecisionFeed()
        numbers = iter(range(1000))
        self.decisions = DecisionLog(self.feed, lambda: f"ref-{next(numbers)}")
        snapshot = self.world.hub.snapshot
        self.decisions.settings = snapshot.configuration.log
        self.world.hub = Hub(
            snapshot,
            Environment(
                clock=self.world.clock,
                new_sid=lambda: "sid",
                report_error=self.world.failures.append,
                audit_log=self.decisions,
            ),
        )

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """Put the process's logging back as it was."""
    names = (None, "compartmentd", "tornado.access", "tornado.general")
    before = [(logging.getLogger(name), logging.getLogger(name).level) for name in names]
    handlers = logging.getLogger().handlers[:]
    yield
    logging.getLogger().handlers[:] = handlers
    for logger, level in before:
        logger.setLevel(level)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def without(line: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in names}


def test_a_permission_tells_who_where_and_by_which_line(log: Log) -> None:
    log.world.connect("/chat", "ann", **CLAIMS)
    (line,) = log.lines
    assert line.pop("seconds") >= 0
    assert without(line, "time", "digest", "level", "generation", "address") == {
        "event": "connect_allowed",
        "message": "connect allowed in /chat",
        "namespace": "/chat",
        "session": "sid",
        "subject": "corp:ann",
        "claims": {"tenant": "acme", "realm_access": {"roles": ["a"]}},
        "rules": line["rules"],
    }
    (rule,) = line["rules"]
    assert rule.endswith("compartments.yaml:9:14: authenticated")


def test_a_refusal_has_a_reference_that_its_client_is_told(log: Log) -> None:
    ann = log.world.connect("/chat", "ann")
    answer = ann.ask("join", "lobby")
    line = log.lines[-1]
    assert (line["event"], line["code"], line["room"]) == ("join_refused", "scope_missing", "lobby")
    assert answer["error"]["ref"] == line["ref"] == "ref-0"
    assert line["rules"][0].endswith("compartments.yaml:12:15: scope chat")


def test_a_refused_connect_tells_what_the_token_lacks(log: Log) -> None:
    client = log.world.try_connect("/chat", "ann", aud="another")
    (line,) = log.lines
    assert (line["event"], line["code"]) == ("connect_refused", "token_invalid")
    assert "aud" in line["detail"]
    assert "claims" not in line
    (refused,) = client.peer.sent
    assert refused[-1] == {"code": "token_invalid", "retry": False, "ref": line["ref"]}


@pytest.mark.parametrize(
    ("named", "shown"),
    [
        ("/nowhere", "/nowhere"),
        ("/" + "n" * 500, "/" + "n" * (LONGEST - 1) + "…"),
        ("/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2ln", "(omitted: it looks like a token)"),
        ("/ghp_16C7e42F292c6912E7710c838347Ae178B4a", "(omitted: it looks like a token)"),
    ],
)
def test_a_connect_to_what_is_not_declared_is_told(log: Log, named: str, shown: str) -> None:
    log.world.try_connect(named, "ann")
    (line,) = log.lines
    assert (line["event"], line["code"], line["namespace"], line["name"], line["address"]) == (
        "connect_refused",
        "invalid_namespace",
        "(undeclared)",
        shown,
        "192.0.2.1",
    )
    assert line["message"] == "connect refused in (undeclared): invalid_namespace"


def test_a_scan_for_namespaces_is_one_kind_of_line(log: Log) -> None:
    for number in range(300):
        log.world.try_connect(f"/scanned-{number}")
    lines = len(log.lines)
    assert lines < 60
    logs.log_left_out(all_of_them=True)
    (left_out,) = log.lines[lines:]
    assert (left_out["kind"], left_out["count"]) == ("connect_refused invalid_namespace", 300 - lines)


@pytest.mark.parametrize(
    ("request_", "event", "code"),
    [
        (("publish", "lobby", "message", {}), "publish_refused", "not_a_member"),
        (("leave",), "leave_refused", "invalid_payload"),
        (("refresh",), "refresh_refused", "invalid_payload"),
        (("refresh", "x.y.z"), "refresh_refused", "token_invalid"),
        (("launch", "now"), "event_refused", "unknown_event"),
        (("join", 1), "join_refused", "invalid_payload"),
    ],
)
def test_every_refusal_is_a_line(log: Log, request_: tuple[Any, ...], event: str, code: str) -> None:
    ann = log.world.connect("/chat", "ann")
    answer = ann.ask(*request_)
    line = log.lines[-1]
    assert (line["event"], line["code"]) == (event, code)
    assert answer["error"] == answer["error"] | {"code": code, "ref": line["ref"]}


def test_the_end_of_a_session_is_told(log: Log) -> None:
    log.world.connect("/chat", "ann")
    log.world.tick(3601.0)
    line = log.lines[-1]
    assert (line["event"], line["code"], line["subject"]) == ("session_ended", "token_expired", "corp:ann")
    assert "ref" not in line


@pytest.mark.parametrize(
    ("wanted", "events"),
    [
        ("all", ["connect_allowed", "join_refused"]),
        ("refused", ["join_refused"]),
        ("none", []),
    ],
)
def test_the_operator_says_which_decisions_are_logged(log: Log, wanted: Any, events: list[str]) -> None:
    log.decisions.settings = LogSettings(decisions=wanted)
    answer = log.world.connect("/chat", "ann").ask("join", "lobby")
    assert [line["event"] for line in log.lines] == events
    assert ("ref" in answer["error"]) == bool(events), "a reference that nobody can find is none"


def test_a_flood_fills_no_log_and_what_it_left_out_is_counted(log: Log) -> None:
    ann = log.world.connect("/chat", "ann")
    answers = []
    for _ in range(300):
        answers.append(ann.ask("join", "no such room"))
        log.world.clock.advance(0.1)
    lines = [line for line in log.lines if line["event"] == "join_refused"]
    assert len(lines) < 60, "bounded by wall time, which hardly passes here"
    assert [answer["error"].get("ref") for answer in answers if "ref" in answer["error"]] == [
        line["ref"] for line in lines
    ]
    logs.log_left_out(all_of_them=True)
    last = log.lines[-1]
    assert (last["event"], last["kind"]) == ("lines_left_out", "join_refused unknown_room")
    assert last["count"] == 300 - len(lines)


def test_a_crowd_that_is_let_in_is_told_whole(log: Log) -> None:
    for number in range(300):
        log.world.connect("/chat", f"user-{number}")
    assert sum(line["event"] == "connect_allowed" for line in log.lines) == 300


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("r" * 1000, "r" * LONGEST + "…"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2ln", "(omitted: it looks like a token)"),
        ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "(omitted: it looks like a token)"),
        ("x\ny", "x\ny"),
    ],
)
def test_what_clients_write_is_bounded_and_no_token(log: Log, said: str, shown: str) -> None:
    log.world.connect("/chat", "ann").ask("join", said)
    assert log.lines[-1]["room"] == shown


def test_long_claims_are_cut(log: Log) -> None:
    log.world.connect("/chat", "ann", tenant="t" * 5000)
    assert len(json.dumps(log.lines[-1]["claims"])) < 2 * LONGEST


def test_no_other_claim_is_written(log: Log) -> None:
    log.world.connect("/chat", "ann", **CLAIMS).ask("join", "lobby")
    assert "planted" not in log.stream.getvalue()


def test_readers_of_the_feed_see_the_reference(log: Log) -> None:
    seen: list[Any] = []
    log.feed.subscribe(seen.append)
    log.world.connect("/chat", "ann").ask("join", "lobby")
    assert [record["ref"] for record in seen] == ["", "ref-0"]


def test_references_can_be_read_out_and_differ() -> None:
    found = {generate_ref() for _ in range(1000)}
    assert len(found) == 1000
    # Letters that nobody mistakes, and digits: once in 22,000 there are digits alone, which is as good.
    assert all(re.fullmatch(r"[b-df-hjkmnp-tv-z2-9]{8}", ref) for ref in found)


UNLIKE = "a parameter of the room is a number, too, where `params` declares it as an `integer`"


@pytest.mark.parametrize(
    ("rule", "claims", "why"),
    [
        (
            {"claim": "lessons", "contains": "{id}"},
            {"lessons": [4711, 4712]},
            f"an item is a number, and is compared with a string; {UNLIKE}",
        ),
        (
            {"claim": "level", "equals": "{id}"},
            {"level": 4711},
            f"the value is a number, and is compared with a string; {UNLIKE}",
        ),
        (
            {"claim": "on", "equals": True},
            {"on": "4711"},
            "the value is a string, and is compared with a boolean",
        ),
        (
            {"claim": "on", "equals": "a"},
            {"on": [4711]},
            "the value is neither string, number nor boolean, and is compared with a string",
        ),
    ],
)
def test_a_rule_that_could_not_be_told_has_the_types_and_no_value(
    rule: Any, claims: dict[str, Any], why: str
) -> None:
    rules = ruleset(template("lesson:{id}", join=rule))
    [line] = list_rules(join(rules, person(**claims), "lesson:1"))
    assert line.endswith(f" (unknown: {why})")
    assert "4711" not in line


def test_a_rule_that_is_false_is_written_as_it_is() -> None:
    rules = ruleset(template("lesson:{id}", join={"claim": "lessons", "contains": "{id}"}))
    for claims in ({"lessons": ["2"]}, {}):
        [line] = list_rules(join(rules, person(**claims), "lesson:1"))
        assert line.endswith(": claim lessons contains {id}")
