"""Problems in the forms of other programs: workflow commands of GitHub, and SARIF 2.1.0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from compartmentd import __version__
from compartmentd.problems import PROBLEM_CODES, Problem, Severity

_GITHUB: Mapping[Severity, str] = {"error": "error", "warning": "warning", "note": "notice"}
_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def format_github(problems: Sequence[Problem]) -> Iterator[str]:
    """Yield a workflow command for each problem, which GitHub shows beside the line of a change."""
    for problem in problems:
        span = problem.span
        properties = {
            "file": span.file,
            "line": str(span.line),
            "col": str(span.column),
            "endLine": str(span.end_line),
            "endColumn": str(span.end_column),
            "title": problem.code,
        }
        told = ",".join(f"{name}={_escape_property(value)}" for name, value in properties.items())
        text = f"{problem.message}\nhelp: {problem.help}" if problem.help else problem.message
        yield f"::{_GITHUB[problem.severity]} {told}::{_escape_data(text)}"


def _escape_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")


def build_sarif(problems: Sequence[Problem]) -> dict[str, Any]:
    """Return the problems as a SARIF log of one run (Static Analysis Results Interchange Format 2.1.0, OASIS)."""
    codes = sorted({problem.code for problem in problems})
    rules = [
        {
            "id": code,
            "shortDescription": {"text": PROBLEM_CODES[code].meaning},
            "help": {"text": PROBLEM_CODES[code].advice},
        }
        for code in codes
    ]
    driver = {"name": "compartmentd", "semanticVersion": __version__, "rules": rules}
    results = [_build_result(problem, codes.index(problem.code)) for problem in problems]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _build_result(problem: Problem, rule: int) -> dict[str, Any]:
    span = problem.span
    region = {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }
    text = f"{problem.message}. Help: {problem.help}" if problem.help else problem.message
    return {
        "ruleId": problem.code,
        "ruleIndex": rule,
        "level": problem.severity,
        "message": {"text": text},
        "locations": [
            {"physicalLocation": {"artifactLocation": {"uri": _build_uri(span.file)}, "region": region}}
        ],
    }


def _build_uri(path: str) -> str:
    from urllib.parse import quote  # noqa: PLC0415 - few checks are told in this form

    return quote(path, safe="/", errors="surrogateescape")
