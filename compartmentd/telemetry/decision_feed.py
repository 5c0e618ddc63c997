"""The live feed of decisions: the audit log of the sessions, as administrators read it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from compartmentd.policy.codes import Code
from compartmentd.policy.decision import Reason, Truth
from compartmentd.problems import Span
from compartmentd.sessions.audit import Record
from compartmentd.telemetry.logs import log
from compartmentd.telemetry.shorten import shorten, shorten_unknown

_NOTHING_SEEN: Mapping[Span, str] = {}

DecisionListener: TypeAlias = Callable[[Mapping[str, Any]], None]


class DecisionFeed:
    """An audit log that passes each record, as JSON, to its subscribers; idle while there are none.

    Args:
        with_values: whether subscribers see values of claims and payloads, as in development mode.
    """

    def __init__(self, *, with_values: bool = False) -> None:
        self._with_values = with_values
        self._subscribers: dict[int, DecisionListener] = {}
        self._next = 0

    @property
    def shows_values(self) -> bool:
        """Whether there is a subscriber, to whom values are shown."""
        return self._with_values and bool(self._subscribers)

    def wants(self, code: Code | None) -> bool:
        """Return whether there are subscribers."""
        del code
        return bool(self._subscribers)

    def subscribe(self, subscriber: DecisionListener) -> Callable[[], None]:
        """Pass every record from now on to a subscriber; returns the function that unsubscribes it."""
        key = self._next
        self._next += 1
        self._subscribers[key] = subscriber

        def unsubscribe() -> None:
            self._subscribers.pop(key, None)

        return unsubscribe

    def write(self, record: Record) -> str:
        """Pass one record to all subscribers; a subscriber that raises is removed, without effect on the others."""
        data = record_as_json(record)
        for key, subscriber in tuple(self._subscribers.items()):
            try:
                subscriber(data)
            except Exception:  # noqa: BLE001 - a subscriber's failure must never affect a decision
                self._subscribers.pop(key, None)
                log(
                    logging.WARNING,
                    "feed_reader_failed",
                    "a subscriber of the decision feed failed and was dropped",
                )
        return ""


def record_as_json(record: Record) -> dict[str, Any]:
    """Return a record as the admin API shows it."""
    decision, seen = record.decision, {each.span: each.text for each in record.seen}
    subject = record.subject
    return {
        "at": int(record.at * 1000),
        "generation": record.generation,
        "digest": record.digest,
        "request": record.occasion,
        "namespace": record.namespace,
        "session": record.session,
        "subject": None if subject is None else f"{subject.entry}:{subject.sub}",
        "room": show_room(record),
        "event": show_event(record),
        "allowed": record.code is None,
        "code": None if record.code is None else record.code.value,
        "detail": record.detail,
        "ref": record.ref,
        "reasons": [] if decision is None else [reason_as_json(reason, seen) for reason in decision.reasons],
        "lines": [] if decision is None else [span_as_json(span) for span in decision.spans],
    }


_BEFORE_THE_TEMPLATE = frozenset({Code.INVALID_PAYLOAD, Code.RATE_LIMITED, Code.UNKNOWN_ROOM})
"""Codes of refusals of a room that need not be one of the policy's."""


def show_room(record: Record) -> str | None:
    """Return the room of a record as operators see it: what no template reads may be anything."""
    if record.room is None:
        return None
    return shorten_unknown(record.room) if record.code in _BEFORE_THE_TEMPLATE else shorten(record.room)


def show_event(record: Record) -> str | None:
    """Return the event of a record, or the namespace that is not declared, as operators see it."""
    return None if record.event is None else shorten_unknown(record.event)


def reason_as_json(reason: Reason, seen: Mapping[Span, str] = _NOTHING_SEEN) -> dict[str, Any]:
    """Return a reason with its parts, each with its place in the configuration and what it saw."""
    place = {} if reason.span is None else span_as_json(reason.span)
    value = None if reason.span is None or reason.truth is Truth.TRUE else seen.get(reason.span)
    return {
        "text": reason.text,
        "truth": reason.truth.value,
        **place,
        **({} if value is None else {"seen": value}),
        "parts": [reason_as_json(part, seen) for part in reason.parts],
    }


def span_as_json(span: Span) -> dict[str, Any]:
    """Return a place in the configuration."""
    return {
        "file": span.file,
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
    }
