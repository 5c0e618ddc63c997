"""Logs decisions: every refusal, and on request every permission, each with the rules that decided it.

A logged refusal has a reference, which its client also gets: a user can read it to the operator, who finds the
line. If refusals are too frequent to log them all, the rest is counted and has no reference.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from compartmentd.configuration.settings import LogSettings
from compartmentd.policy.codes import Code
from compartmentd.policy.decision import Decision, Reason, Truth
from compartmentd.sessions.audit import Record
from compartmentd.telemetry.decision_feed import DecisionFeed, show_event, show_room
from compartmentd.telemetry.logs import admits, log
from compartmentd.telemetry.shorten import LONGEST, shorten
from compartmentd.telemetry.tracing import NoTracing, Tracing

PERMISSIONS = "decisions that allowed"
"""The kind of line under which all permissions are counted."""

PERMISSIONS_TIMES = 100.0
"""How many times more permissions are logged than refusals of one kind: operators who log permissions want many of
them, and the limits of sessions and rates bound the permissions themselves."""

_ALPHABET = (
    "bcdfghjkmnpqrstvwxyz23456789"  # no vowels and no characters that look alike, since it is read aloud
)


def generate_ref() -> str:
    """Return a random reference: short enough to be read aloud, and unlikely to repeat within days."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(8))


class DecisionLog:
    """The audit log of the hub: writes decisions to the log, and passes them to the live feed and to traces."""

    def __init__(
        self, feed: DecisionFeed, ref: Callable[[], str] = generate_ref, tracing: Tracing | None = None
    ) -> None:
        self._feed = feed
        self._tracing = tracing or NoTracing()
        self._ref = ref
        self.settings = LogSettings()

    @property
    def shows_values(self) -> bool:
        """Whether the live feed, the only reader of values, shows them to anybody."""
        return self._feed.shows_values

    def wants(self, code: Code | None) -> bool:
        """Return whether the log, a subscriber of the feed or a trace wants a decision with this code (`None`.

        Allowed).
        """
        return self._tracing.on or self._wants_line(code) or self._feed.wants(code)

    def _wants_line(self, code: Code | None) -> bool:
        wanted = self.settings.decisions
        return wanted == "all" or (wanted == "refused" and code is not None)

    def write(self, record: Record) -> str:
        """Log the decision, if it is wanted and the rate allows it, and pass it on."""
        if self._wants_line(record.code) and _is_admitted(record):
            if record.code is not None and record.occasion != "end":
                record = msgspec.structs.replace(record, ref=self._ref())
            log(logging.INFO, get_event_name(record), _format_sentence(record), **_build_fields(record))
        if self._tracing.on:
            self._tracing.write(record)
        if self._feed.wants(record.code):
            self._feed.write(record)
        return record.ref


def get_event_name(record: Record) -> str:
    """Return the name of the log event of a record."""
    if record.occasion == "end":
        return "session_ended"
    return f"{record.occasion}_{'allowed' if record.code is None else 'refused'}"


def _is_admitted(record: Record) -> bool:
    if record.code is None:
        return admits(PERMISSIONS, PERMISSIONS_TIMES)
    return admits(f"{get_event_name(record)} {record.code.value}")


def _format_sentence(record: Record) -> str:
    event = get_event_name(record).replace("_", " ")
    why = "" if record.code is None else f": {record.code.value}"
    return f"{event} in {record.namespace}{why}"


def _build_fields(record: Record) -> dict[str, Any]:
    """Return the fields of the line, without those that do not apply."""
    fields = {
        "ref": record.ref or None,
        "namespace": record.namespace,
        "session": record.session,
        "subject": None
        if record.subject is None
        else shorten(f"{record.subject.entry}:{record.subject.sub}"),
        "claims": {name: _bound_value(value) for name, value in record.claims.items()} or None,
        "address": record.address or None,
        "room": show_room(record),
        "name": show_event(record),
        "code": None if record.code is None else record.code.value,
        "detail": record.detail or None,
        "rules": None if record.decision is None else list_rules(record.decision) or None,
        "seconds": None if record.took is None else round(record.took, 6),
    }
    return {name: value for name, value in fields.items() if value is not None}


def list_rules(decision: Decision) -> list[str]:
    """Return the rules that decided, each as `file:line:column: the rule`, outermost first.

    Of one that could not be told the line says why: a type that is not compared, never a value.
    """
    found = dict.fromkeys(
        f"{reason.span}: {reason.text}{_explain_unknown(reason)}"
        for outer in decision.reasons
        for reason in _find_deciding(outer)
        if reason.span is not None
    )
    return list(found)


def _explain_unknown(reason: Reason) -> str:
    if reason.truth is not Truth.UNKNOWN:
        return ""
    why = next((part.text for part in reason.parts if part.span is None), "")
    return f" (unknown: {why})" if why else ""


def _find_deciding(reason: Reason) -> list[Reason]:
    inner = [part for outer in reason.parts for part in _find_deciding(outer)]
    return inner or ([] if reason.span is None else [reason])


def _bound_value(value: Any) -> Any:
    """Return a claim's value, or the beginning of its JSON if that is long."""
    if isinstance(value, Mapping):
        return {shorten(str(name)): _bound_value(part) for name, part in list(value.items())[:16]}
    text = msgspec.json.encode(value)
    return value if len(text) <= LONGEST else shorten(text.decode("utf-8", "replace"))
