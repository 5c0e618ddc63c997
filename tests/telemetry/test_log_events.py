"""The table of events is that of the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from compartmentd.configuration.compiler import load
from compartmentd.configuration.settings import LogSettings
from compartmentd.sessions.audit import Occasion
from compartmentd.telemetry.log_events import EVENTS
from tests.support.cases import InMemory

ROOT = Path(__file__).parents[2]
EVERY_LINE = {"time", "level", "event", "message", "generation", "digest"}


def calls() -> Iterator[tuple[str, ast.expr, set[str]]]:
    """Yield every call of `log` in the package: where, the event, and the names of its fields."""
    for path in sorted((ROOT / "compartmentd").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "log":
                names = {"exception" if word.arg == "exc" else word.arg or "**" for word in node.keywords}
                yield f"{path.name}:{node.lineno}", node.args[1], names


def test_every_event_that_is_logged_stands_in_the_table_with_its_fields() -> None:
    places = [place for place, event, _ in calls() if not isinstance(event, ast.Constant)]
    assert [place.split(":")[0] for place in places] == ["decision_log.py"], "elsewhere a name is spelled out"
    for place, event, fields in calls():
        if isinstance(event, ast.Constant):
            assert event.value in EVENTS, place
            told = {name for name in EVENTS[event.value][1].split(", ") if name}
            assert fields <= told, (place, event.value)


def test_every_event_of_the_table_is_logged() -> None:
    spelled = {event.value for _, event, _ in calls() if isinstance(event, ast.Constant)}
    decided = {
        f"{occasion}_{outcome}" for occasion in get_args(Occasion) for outcome in ("refused", "allowed")
    }
    assert EVENTS.keys() - spelled - decided == {"session_ended"}
    assert not {name for _, fields in EVENTS.values() for name in fields.split(", ")} & EVERY_LINE


def test_the_configuration_of_the_page_on_logs_says_what_it_shows() -> None:
    page = (ROOT / "docs/operate/logs.md").read_text()
    blocks = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        loaded = load("compartments.yaml", InMemory({"compartments.yaml": block.encode()}))
        assert loaded.problems == ()
        assert loaded.configuration is not None
        assert loaded.configuration.log == LogSettings(
            claims=(("tenant",), ("realm_access", "roles")), decisions="all"
        )


@pytest.mark.parametrize(
    "logger", ["logger.error", "logger.warning", "logger.info", "logger.exception", "getLogger"]
)
def test_nothing_is_logged_without_a_name(logger: str) -> None:
    found = [
        path.name
        for path in (ROOT / "compartmentd").rglob("*.py")
        if f"{logger}(" in path.read_text() and path.name != "logs.py"
    ]
    assert found == []
