"""Reports on remote keys for the operator: log lines, and the status on the admin listeners.

A lasting failure is logged after one, two, four, eight … attempts, so that an outage is visible and fills no disk.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from compartmentd.keys.schedule import RELIED_ON
from compartmentd.keys.state import KeyState
from compartmentd.names import EntryName
from compartmentd.problems import Problem
from compartmentd.telemetry.logs import log
from compartmentd.tokens.key import Key


def report_success(
    entry: EntryName, state: KeyState, old: Sequence[Key], problems: Sequence[Problem]
) -> None:
    """Log a good set if it differs from the last one or follows failures.

    Call it before the state resets its count of failures.
    """
    before, now = ({key.thumbprint for key in keys} for keys in (old, state.keys))
    if state.keys is old and not state.schedule.failures:
        return
    log(
        logging.INFO,
        "keys_fetched",
        f"the keys of `{entry}` were fetched",
        entry=entry,
        keys=len(now),
        added=len(now - before),
        removed=len(before - now),
        failures_before=state.schedule.failures,
    )
    for problem in problems:
        log(
            logging.WARNING,
            "key_left_out",
            f"a key of `{entry}` is left out: {problem.message}",
            entry=entry,
            code=problem.code,
        )


def report_failure(entry: EntryName, state: KeyState, now: float, *, dropped: bool) -> None:
    """Log a failed fetch. Call it after the state has noted the failure."""
    count = state.schedule.failures
    if dropped:
        log(
            logging.ERROR,
            "keys_dropped",
            f"the keys of `{entry}` are no longer used: they could not be renewed for {RELIED_ON / 3600:.0f} hours",
            entry=entry,
            failures=count,
            error=state.error,
        )
    elif count & (count - 1) == 0:
        log(
            logging.WARNING,
            "keys_not_fetched",
            f"cannot fetch the keys of `{entry}`: {state.error}; {_describe_meanwhile(state, now)}",
            url=state.requests[-1].url if state.requests else None,
            entry=entry,
            failures=count,
            retry_in=round(state.schedule.seconds_left(now), 1),
        )


def _describe_meanwhile(state: KeyState, now: float) -> str:
    if state.schedule.good_at is None:
        return "its tokens are refused as keys_unavailable"
    left = max(0.0, RELIED_ON - (now - state.schedule.good_at))
    return f"the known keys are used for another {left / 3600:.1f} hours"


def report_defect(entry: EntryName, error: Exception) -> None:
    """Log an exception that is a defect of this program."""
    log(logging.ERROR, "key_fetch_failed", f"fetching the keys of `{entry}` failed", exc=error, entry=entry)


def build_status(state: KeyState, now: float) -> dict[str, Any]:
    """Return the status of an entry's keys: `age` and `next` in seconds, the rest counts since the start."""
    schedule = state.schedule
    return {
        "keys": len(state.keys),
        "age": None if schedule.good_at is None else round(now - schedule.good_at, 1),
        "stale": schedule.stale,
        "next": None if schedule.running else round(schedule.seconds_left(now), 1),
        "fetches": state.fetches,
        "failures": state.failures,
        "error": state.error,
        "requests": [{"url": request.url, "answer": request.answer} for request in state.requests],
        "unknown_kids": state.unknown_kids,
    }
