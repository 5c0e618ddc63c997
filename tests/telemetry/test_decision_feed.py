"""The live feed: what a developer is shown of a refusal, and nobody else."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compartmentd.sessions.environment import Environment
from compartmentd.sessions.hub import Hub
from compartmentd.telemetry import logs
from compartmentd.telemetry.decision_feed import DecisionFeed
from compartmentd.telemetry.decision_log import DecisionLog
from compartmentd.telemetry.shorten import OMITTED
from tests.support.world import ISSUERS, World

POLICY = (
    ISSUERS
    + """
limits:
  message_rate: 3/s
namespaces:
  /team:
    connect: authenticated
    rooms:
      "project:{project}":
        join: {claim: projects, contains: "{project}"}
        publish: members
        events: {message: {schema: message.json}, typing: {}}
"""
)
SCHEMA = '{"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}'


class Watched:
    """A hub whose decisions are read by one subscriber."""

    def __init__(self, directory: Path, *, development: bool) -> None:
        self.world = World(directory, POLICY, message__json=SCHEMA)
        self.log = io.StringIO()
        logs.set_up_logging(self.log)
        feed = DecisionFeed(with_values=development)
        self.records: list[Any] = []
        feed.subscribe(self.records.append)
        self.world.hub = Hub(
            self.world.hub.snapshot,
            Environment(
                clock=self.world.clock,
                new_sid=lambda: "sid",
                report_error=self.world.failures.append,
                audit_log=DecisionLog(feed),
            ),
        )
        self.bob = self.world.connect("/team", "bob", projects=["apollo-secret"])
        assert self.bob.code("join", "project:apollo-secret") is None

    def refuse(self, *event: Any) -> Any:
        """Send a request that is refused, and return the last record."""
        assert self.bob.code(*event) is not None
        return self.records[-1]


@pytest.fixture(params=[True, False], ids=["development", "production"])
def development(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def watched(tmp_path: Path, development: bool) -> Iterator[Watched]:
    root = logging.getLogger()
    handlers = root.handlers[:]
    yield Watched(tmp_path, development=development)
    root.handlers[:] = handlers


def seen(reasons: list[Any]) -> list[str]:
    """Return what the reasons and their parts saw."""
    return [
        text
        for reason in reasons
        for text in [*([reason["seen"]] if "seen" in reason else []), *seen(reason["parts"])]
    ]


def line_of(text: str) -> int:
    return POLICY[: POLICY.index(text)].count("\n") + 1


def test_a_refused_join_shows_the_claim(watched: Watched, development: bool) -> None:
    record = watched.refuse("join", "project:zeus")
    assert seen(record["reasons"]) == (['`projects` is `["apollo-secret"]`'] if development else [])


def test_a_payload_that_does_not_fit_shows_its_property(watched: Watched, development: bool) -> None:
    record = watched.refuse("publish", "project:apollo-secret", "message", {"text": 4711})
    assert seen(record["reasons"]) == (["`text` must be a string, and is `4711`"] if development else [])
    # Once a permission is remembered the message takes another way, which says the same.
    assert watched.bob.code("publish", "project:apollo-secret", "message", {"text": "a"}) is None
    record = watched.refuse("publish", "project:apollo-secret", "message", {"text": 4712})
    assert seen(record["reasons"]) == (["`text` must be a string, and is `4712`"] if development else [])


def test_a_rate_is_named_at_its_own_line_on_both_ways(watched: Watched) -> None:
    for _ in range(3):
        assert watched.bob.code("publish", "project:apollo-secret", "typing", 1) is None
    for request in (
        ("publish", "project:apollo-secret", "typing", 1),
        ("publish", "project:apollo-secret", "message", {"text": "x"}),
        ("leave", "project:apollo-secret"),
        ("refresh", "x"),
        ("nonsense",),
    ):
        record = watched.refuse(*request)
        assert record["code"] == "rate_limited"
        assert record["reasons"][0]["text"] == "over `message_rate`: 3 messages a second"
        assert [place["line"] for place in record["lines"]] == [line_of("message_rate")]


def test_nothing_of_it_is_logged(watched: Watched) -> None:
    watched.refuse("join", "project:zeus")
    watched.refuse("publish", "project:apollo-secret", "message", {"text": 4711})
    assert "rule_denied" in watched.log.getvalue()
    assert "4711" not in watched.log.getvalue()
    assert '["apollo-secret"]' not in watched.log.getvalue()


def test_without_a_reader_no_value_is_looked_for(tmp_path: Path) -> None:
    feed = DecisionFeed(with_values=True)
    assert not feed.shows_values
    leave = feed.subscribe(lambda _: None)
    assert feed.shows_values
    leave()
    assert not feed.shows_values


OPAQUE = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"


@pytest.mark.parametrize("development", [False], indirect=True)
@pytest.mark.parametrize(
    ("event", "room", "name"),
    [
        (("join", OPAQUE), OMITTED, None),
        # A template reads it, and a provider may name its groups so.
        (("join", f"project:{OPAQUE}"), f"project:{OPAQUE}", None),
        (("publish", "project:apollo-secret", OPAQUE, {}), "project:apollo-secret", OMITTED),
        ((OPAQUE,), None, OMITTED),
    ],
)
def test_a_token_in_the_wrong_place_is_not_shown(
    watched: Watched, event: tuple[Any, ...], room: str | None, name: str | None
) -> None:
    record = watched.refuse(*event)
    assert (record["room"], record["event"]) == (room, name)
    assert OPAQUE not in watched.log.getvalue().replace(f"project:{OPAQUE}", "")
