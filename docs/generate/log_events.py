"""The page of the log's events, from their table."""

from __future__ import annotations

from collections.abc import Iterator

from compartmentd.telemetry.log_events import EVENTS
from docs.generate.markdown import code, join_page, table


def page() -> str:
    """Return the page of the events."""
    return join_page(_lines())


def _lines() -> Iterator[str]:
    yield "# Log events"
    yield ""
    yield "Every line of the log has `time`, `level`, `event`, `message`, `generation` and `digest`, and"
    yield "the fields of its event. Names of events and fields are stable; messages may be reworded."
    yield "[Logs](../operate/logs.md) says how to read them."
    yield ""
    yield "A decision's fields are `ref`, `namespace`, `session`, `subject`, `code`, `rules`, `seconds` and"
    yield "the claims that `log.claims` lists, as far as there are any."
    yield ""
    yield from table(
        ["event", "when", "fields"],
        [[f"{code(name)}{{ #{name} }}", text, _fields(fields)] for name, (text, fields) in EVENTS.items()],
    )


def _fields(fields: str) -> str:
    names = [name for name in fields.split(", ") if name]
    return ", ".join("the decision's" if name == "DECISION" else code(name) for name in names)
