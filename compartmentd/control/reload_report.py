"""How a reload ended: the answer to its caller, the lines in the log, and the counts."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from compartmentd.names import Digest
from compartmentd.problems import Problem
from compartmentd.sessions.reevaluate import Evictions
from compartmentd.telemetry.logs import log


class TakenIn(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier reload that put the files on disk in force; `at` is wall time in seconds."""

    cause: str
    generation: int
    judged: int
    evicted: Evictions
    at: float

    @classmethod
    def from_report(cls, report: ReloadReport, cause: str) -> TakenIn:
        """Return what later reports say about this one."""
        return cls(
            cause=cause,
            generation=report.generation,
            judged=report.judged,
            evicted=report.evicted,
            at=report.at,
        )

    def as_json(self) -> dict[str, Any]:
        """Return what the admin API documents."""
        return {
            "at": int(self.at * 1000),
            "cause": self.cause,
            "generation": self.generation,
            "judged": self.judged,
            "evicted": _as_json(self.evicted),
        }


class ReloadReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a reload ended; `generation` and `digest` are of what is in force now.

    If a reload found nothing new, `taken_in` is the reload that put the files in force, `None` if the start did:
    where files are watched, an operator who saves a file and then asks for a reload comes second, and needs to know
    that the save counts.
    """

    ok: bool
    changed: bool = False
    generation: int
    digest: Digest
    judged: int = 0
    evicted: Evictions = Evictions()
    problems: tuple[Problem, ...] = ()
    taken_in: TakenIn | None = None
    at: float

    def as_json(self) -> dict[str, Any]:
        """Return the answer to a reload, as the admin API documents it."""
        answer: dict[str, Any] = {
            "ok": self.ok,
            "generation": self.generation,
            "digest": self.digest,
            "problems": [problem.as_json() for problem in self.problems],
        }
        if self.ok:
            answer |= {"changed": self.changed, "judged": self.judged, "evicted": _as_json(self.evicted)}
        if self.ok and not self.changed:
            answer["taken_in"] = None if self.taken_in is None else self.taken_in.as_json()
        return answer


class ReloadTally(msgspec.Struct):
    """Counts of all reloads since the start, by result; `seconds` is how long the last one took."""

    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    evicted: Evictions = Evictions()
    seconds: float = 0.0

    def add(self, report: ReloadReport, seconds: float) -> None:
        """Count one reload."""
        self.changed += report.ok and report.changed
        self.unchanged += report.ok and not report.changed
        self.refused += not report.ok
        self.evicted += report.evicted
        self.seconds = seconds


def _as_json(evicted: Evictions) -> dict[str, int]:
    return {"sessions": evicted.sessions, "memberships": evicted.memberships}


def log_report(report: ReloadReport, cause: str, seconds: float) -> None:
    """Write the result of a reload, and its problems, to the log; `seconds` is how long it took."""
    if report.ok and report.changed:
        log(
            logging.INFO,
            "reloaded",
            f"generation {report.generation} is in force",
            cause=cause,
            seconds=round(seconds, 3),
            judged=report.judged,
            evicted_sessions=report.evicted.sessions,
            evicted_memberships=report.evicted.memberships,
        )
    elif report.ok:
        log(
            logging.INFO, "reload_unchanged", "the files are those in force: nothing has changed", cause=cause
        )
    else:
        log(
            logging.ERROR,
            "reload_refused",
            "the new configuration is refused; the old one stays",
            cause=cause,
        )
    level = logging.WARNING if report.ok else logging.ERROR
    for problem in report.problems:
        if problem.severity != "note":
            log(level, "problem", str(problem), code=problem.code, help=problem.help)
