"""How reloads end: told to whoever asked, to the log, and counted."""

from __future__ import annotations

import logging

import msgspec

from compartmentd.names import Digest
from compartmentd.problems import Problem
from compartmentd.sessions.reevaluate import Evictions
from compartmentd.telemetry.logs import log


class TakenIn(msgspec.Struct, frozen=True, kw_only=True):
    """A reload that brought what is on disk into force; `at` is wall time in seconds."""

    cause: str
    generation: int
    judged: int
    evicted: Evictions
    at: float

    @classmethod
    def by(cls, report: Report, cause: str) -> TakenIn:
        """Return what a later reload tells of this one."""
        return cls(
            cause=cause,
            generation=report.generation,
            judged=report.judged,
            evicted=report.evicted,
            at=report.at,
        )


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """How a reload ended; `generation` and `digest` are of what is in force now.

    Where a reload found nothing new, `taken_in` is the one that did, `None` if that was the start: whoever saves a
    file and then asks for a reload comes second where files are watched, and wants to know that the save counts.
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


class Tally(msgspec.Struct):
    """What came of all reloads since the start; `seconds` is how long the last one took."""

    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    evicted: Evictions = Evictions()
    seconds: float = 0.0

    def add(self, report: Report, seconds: float) -> None:
        """Count one reload."""
        self.changed += report.ok and report.changed
        self.unchanged += report.ok and not report.changed
        self.refused += not report.ok
        self.evicted += report.evicted
        self.seconds = seconds


def tell(report: Report, cause: str, seconds: float) -> None:
    """Write how a reload ended, and what it warns of, to the log."""
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
        log(logging.INFO, "reload_unchanged", "nothing has changed", cause=cause)
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
