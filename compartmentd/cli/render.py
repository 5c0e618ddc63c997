"""Prints the results of commands: text for people, or one JSON document for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import click
import msgspec

from compartmentd.problems import Problem, Severity, has_errors

Format: TypeAlias = Literal["text", "json"]

format_option = click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="The form of the output.",
)
"""The option `--format` of every command; the command's parameter is `format_`."""

_COLOURS: Mapping[Severity, str] = {"error": "red", "warning": "yellow", "note": "cyan"}


def print_json(value: Any) -> None:
    """Print one JSON document, indented."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_problems(problems: Sequence[Problem], format_: Format, *, read: str = "") -> None:
    """Print problems with their places and help, then their count; or the document of `--format json`.

    Args:
        problems: The problems.
        format_: The form of the output.
        read: What was read, in words, for people; told where there are no errors.
    """
    if format_ == "json":
        print_json({"ok": not has_errors(problems), "problems": [problem.as_json() for problem in problems]})
        return
    for problem in problems:
        click.echo(_colour(problem))
    summary = summarize(problems)
    click.echo(f"{summary}: {read}" if read and not has_errors(problems) else summary, err=True)


def summarize(problems: Sequence[Problem]) -> str:
    """Return the counts of problems, as in `2 errors, 1 note`."""
    counts = Counter(problem.severity for problem in problems)
    told = [f"{counts[kind]} {kind}{'s' if counts[kind] > 1 else ''}" for kind in _COLOURS if kind in counts]
    if counts["error"]:
        return ", ".join(told)
    return f"fine ({', '.join(told)})" if told else "fine"


def _colour(problem: Problem) -> str:
    # click removes the colours if the output is not a terminal.
    where, severity = click.style(str(problem.span), bold=True), problem.severity
    head, *help_ = problem.as_text().split("\n")
    rest = head.removeprefix(f"{problem.span}: {severity}")
    return "\n".join([f"{where}: {click.style(severity, fg=_COLOURS[severity])}{rest}", *help_])
